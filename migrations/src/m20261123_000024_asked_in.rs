//! Why: whoever asks for a delivery to be made again does so in a trace of their own, and the attempt that is made for
//! it says so by a link (docs/observability.md). The attempt is made later, on whichever node: so the queue's row carries
//! the `traceparent` of that request, and a replay carries it until its rows are queued. Only of requests whose trace is
//! recorded; rows of messages and of retries have none.
//!
//! The columns have no default: adding them rewrites nothing, and a release before this one does not write them. On
//! PostgreSQL each takes a moment's lock of its table, of the queue first. Whoever reads the queue for long (a dump) is
//! waited for as long as the migrating connection waits for any lock, and no longer, since everybody else waits behind it.

crate::ddl::migration!(
    "ALTER TABLE outbox_work ADD COLUMN asked_in @text",
    "ALTER TABLE replays ADD COLUMN asked_in @text"
);
