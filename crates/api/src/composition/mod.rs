//! Where the crates become one system: adapters behind ports, use cases behind the mediator, the API in front.
//!
//! This is the only place that knows all crates. [`Platform`] is everything but the listener; [`Server`] is the
//! listener.

mod background;
mod caches;
mod composing;
mod denials;
mod key_uses;
mod last_words;
mod opening;
mod options;
mod platform;
mod prober;
mod server;
mod system;
#[cfg(test)]
mod test_support;

pub use last_words::LastWords;
pub use options::{OpenError, PlatformOptions, RunError};
pub use platform::Platform;
pub use postrider_outbox::{JsonLinesTarget, RelayOptions};
pub use server::{Server, ServerOptions};
pub use system::{SystemClock, UuidV7Ids};
