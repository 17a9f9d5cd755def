//! What the hot path keeps: messages, deliveries, attempts, the queue, the nodes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use postrider_application::ports::{ClaimedWork, Epoch, StoreError, UniqueRule, WorkRef};
use postrider_domain::{
    ApplicationId, EndpointId, MessageId, ReplayId, TenantId, Timestamp, WorkId,
    deliveries::{Attempt, Delivery, DeliveryStatus},
    messages::{Message, TraceParent},
};

use super::{health::Failing, state::fault};

/// The owner of a row that anybody may claim.
pub(super) const NOBODY: i64 = 0;
/// The owner of a row that is set aside: it is claimed by its endpoint only.
pub(super) const PARKED: i64 = -1;

/// A row of the queue.
#[derive(Debug, Clone)]
pub(super) struct Work {
    pub(super) tenant: TenantId,
    pub(super) application: ApplicationId,
    pub(super) message: MessageId,
    /// None: a message to fan out.
    pub(super) endpoint: Option<EndpointId>,
    pub(super) due_at: Timestamp,
    /// [`NOBODY`], [`PARKED`] or a node's epoch.
    pub(super) owner: i64,
    /// How often it was claimed.
    pub(super) claim: i32,
    pub(super) attempts: u32,
    pub(super) failures: u32,
    pub(super) seq: i64,
    pub(super) payload_bytes: u32,
    pub(super) asked_for: bool,
    pub(super) asked_in: Option<TraceParent>,
}

impl Work {
    /// The row as whoever claimed it sees it, when its application's endpoints have that version.
    pub(super) fn claimed(&self, id: WorkId, endpoints_version: i64) -> ClaimedWork {
        ClaimedWork {
            work: WorkRef {
                id,
                claim: self.claim,
            },
            tenant: self.tenant,
            application: self.application,
            message: self.message,
            endpoint: self.endpoint,
            due_at: self.due_at,
            attempts: self.attempts,
            failures: self.failures,
            seq: self.seq,
            payload_bytes: self.payload_bytes,
            endpoints_version,
            asked_for: self.asked_for,
            asked_in: self.asked_in.clone(),
        }
    }

    /// Whether `node` holds it under that very claim.
    pub(super) fn is_held(&self, node: Epoch, work: WorkRef) -> bool {
        (self.owner, self.claim) == (node.0, work.claim)
    }
}

/// A row of the history.
#[derive(Debug, Clone)]
pub(super) struct Delivered {
    pub(super) tenant: TenantId,
    pub(super) application: ApplicationId,
    pub(super) delivery: Delivery,
    pub(super) updated_at: Timestamp,
}

/// What is known of a message besides itself.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fate {
    /// It was made for this endpoint, and is no other's.
    pub(super) only_endpoint: Option<EndpointId>,
    pub(super) cancelled_at: Option<Timestamp>,
    /// When its payload went on request.
    pub(super) payload_expunged_at: Option<Timestamp>,
    /// Whether its payload went, on request or otherwise. It stands with its message here, in a table of its own in the
    /// databases: so it goes by a mark.
    pub(super) has_no_payload: bool,
}

/// A key that publishes are recognised by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Remembered {
    pub(super) body_hash: [u8; 32],
    pub(super) message: MessageId,
    pub(super) expires_at: Timestamp,
}

/// One life of one node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) joined_at: Timestamp,
    pub(super) lease_until: Timestamp,
    pub(super) dead: bool,
    /// Up to which position it has seen the log.
    pub(super) seen: Option<i64>,
}

/// A delivery that a transaction queues when it commits.
#[derive(Debug, Clone)]
pub(super) struct Requeue {
    pub(super) tenant: TenantId,
    pub(super) application: ApplicationId,
    pub(super) delivery: Delivery,
    pub(super) work: WorkId,
    pub(super) asked_in: Option<TraceParent>,
}

/// A message to one endpoint that a transaction stores and queues when it commits.
#[derive(Debug, Clone)]
pub(super) struct Direct {
    pub(super) message: Arc<Message>,
    pub(super) endpoint: EndpointId,
    pub(super) work: WorkId,
}

/// The hot tables.
#[derive(Debug, Default)]
pub(super) struct Hot {
    pub(super) messages: BTreeMap<MessageId, Arc<Message>>,
    /// What is known of messages besides themselves.
    pub(super) fates: BTreeMap<MessageId, Fate>,
    pub(super) deliveries: BTreeMap<(MessageId, EndpointId), Delivered>,
    pub(super) attempts: BTreeMap<(MessageId, EndpointId, u32), Attempt>,
    pub(super) work: BTreeMap<WorkId, Work>,
    pub(super) dedup: HashMap<(TenantId, ApplicationId, [u8; 32]), Remembered>,
    pub(super) nodes: BTreeMap<Epoch, Node>,
    /// Endpoints to which every attempt has failed.
    pub(super) failing: BTreeMap<EndpointId, Failing>,
    /// The traces that replays were asked for in.
    pub(super) asked_in: HashMap<ReplayId, TraceParent>,
    last_seq: i64,
    /// Deliveries that failed for good since the log was told of them.
    pub(super) failed: Vec<Failed>,
}

/// A delivery that failed for good.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failed {
    pub(super) tenant: TenantId,
    pub(super) application: ApplicationId,
    pub(super) message: MessageId,
    pub(super) endpoint: EndpointId,
    pub(super) reason: &'static str,
}

