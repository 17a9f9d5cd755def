//! Messages: one event published to one application; immutable.

mod channel;
mod message;
mod payload;
mod trace;

pub use channel::{Channel, Channels};
pub use message::{DedupKey, Message};
pub use payload::{ContentType, Payload};
pub use trace::TraceParent;
