//! Replays: delivering many messages to one endpoint again, or what it never got, as a job.

mod cancel;
mod create;
mod get;
mod list;

pub use cancel::{CancelReplay, CancelReplayHandler};
pub use create::{CreateReplay, CreateReplayHandler};
pub use get::{GetReplay, GetReplayHandler};
pub use list::{ListReplays, ListReplaysHandler};
