//! What the engine would do, step by step: claims, fans out and settles.

use std::time::Duration;

use postrider_application::ports::{
    AggregateKey, ClaimFrom, ClaimedWork, Clock as _, Concluded, Epoch, NewWork, Retry, SetAside, Settlement,
    StartAt, WorkRef,
};
use postrider_domain::{
    EndpointId, MessageId, WorkId,
    deliveries::{
        Attempt, CapturedBody, CapturedHeaders, Delivery, DeliveryStatus, Jitter, Outcome, RetryPolicy,
    },
};

use super::Api;

impl Api {
    /// Fans the waiting message out to `endpoint` and makes one attempt with each of the outcomes.
    pub(crate) async fn deliver(&self, message: &str, endpoint: &str, outcomes: &[(Outcome, &[u8])]) {
        let (message, endpoint): (MessageId, EndpointId) =
            (message.parse().unwrap(), endpoint.parse().unwrap());
        let node = self.ports.nodes.join(Duration::from_secs(15)).await.unwrap();
        let fan_out = self.claim(node, message).await;
        let id = WorkId::from_uuid(self.ids.next());
        let exploded = Settlement {
            work: fan_out.work,
            concluded: Vec::new(),
            open: vec![NewWork {
                id,
                endpoint,
                parked: false,
            }],
        };
        self.settle(node, exploded).await;
        let mut row = WorkRef { id, claim: 1 };
        let mut delivery = Delivery::begin(message, endpoint, self.clock.now());
        for (outcome, body) in outcomes {
            row = self.attempt(node, row, &mut delivery, *outcome, body).await;
        }
    }

    /// Sets an event aside that no subscriber of ours could take; its id.
    pub(crate) async fn dead_letter(&self, aggregate: &str) -> String {
        const SUBSCRIBER: &str = "sink";
        let (cursors, head) = (&self.ports.cursors, self.ports.events.head().await.unwrap());
        let node = self.ports.nodes.join(Duration::from_secs(15)).await.unwrap();
        cursors.declare(SUBSCRIBER, StartAt::Beginning).await.unwrap();
        let taken = cursors.take(node, &[SUBSCRIBER]).await.unwrap();
        assert_eq!(taken.len(), 1, "whoever held it before has left");
        let aside = SetAside {
            position: head,
            of: AggregateKey {
                tenant: None,
                aggregate: aggregate.to_owned(),
            },
            kind: "endpoint.created".to_owned(),
            attempts: 8,
            error: Some("refused".to_owned()),
            discarded: false,
            later_in_log: false,
        };
        assert!(cursors.advance(node, SUBSCRIBER, head, &[aside]).await.unwrap());
        self.ports.nodes.leave(node).await.unwrap();
        format!("{SUBSCRIBER}.{head}")
    }

    async fn claim(&self, node: Epoch, message: MessageId) -> ClaimedWork {
        let rows = self
            .ports
            .queue
            .claim(node, ClaimFrom::Queue { low: None }, 100)
            .await
            .unwrap();
        let (ours, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.message == message);
        let others = others.into_iter().map(|row| row.work).collect();
        self.ports.queue.hand_back(node, others).await.unwrap();
        let [row] = <[_; 1]>::try_from(ours).unwrap();
        row
    }

    async fn attempt(
        &self,
        node: Epoch,
        row: WorkRef,
        delivery: &mut Delivery,
        outcome: Outcome,
        body: &[u8],
    ) -> WorkRef {
        let policy = RetryPolicy::default();
        delivery.record(outcome, None, &policy, self.clock.now(), Jitter::from_bits(0));
        let attempt = Attempt {
            number: delivery.attempts,
            started_at: self.clock.now(),
            latency: Duration::from_micros(12_345),
            outcome,
            response_body: CapturedBody {
                bytes: body.to_vec(),
                truncated: body.len() > 16,
                headers: CapturedHeaders::capture([
                    ("retry-after", b"120".as_slice()),
                    ("set-cookie", b"a=b"),
                ]),
            },
        };
        let next = WorkId::from_uuid(self.ids.next());
        let pending = matches!(delivery.status, DeliveryStatus::Pending { .. });
        let retry = pending.then_some(Retry {
            work: next,
            after: Duration::ZERO,
        });
        let concluded = Concluded {
            delivery: delivery.clone(),
            attempt: Some(attempt),
            retry,
        };
        let settlement = Settlement {
            work: row,
            concluded: vec![concluded],
            open: Vec::new(),
        };
        self.settle(node, settlement).await;
        if !pending {
            return row;
        }
        let rows = self
            .ports
            .queue
            .claim(node, ClaimFrom::Queue { low: None }, 100)
            .await
            .unwrap();
        rows.into_iter().find(|row| row.work.id == next).unwrap().work
    }

    async fn settle(&self, node: Epoch, settlement: Settlement) {
        let id = settlement.work.id;
        assert_eq!(
            self.ports.queue.settle(node, vec![settlement]).await.unwrap(),
            [id]
        );
    }
}
