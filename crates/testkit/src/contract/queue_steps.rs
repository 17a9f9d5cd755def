//! Given-steps on messages and the queue.

use std::time::Duration;

use postrider_application::ports::{
    AcceptMessage, Accepted, ClaimFrom, ClaimedWork, Epoch, NewWork, Retry, Settled, Settlement, WorkRef,
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
        }
    }

    /// A new message, accepted.
    pub async fn accepted(&self, customer: &Customer) -> MessageId {
        let message = self.message(customer);
        let id = message.id;
        let accept = AcceptMessage { message, dedup: None };
        let answer = self.ports().intake.accept(&customer.scope, accept).await.unwrap();
        assert_eq!(answer, Accepted::New);
        id
    }

    /// A new node.
    pub async fn node(&self) -> Epoch {
        self.ports().nodes.join(LEASE).await.unwrap()
    }

    /// Claims up to 100 rows from the queue.
    pub async fn claim(&self, node: Epoch) -> Vec<ClaimedWork> {
        self.ports()
            .queue
            .claim(node, ClaimFrom::Queue, 100)
            .await
            .unwrap()
    }

    /// Claims the one row that is claimable.
    pub async fn claim_one(&self, node: Epoch) -> ClaimedWork {
        let rows = self.claim(node).await;
        assert_eq!(rows.len(), 1, "one row is claimable");
        rows.into_iter().next().unwrap()
    }

    /// Settles one row; whether it was.
    pub async fn settle(&self, node: Epoch, work: WorkRef, settled: Settled) -> bool {
        let batch = vec![Settlement { work, settled }];
        let done = self.ports().queue.settle(node, batch).await.unwrap();
        assert!(
            done.iter().all(|id| *id == work.id),
            "only what was asked is settled"
        );
        done == [work.id]
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
        let rows: Vec<NewWork> = endpoints
            .iter()
            .map(|endpoint| NewWork {
                id: self.work_id(),
                endpoint: *endpoint,
            })
            .collect();
        let refs = rows.iter().map(|row| WorkRef { id: row.id, claim: 1 }).collect();
        assert!(self.settle(node, fan_out.work, Settled::FannedOut(rows)).await);
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
        let row = NewWork {
            id: self.work_id(),
            endpoint,
        };
        assert!(
            self.settle(node, fan_out.work, Settled::FannedOut(vec![row]))
                .await
        );
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
    pub fn delivered(&self, message: MessageId, endpoint: EndpointId) -> Settled {
        let mut delivery = Delivery::begin(message, endpoint, self.now());
        let outcome = Outcome::of_status(204);
        self.record(&mut delivery, outcome);
        Settled::Attempted {
            attempt: self.attempt(1, outcome),
            delivery,
            retry: None,
        }
    }

    /// A first attempt that failed, with the next one after [`WAIT`] as the named row.
    pub fn failed(&self, message: MessageId, endpoint: EndpointId) -> (Settled, WorkId) {
        self.retried(message, endpoint, self.attempt(1, Outcome::of_status(500)))
    }

    /// An attempt in a row of failures, with the next one after [`WAIT`] as the named row.
    pub fn retried(&self, message: MessageId, endpoint: EndpointId, attempt: Attempt) -> (Settled, WorkId) {
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
        let settled = Settled::Attempted {
            delivery,
            attempt,
            retry: Some(Retry { work, after: WAIT }),
        };
        (settled, work)
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
                truncated: false,
            },
        }
    }
}
