//! Messages: one event published to one application; immutable.

mod channel;
mod message;
mod payload;
mod schedule;
mod trace;

pub use channel::{Channel, Channels};
pub use message::{BatchKey, DedupKey, Message};
pub use payload::{ContentType, Payload};
pub use schedule::ScheduleBounds;
pub use trace::TraceParent;
