use std::collections::{BTreeMap, HashMap};

use postrider_application::{
    audit::AuditEntry,
    ports::{ErasureView, LoggedEvent, StoreError, StoredSigningKey},
};
use postrider_domain::{ApiKeyId, AuditEntryId, TenantId, Timestamp};

use super::{hot::Hot, relay::Relayed, tables::Configuration};

/// Everything that is stored.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Aggregates. A transaction works on a copy and puts it back at commit.
    pub(super) configuration: Configuration,
    /// Messages, deliveries and the queue, which are changed in place.
    pub(super) hot: Hot,
    /// The log of aggregates' events, in the order of their positions.
    pub(super) events: Vec<LoggedEvent>,
    /// The last position that was given; never given again, though its event be erased.
    pub(super) last_position: i64,
    /// What the relay keeps.
    pub(super) relayed: Relayed,
    /// The audit log.
    pub(super) audit: BTreeMap<AuditEntryId, AuditEntry>,
    /// When API keys were last used.
    pub(super) key_uses: BTreeMap<ApiKeyId, Timestamp>,
    /// How many rows of which table of the tenants that are being erased went already.
    pub(super) erasing: BTreeMap<TenantId, BTreeMap<&'static str, u64>>,
    /// Which tenants were erased.
    pub(super) erasures: BTreeMap<TenantId, ErasureView>,
    /// The signing keys of access tokens.
    pub(super) signing_keys: Vec<StoredSigningKey>,
    /// What is written once.
    pub(super) facts: HashMap<String, Vec<u8>>,
}

/// Rows by key.
pub type Table<K, S> = BTreeMap<K, Row<S>>;

/// An aggregate's state, and how often it was saved.
#[derive(Debug, Clone)]
pub struct Row<S> {
    pub(super) state: S,
    pub(super) version: postrider_domain::Version,
}

/// A fault of whoever called: what a database would refuse by a constraint without a rule's name.
pub(super) fn fault(what: &'static str) -> StoreError {
    StoreError::Internal(what.into())
}
