//! Postrider's caches: decorators of read ports, in memory, with moka.
//!
//! A cache implements the port that it decorates and can be left out; handlers do not know of it. For all of them:
//!
//! * **Single flight**: callers that miss the same key at the same time share one load.
//! * **Errors and absence are not kept**: what was just created must be found.
//! * **Invalidation wins over loads**: what was being read when its key was invalidated is not kept, and whoever asks
//!   after the invalidation does not get it.
//! * **A short time to live is the net**: an entry is never older than [`CacheOptions::ttl`], counted from *before*
//!   it was read. That bounds for how long another node may let a revoked credential in when nothing else works.
//! * **Bounded**: at most [`CacheOptions::max_entries`] of a kind; the least used go first.
//!
//! [`CachedAccessTokens`] is of another kind: what a signature says never changes, so nothing is ever invalidated there.
//! [`CachedMaterial`] answers from memory only when it is asked to recall, by whoever knows how new the answer must be;
//! everybody else reads. So nobody joins another's load there, and what was read under an invalidation is not kept.
//! [`AttemptThrottle`] is no cache at all, but as bounded as one.
//!
//! Invalidation comes from the log of events, through [`CacheInvalidation`]: on every node, the committing one too, as
//! soon as its relay has read the event. That is at once when the relay is woken, else at its next poll.

mod access_tokens;
mod application_directory;
mod credentials;
mod event_types;
mod flight;
mod generations;
mod invalidation;
mod look_ups;
mod material;
#[cfg(test)]
mod test_support;
mod throttle;

pub use access_tokens::CachedAccessTokens;
pub use application_directory::CachedApplicationDirectory;
pub use credentials::CachedCredentials;
pub use event_types::CachedEventTypes;
pub use flight::CacheOptions;
pub use invalidation::{CacheInvalidation, Dropped};
pub use material::{CachedMaterial, MaterialCacheOptions};
pub use throttle::{Allowance, AttemptThrottle, ThrottleOptions};
