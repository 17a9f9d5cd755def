use std::time::Duration;

use async_trait::async_trait;
use postrider_domain::{ApiKeyId, TenantId, Timestamp};

use super::StoreError;
use crate::{access::TenantScope, audit::AuditEntry};

/// What a step of erasing did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErasureStep {
    /// No tenant is to be erased now.
    Nothing,
    /// Some rows went; there is more to do.
    Removed {
        /// The tenant.
        tenant: TenantId,
        /// How many rows went.
        rows: u64,
    },
    /// Another node is at it, or somebody holds a row that must go first: try again later.
    Busy,
    /// Nothing of the tenant is left: every table was looked through after the last row went.
    Erased {
        /// The tenant that was.
        tenant: TenantId,
        /// How many rows of which table went.
        rows: Vec<(String, u64)>,
    },
}

/// The partitions of history, which PostgreSQL must have before rows of their time come.
#[async_trait]
pub trait Partitions: Send + Sync {
    /// Sees to it that there are partitions of every table of history from now until at least `ahead` from now;
    /// answers how many were made. Where history is not partitioned, none ever is. Several nodes may ask at once.
    async fn make_ahead(&self, ahead: Duration) -> Result<u32, StoreError>;
}

/// For how long what is left of a deleted application tells the engine that nobody wants its messages any more; longer
/// if any still wait. Far longer than a message may be retried.
pub const DELETED_APPLICATIONS_KEPT: Duration = Duration::from_hours(90 * 24);

/// What nobody waits for, done in small batches by every node's chores.
#[async_trait]
pub trait Housekeeping: Send + Sync {
    /// Removes up to `limit` things whose time is over: sessions, invitations, password resets, kept answers, replays,
    /// and what is left of applications that were deleted [`DELETED_APPLICATIONS_KEPT`] ago; how many there were.
    async fn forget_expired(&self, limit: u32) -> Result<u32, StoreError>;

    /// Removes up to `limit` rows of a tenant whose deletion was ordered at least `grace` ago (its queue at once).
    /// The grace outlasts all caches and requests, so that nothing is written behind the eraser. How far it came is
    /// stored, for whoever takes the next step. A tenant whose step failed stands back behind the others for a while.
    async fn erase(&self, limit: u32, grace: Duration) -> Result<ErasureStep, StoreError>;

    /// Writes when API keys were last used; a later time stays.
    async fn record_key_uses(&self, uses: &[(TenantId, ApiKeyId, Timestamp)]) -> Result<(), StoreError>;

    /// Appends entries to the audit log: denials. Entries of tenants that are gone are dropped; those that are there
    /// already stay as they are, so that a batch whose answer was lost may be repeated.
    async fn append_audit(&self, entries: &[AuditEntry]) -> Result<(), StoreError>;
}

/// One row of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportRow {
    /// What it is: `endpoint`, `message`...
    pub kind: &'static str,
    /// Its fields, a JSON object: public ids, times in RFC 3339, payloads as base64.
    pub json: String,
}

/// Where an export stands; made by the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportCursor(pub Vec<u8>);

/// A piece of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportPage {
    /// The rows.
    pub rows: Vec<ExportRow>,
    /// Where to go on; none: that was all.
    pub next: Option<ExportCursor>,
}

/// Everything that a tenant owns, secrets excepted, table by table.
#[async_trait]
pub trait TenantExport: Send + Sync {
    /// The next rows: up to `limit`, and fewer where their payloads are large (about 4 MiB at once).
    async fn export_page(
        &self,
        scope: &TenantScope,
        after: Option<ExportCursor>,
        limit: u32,
    ) -> Result<ExportPage, StoreError>;
}
