//! Given-steps on messages and the queue.

use std::{sync::Arc, time::Duration};

use postrider_application::ports::{
    ClaimFrom, ClaimedWork, Concluded, Dedup, Epoch, MessageWriter, NewMessage, NewWork, Retry, Settlement,
    WorkRef, Written,
};
use postrider_domain::{
    EndpointId, MessageId, WorkId,
    deliveries::{Attempt, CapturedBody, Delivery, DeliveryStatus, Jitter, Outcome, RetryPolicy},
    event_types::EventTypeName,
    messages::{Channels, ContentType, Message, Payload},
};

use super::{Customer, Fixture, Harness};

/// How long a node's lease runs in the cases: 15 s.
pub(super) const LEASE: Duration = Duration::from_secs(15);

/// How long a failed delivery waits in the cases: 5 min.
pub(super) const WAIT: Duration = Duration::from_mins(5);

/// What nobody holds, however long it has been due.
pub(super) const FROM_QUEUE: ClaimFrom = ClaimFrom::Queue { low: None };

/// A message by itself, which nobody holds from the beginning.
pub(super) fn alone(message: Message, dedup: Option<Dedup>) -> NewMessage {
    NewMessage {
        message: Arc::new(message),
        dedup,
        owner: None,
    }
}

/// Writes one message, anew as long as its key was there and gone.
pub(super) async fn write_one(writer: &dyn MessageWriter, new: NewMessage) -> Written {
    loop {
        let written = writer.write(std::slice::from_ref(&new)).await.unwrap();
        assert_eq!(written.len(), 1);
        if written[0] != Written::Again {
            return written[0];
        }
    }
}

/// Whether that became durable, or was already by an earlier call with the same id.
pub(super) fn is_stored(written: &Written) -> bool {
    matches!(written, Written::Stored { .. })
}

/// What settles the row of a delivery.
pub(super) fn ending(work: WorkRef, concluded: Concluded) -> Settlement {
    Settlement {
        work,
        concluded: vec![concluded],
        open: Vec::new(),
    }
}

/// What settles the row of a message.
pub(super) fn fanning_out(work: WorkRef, open: Vec<NewWork>) -> Settlement {
    Settlement {
        work,
        concluded: Vec::new(),
        open,
    }
}

