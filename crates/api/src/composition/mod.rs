//! Where the crates become one system: adapters behind ports, use cases behind the mediator, the API in front.
//!
//! This is the only place that knows all crates. [`Platform`] is everything but the listener; [`Server`] is the
//! listener.

mod caches;
mod platform;
mod readiness;
mod server;
mod system;

pub use platform::{OpenError, Platform, PlatformOptions, RunError};
pub use server::{Server, ServerOptions};
pub use system::{SystemClock, UuidV7Ids};
