//! What takes the log of events to its subscribers, and what is seen of that.

mod cursors;
mod dead_letters;
mod sight;
mod sinks;
mod status;

pub use cursors::{AggregateKey, Blocked, BlockedAggregate, HeldCursor, RelayCursors, SetAside, StartAt};
pub use dead_letters::{DeadLetterId, DeadLetterRepository, DeadLetterView, NotADeadLetter};
pub use sight::{ClusterBarrier, EventBell, Heard, NodeLife, NodeSight, Unseen};
pub use sinks::{EventSink, OperationalApplications, RelayMetrics, SinkError};
pub use status::{NodeView, OperatorViews, QueueDepth, StatusView, SubscriberView};
