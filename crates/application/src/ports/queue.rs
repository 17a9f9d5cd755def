use std::{fmt, time::Duration};

use async_trait::async_trait;
use postrider_domain::{
    ApplicationId, EndpointId, MessageId, TenantId, Timestamp, WorkId,
    deliveries::{Attempt, Delivery},
    messages::TraceParent,
};

use super::StoreError;

/// One life of one node. Never reused, always above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub i64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names a row of the queue as this node claimed it. A later claim of the same row has a higher number, so that
/// a node which lost the row settles nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WorkRef {
    /// The row.
    pub id: WorkId,
    /// How often it was claimed, this claim included.
    pub claim: i32,
}

/// A row of the queue that this node holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedWork {
    /// The row.
    pub work: WorkRef,
    /// The tenant.
    pub tenant: TenantId,
    /// The application.
    pub application: ApplicationId,
    /// The message.
    pub message: MessageId,
    /// The endpoint of a delivery; none: the message is to be fanned out.
    pub endpoint: Option<EndpointId>,
    /// When it was due, by the database's clock.
    pub due_at: Timestamp,
    /// Attempts made before ([`Delivery::attempts`]).
    pub attempts: u32,
    /// Failed attempts since it was last (re)sent ([`Delivery::failures`]).
    pub failures: u32,
    /// The order of acceptance, carried through fan-out and retries.
    pub seq: i64,
    /// The length of the message's payload in bytes, so that memory can be kept for it before it is read.
    pub payload_bytes: u32,
    /// The version of the application's endpoints when the row was claimed; 0 if the application is gone.
    pub endpoints_version: i64,
    /// Whether somebody asked for this delivery: a resend or a replay put the row there. Not so of the retries after it.
    pub asked_for: bool,
    /// The trace that they asked in; none otherwise, or if nobody records it.
    pub asked_in: Option<TraceParent>,
}

/// Whose rows to claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimFrom {
    /// Rows that nobody owns and that are due. With a low-water mark, rows that were due before it are not looked
    /// for: what was claimed and deleted there need not be walked over again.
    Queue {
        /// The earliest due time to look at.
        low: Option<Timestamp>,
    },
    /// Parked rows of one endpoint that are due, with a low-water mark of their own.
    Parked {
        /// The endpoint.
        endpoint: EndpointId,
        /// The earliest due time to look at.
        low: Option<Timestamp>,
    },
    /// Rows that a dead node owned, due or not; those not due yet go back to the queue and are not returned.
    Dead(Epoch),
}

/// A row that a fan-out becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewWork {
    /// The new row.
    pub id: WorkId,
    /// The endpoint that wants the message.
    pub endpoint: EndpointId,
    /// Whether nobody owns it because its endpoint's lane is full. Otherwise it belongs to the settling node at
    /// once, with claim number 1.
    pub parked: bool,
}

/// The queue row of the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// The new row; nobody owns it.
    pub work: WorkId,
    /// How long from now (the database's now) it is due.
    pub after: Duration,
}

/// What became of one delivery.
#[derive(Debug, Clone, PartialEq)]
pub struct Concluded {
    /// Where it stands.
    pub delivery: Delivery,
    /// The attempt, if one was made. None was if it was cancelled: the endpoint is disabled or gone, or the payload
    /// was expunged.
    pub attempt: Option<Attempt>,
    /// The next attempt: present exactly if the delivery is pending.
    pub retry: Option<Retry>,
}

/// A claimed row and what became of it. In every case the row itself is deleted.
///
/// A delivery's row has exactly one conclusion, of its own endpoint, and becomes no rows. A message's row (a fan-out)
/// explodes: into what is concluded already, and into a row for each endpoint that is not; there may be none of
/// either, and each endpoint is named once.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// The row as it was claimed.
    pub work: WorkRef,
    /// Deliveries that came to an end, or to a retry.
    pub concluded: Vec<Concluded>,
    /// Deliveries that are still to be attempted for the first time.
    pub open: Vec<NewWork>,
}

/// The work queue. Batches only: every call is a fixed number of statements, whatever the batch.
#[async_trait]
pub trait DeliveryQueue: Send + Sync {
    /// Takes up to `limit` rows for `node`, the longest due first. Of racing claimers one gets a row.
    async fn claim(&self, node: Epoch, from: ClaimFrom, limit: u32) -> Result<Vec<ClaimedWork>, StoreError>;

