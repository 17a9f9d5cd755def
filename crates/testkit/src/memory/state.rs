use std::collections::{BTreeMap, HashMap};

use postrider_application::{
    Versioned,
    audit::AuditEntry,
    ports::{AnswerKey, EndpointHour, ErasureView, LoggedEvent, StoreError, StoredSigningKey},
};
use postrider_domain::{
    ApiKeyId, AuditEntryId, EndpointId, MessageId, ReplayId, TenantId, Timestamp, figures::UsageFigures,
};

use super::{answers::Answer, hot::Hot, relay::Relayed, tables::Configuration};

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
    /// What commands with an idempotency key were answered.
    pub(super) answers: BTreeMap<AnswerKey, Answer>,
    /// When API keys were last used.
    pub(super) key_uses: BTreeMap<ApiKeyId, Timestamp>,
    /// How many rows of which table of the tenants that are being erased went already.
    pub(super) erasing: BTreeMap<TenantId, BTreeMap<&'static str, u64>>,
    /// Which tenants were erased.
    pub(super) erasures: BTreeMap<TenantId, ErasureView>,
    /// When the next step of a replay may be taken; at once, if nothing is said.
    pub(super) replays_due: BTreeMap<ReplayId, Timestamp>,
    /// The messages that replays have put into the queue, whether they are still there or not.
    pub(super) replays_queued: BTreeMap<ReplayId, Vec<MessageId>>,
    /// What happened at endpoints, by the hour.
    pub(super) endpoint_stats: BTreeMap<(TenantId, EndpointId, Timestamp), EndpointHour>,
    /// What happened in tenants, by the day.
    pub(super) tenant_usage: BTreeMap<(TenantId, Timestamp), UsageFigures>,
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

impl<S: Clone> Row<S> {
    /// What is stored, with its version.
    pub(super) fn versioned(&self) -> Versioned<S> {
        Versioned {
            value: self.state.clone(),
            version: self.version,
        }
    }
}

/// A fault of whoever called: what a database would refuse by a constraint without a rule's name.
pub(super) fn fault(what: &'static str) -> StoreError {
    StoreError::Internal(what.into())
}
