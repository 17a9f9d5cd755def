use std::time::Duration;

use async_trait::async_trait;
use postrider_domain::{TenantId, Timestamp, messages::TraceParent};

use super::{EventForm, StoreError};
use crate::audit::AuditEntry;

/// Wakes the engine of this node: a row may be due now. Cheap, coalesced, never blocks.
pub trait WorkSignal: Send + Sync {
    /// Something was queued.
    fn work_queued(&self);
}

/// Wakes this node's relay: events were committed. Cheap, coalesced, never blocks.
pub trait EventSignal: Send + Sync {
    /// The log has grown.
    fn events_committed(&self);
}

/// The trace that the current task runs in.
pub trait TracePropagation: Send + Sync {
    /// Its `traceparent`; none if nothing is traced.
    fn current(&self) -> Option<TraceParent>;

    /// Its `traceparent`, if it is recorded: spans are only built then, because each costs something.
    fn recorded(&self) -> Option<TraceParent> {
        self.current().filter(TraceParent::is_sampled)
    }
}

/// Counts and times use cases.
pub trait UseCaseMetrics: Send + Sync {
    /// A request of that name ended with `outcome` (`ok` or an error code) after `elapsed`.
    fn record(&self, name: &'static str, outcome: &'static str, elapsed: Duration);
}

/// Takes down who was denied what, for the audit log. Never blocks: under a flood it counts those alike, and drops.
pub trait DenialLog: Send + Sync {
    /// Somebody may not.
    fn denied(&self, entry: AuditEntry);
}

/// An entry of the log of aggregates' events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedEvent {
    /// Its position; position order is commit order.
    pub position: i64,
    /// The tenant that it concerns; none for global things.
    pub tenant: Option<TenantId>,
    /// What happened, `aggregate.verb`.
    pub kind: String,
    /// To which aggregate.
    pub aggregate: String,
    /// The aggregate's version after it.
    pub version: u32,
    /// In which form the body is.
    pub form: EventForm,
    /// The body, JSON, in the form of this release; as it was written, if that form is not known.
    pub body: String,
    /// When it was written, by the store's clock.
    pub recorded_at: Timestamp,
}

/// The log of aggregates' events, read by position.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// The position of the newest event; 0 if there is none.
    async fn head(&self) -> Result<i64, StoreError>;

    /// Up to `limit` events after `position`, in commit order.
    async fn after(&self, position: i64, limit: u32) -> Result<Vec<LoggedEvent>, StoreError>;
}