impl<H: Harness> Fixture<'_, H> {
    /// A new message with nothing but what it must have, not accepted.
    pub fn message(&self, customer: &Customer) -> Message {
        Message {
            id: MessageId::from_uuid(self.uuid()),
            tenant: customer.scope.tenant(),
            application: customer.id,
            event_type: EventTypeName::parse("invoice.paid").unwrap(),
            channels: Channels::default(),
            event_id: None,
            payload: Payload::restore(*br#"{"a":1}"#, ContentType::json()),
            created_at: self.now(),
            trace: None,
            deliver_at: None,
        }
    }

    /// A new message, accepted.
    pub async fn accepted(&self, customer: &Customer) -> MessageId {
        let message = self.message(customer);
        let id = message.id;
        let answer = write_one(&*self.ports().writer, alone(message, None)).await;
        assert!(is_stored(&answer), "{answer:?}");
        id
    }

    /// A new node.
    pub async fn node(&self) -> Epoch {
        self.ports().nodes.join(LEASE).await.unwrap()
    }

    /// Claims up to 100 rows from the queue.
    pub async fn claim(&self, node: Epoch) -> Vec<ClaimedWork> {
        self.ports().queue.claim(node, FROM_QUEUE, 100).await.unwrap()
    }

    /// Claims the one row that is claimable.
    pub async fn claim_one(&self, node: Epoch) -> ClaimedWork {
        let rows = self.claim(node).await;
        assert_eq!(rows.len(), 1, "one row is claimable");
        rows.into_iter().next().unwrap()
    }

    /// Settles the row of a delivery; whether it was.
    pub async fn settle(&self, node: Epoch, work: WorkRef, concluded: Concluded) -> bool {
        self.settle_one(node, ending(work, concluded)).await
    }

    /// Settles the row of a message into rows to be worked; whether it was.
    pub async fn fan_out(&self, node: Epoch, work: WorkRef, open: Vec<NewWork>) -> bool {
        self.settle_one(node, fanning_out(work, open)).await
    }

    /// Settles one row; whether it was.
    pub async fn settle_one(&self, node: Epoch, settlement: Settlement) -> bool {
        let work = settlement.work;
        let done = self.ports().queue.settle(node, vec![settlement]).await.unwrap();
        assert!(
            done.iter().all(|id| *id == work.id),
            "only what was asked is settled"
        );
        done == [work.id]
    }

    /// A new row for a delivery, to be held by the settling node.
    pub fn open(&self, endpoint: EndpointId) -> NewWork {
        NewWork {
            id: self.work_id(),
            endpoint,
            parked: false,
        }
    }

    /// Accepts a message and fans it out to `endpoints`: the rows, held by `node` under claim 1, in their order.
    pub async fn fanned_out(
        &self,
        node: Epoch,
        customer: &Customer,
        endpoints: &[EndpointId],
    ) -> (MessageId, Vec<WorkRef>) {
        let message = self.accepted(customer).await;
        let fan_out = self
            .claim(node)
            .await
            .into_iter()
            .find(|row| row.message == message)
            .unwrap();
        let rows: Vec<NewWork> = endpoints.iter().map(|endpoint| self.open(*endpoint)).collect();
        let refs = rows.iter().map(|row| WorkRef { id: row.id, claim: 1 }).collect();
        assert!(self.fan_out(node, fan_out.work, rows).await);
        (message, refs)
    }

    /// One delivery, held by `node` under claim 1.
    pub async fn delivery(
        &self,
        node: Epoch,
        customer: &Customer,
        endpoint: EndpointId,
    ) -> (MessageId, WorkRef) {
        let (message, rows) = self.fanned_out(node, customer, &[endpoint]).await;
        (message, rows[0])
    }

    /// Fans an accepted message out to one endpoint: the row, held by `node`.
    pub async fn fan_out_to(&self, node: Epoch, message: MessageId, endpoint: EndpointId) -> WorkRef {
        let fan_out = self.claim_one(node).await;
        assert_eq!((fan_out.message, fan_out.endpoint), (message, None));
        let row = self.open(endpoint);
        assert!(self.fan_out(node, fan_out.work, vec![row]).await);
        WorkRef { id: row.id, claim: 1 }
    }

    /// Lets the lease of `dead` run out, declares it dead, and claims for `heir` what it held.
    pub async fn take_over(&self, dead: Epoch, heir: Epoch) -> Vec<ClaimedWork> {
        let nodes = &self.ports().nodes;
        self.harness().age(LEASE).await;
        assert!(nodes.beat(heir, LEASE).await.unwrap());
        assert_eq!(nodes.bury().await.unwrap(), [dead]);
        let from = ClaimFrom::Dead(dead);
        self.ports().queue.claim(heir, from, 100).await.unwrap()
    }

    /// A first attempt that succeeded.
    pub fn delivered(&self, message: MessageId, endpoint: EndpointId) -> Concluded {
        self.ended(message, endpoint, Outcome::of_status(204))
    }

    /// A first attempt that was answered with 410: the delivery failed for good.
    pub fn given_up(&self, message: MessageId, endpoint: EndpointId) -> Concluded {
        self.ended(message, endpoint, Outcome::of_status(410))
    }

    /// A first attempt that was the last.
    fn ended(&self, message: MessageId, endpoint: EndpointId, outcome: Outcome) -> Concluded {
        let mut delivery = Delivery::begin(message, endpoint, self.now());
        self.record(&mut delivery, outcome);
        Concluded {
            attempt: Some(self.attempt(1, outcome)),
            delivery,
            retry: None,
        }
    }

    /// A delivery that nobody wants any more.
    pub fn cancelled(&self, message: MessageId, endpoint: EndpointId) -> Concluded {
        let mut delivery = Delivery::begin(message, endpoint, self.now());
        delivery.cancel();
        Concluded {
            delivery,
            attempt: None,
            retry: None,
        }
    }

    /// A first attempt that failed, with the next one after [`WAIT`] as the named row.
    pub fn failed(&self, message: MessageId, endpoint: EndpointId) -> (Concluded, WorkId) {
        self.retried(message, endpoint, self.attempt(1, Outcome::of_status(500)))
    }

    /// An attempt in a row of failures, with the next one after [`WAIT`] as the named row.
    pub fn retried(&self, message: MessageId, endpoint: EndpointId, attempt: Attempt) -> (Concluded, WorkId) {
        let delivery = Delivery {
            message,
            endpoint,
            status: DeliveryStatus::Pending {
                due_at: self.now().plus(WAIT),
            },
            attempts: attempt.number,
            failures: attempt.number,
        };
        let work = self.work_id();
        let concluded = Concluded {
            delivery,
            attempt: Some(attempt),
            retry: Some(Retry { work, after: WAIT }),
        };
        (concluded, work)
    }

    /// Records an attempt in `delivery`, by the default policy without jitter.
    pub fn record(&self, delivery: &mut Delivery, outcome: Outcome) {
        let policy = RetryPolicy::default();
        delivery.record(outcome, None, &policy, self.now(), Jitter::from_bits(0));
    }

    /// An attempt with a short answer.
    pub fn attempt(&self, number: u32, outcome: Outcome) -> Attempt {
        Attempt {
            number,
            started_at: self.now(),
            latency: Duration::from_micros(12_345),
            outcome,
            response_body: CapturedBody {
                bytes: b"thanks".to_vec(),
                ..CapturedBody::default()
            },
        }
    }
}
