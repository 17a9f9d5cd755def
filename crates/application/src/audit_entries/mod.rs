//! The audit log, to look at.

mod list;

pub use list::{ListAuditEntries, ListAuditEntriesHandler};