impl Hot {
    /// The next place in the order of acceptance.
    pub(super) fn next_seq(&mut self) -> i64 {
        self.last_seq += 1;
        self.last_seq
    }

    /// What is known of a message besides itself.
    pub(super) fn fate(&self, message: MessageId) -> Fate {
        self.fates.get(&message).copied().unwrap_or_default()
    }

    /// Whether the message is there, and its payload.
    pub(super) fn has_payload(&self, message: MessageId) -> bool {
        self.messages.contains_key(&message) && !self.fate(message).has_no_payload
    }

    /// Whether nobody lives under that epoch: a node that is not known at all is dead.
    pub(super) fn is_dead(&self, epoch: Epoch) -> bool {
        self.nodes.get(&epoch).is_none_or(|node| node.dead)
    }

    /// The queue's row of a delivery.
    pub(super) fn queued(&self, message: MessageId, endpoint: EndpointId) -> Option<&Work> {
        self.work
            .values()
            .find(|row| (row.message, row.endpoint) == (message, Some(endpoint)))
    }

    /// Where a delivery stands: as its history says, or pending if it was queued and never attempted.
    pub(super) fn delivery(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        message: MessageId,
        endpoint: EndpointId,
    ) -> Option<Delivery> {
        if let Some(row) = self.deliveries.get(&(message, endpoint)) {
            let visible = (row.tenant, row.application) == (tenant, application);
            return visible.then(|| row.delivery.clone());
        }
        let row = self.queued(message, endpoint)?;
        let visible = (row.tenant, row.application) == (tenant, application);
        visible.then(|| Delivery::begin(message, endpoint, row.due_at))
    }

    /// Writes where a delivery stands.
    pub(super) fn write(
        &mut self,
        tenant: TenantId,
        application: ApplicationId,
        delivery: Delivery,
        updated_at: Timestamp,
    ) {
        let key = (delivery.message, delivery.endpoint);
        let row = Delivered {
            tenant,
            application,
            delivery,
            updated_at,
        };
        self.deliveries.insert(key, row);
    }

    /// Refuses to queue a delivery of a message that is not the application's or has no payload any more, one that is
    /// queued already, and one that was attempted since it was read: the numbers of its attempts would clash.
    pub(super) fn may_requeue(&self, requeue: &Requeue) -> Result<(), StoreError> {
        let delivery = &requeue.delivery;
        let owner = (requeue.tenant, requeue.application);
        let message = self.messages.get(&delivery.message);
        if message.is_none_or(|message| (message.tenant, message.application) != owner) {
            return Err(fault("a message that the application does not have"));
        }
        if !self.has_payload(delivery.message) {
            return Err(fault("a message whose payload is gone"));
        }
        if self.queued(delivery.message, delivery.endpoint).is_some() {
            return Err(StoreError::Conflict(UniqueRule::PendingDelivery));
        }
        let history = self.deliveries.get(&(delivery.message, delivery.endpoint));
        if history.is_some_and(|row| row.delivery.attempts != delivery.attempts) {
            return Err(StoreError::Stale);
        }
        Ok(())
    }

    /// Refuses the id of a message or of a row that is there already.
    pub(super) fn may_send(&self, direct: &Direct) -> Result<(), StoreError> {
        if self.messages.contains_key(&direct.message.id) || self.work.contains_key(&direct.work) {
            return Err(fault("the id of another message or row"));
        }
        Ok(())
    }

    /// Stores a message and queues its one delivery, due at once.
    pub(super) fn send(&mut self, direct: Direct, now: Timestamp) {
        let Direct {
            message,
            endpoint,
            work,
        } = direct;
        self.messages.insert(message.id, Arc::clone(&message));
        self.fates.entry(message.id).or_default().only_endpoint = Some(endpoint);
        let row = Work {
            tenant: message.tenant,
            application: message.application,
            message: message.id,
            endpoint: Some(endpoint),
            due_at: now,
            owner: NOBODY,
            claim: 0,
            attempts: 0,
            failures: 0,
            seq: self.next_seq(),
            payload_bytes: self.payload_bytes(message.id),
            asked_for: false,
            asked_in: None,
        };
        self.work.insert(work, row);
    }

    /// The length of a message's payload; 0 if the message is gone.
    pub(super) fn payload_bytes(&self, message: MessageId) -> u32 {
        let bytes = self
            .messages
            .get(&message)
            .map(|message| message.payload.bytes().len());
        bytes.map_or(0, |bytes| u32::try_from(bytes).unwrap_or(u32::MAX))
    }

    /// Stores that a delivery is pending and queues it, due at once.
    pub(super) fn requeue(&mut self, requeue: Requeue, now: Timestamp) {
        let Requeue {
            tenant,
            application,
            mut delivery,
            work,
            asked_in,
        } = requeue;
        delivery.status = DeliveryStatus::Pending { due_at: now };
        let message = delivery.message;
        let row = Work {
            tenant,
            application,
            message,
            endpoint: Some(delivery.endpoint),
            due_at: now,
            owner: NOBODY,
            claim: 0,
            attempts: delivery.attempts,
            failures: delivery.failures,
            seq: self.next_seq(),
            payload_bytes: self.payload_bytes(message),
            asked_for: true,
            asked_in,
        };
        self.work.insert(work, row);
        self.write(tenant, application, delivery, now);
    }
}