    /// Writes what became of claimed rows: history, retries, health of endpoints, and the rows' end, in one
    /// transaction. Rows that `node` does not hold under that claim number are passed over, whole; the answer names
    /// those that were settled. Repeating a batch does nothing.
    ///
    /// Health: an endpoint to which an attempt of the batch succeeded fails no more; one with failed attempts only
    /// fails since now, or, if it did before, still: now is its last failure if the one that is noted is at least
    /// [`LAST_AT_STEP`](super::FailingEndpoint::LAST_AT_STEP) ago ([`super::EndpointHealth`]). Nobody waits in order
    /// to note the last failure; what is not noted, a later batch notes. Answers of 410 and attempts that failed
    /// for our own reasons ([`FailureClass::Internal`](postrider_domain::deliveries::FailureClass::Internal)) count
    /// as neither.
    async fn settle(&self, node: Epoch, batch: Vec<Settlement>) -> Result<Vec<WorkId>, StoreError>;

    /// Gives rows back unharmed, to whoever claims next.
    async fn hand_back(&self, node: Epoch, rows: Vec<WorkRef>) -> Result<(), StoreError>;

    /// Sets rows aside whose endpoint's lane is full: nobody owns them, and they are claimed by endpoint only.
    async fn park(&self, node: Epoch, rows: Vec<WorkRef>) -> Result<(), StoreError>;

    /// Up to `limit` endpoints that have parked rows, in the order of their ids, beginning after `after`.
    async fn parked_endpoints(
        &self,
        after: Option<EndpointId>,
        limit: u32,
    ) -> Result<Vec<EndpointId>, StoreError>;

    /// Up to `limit` rows that `node` owns and that have been due for at least `age`, with the claim number that they
    /// have, in the order of due time and id, beginning after `after`: for a node that looks for rows that it owns
    /// without knowing, because an answer was lost. Nothing changes.
    async fn owned(
        &self,
        node: Epoch,
        age: Duration,
        after: Option<(Timestamp, WorkId)>,
        limit: u32,
    ) -> Result<Vec<ClaimedWork>, StoreError>;

    /// Which of these rows `node` still has to work: it holds them under that claim number, and their tenant is not
    /// being deleted. The others it may forget: they are settled, erased or another's, or the eraser takes them.
    async fn still_held(&self, node: Epoch, rows: &[WorkRef]) -> Result<Vec<WorkId>, StoreError>;

    /// How long until the earliest row that nobody owns is due; zero if one is; none if there is none. Parked rows
    /// do not count: they wait for their lane, not for a time.
    /// With a low-water mark, rows that are due before it are not looked for, as in [`ClaimFrom::Queue`].
    async fn next_due(&self, low: Option<Timestamp>) -> Result<Option<Duration>, StoreError>;
}

/// Tells other nodes that there is work in the queue. Only a hint: a slow look at the queue is the net beneath it.
#[async_trait]
pub trait WorkBell: Send + Sync {
    /// Rings at every node, this one included. Coalesced by the caller; never part of a hot transaction.
    async fn ring(&self) -> Result<(), StoreError>;

    /// Waits until somebody rang since the last call. Where no other node can be, for ever. After an error, or a
    /// connection that was lost meanwhile, it counts as rung. One caller at a time.
    async fn rung(&self) -> Result<(), StoreError>;
}

/// Which nodes live. Leases are the nodes', not the rows': a row is safe with its owner as long as the owner's
/// lease runs. All times are the database's.
#[async_trait]
pub trait NodeRegistry: Send + Sync {
    /// A new epoch whose lease runs for `ttl` from now. It is written down which master key the node seals with.
    async fn join(&self, ttl: Duration) -> Result<Epoch, StoreError>;

    /// Extends the lease to `ttl` from now; `false` if the node was declared dead and must stop.
    async fn beat(&self, node: Epoch, ttl: Duration) -> Result<bool, StoreError>;

    /// Declares nodes dead whose lease ran out, and answers all dead nodes that still own rows.
    async fn bury(&self) -> Result<Vec<Epoch>, StoreError>;

    /// An orderly end: the node is dead, and what it owns goes back to the queue. Of very much the rest is left as that of
    /// any dead node, for others to take over.
    async fn leave(&self, node: Epoch) -> Result<(), StoreError>;
}
