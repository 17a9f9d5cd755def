//! One attempt: sign, send, and decide what follows.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use postrider_application::ports::{
    ClaimedWork, DeliverableEndpoint, OutgoingRequest, Retry, Sent, Settled, Settlement,
};
use postrider_domain::{
    WorkId,
    deliveries::{
        Attempt, CapturedBody, Delivery, DeliveryStatus, FailureClass, Jitter, Outcome, RetryPolicy,
        SignedContent, header,
    },
    messages::Message,
};
use tokio::time;
use tracing::{Instrument, Span};

use crate::{
    EngineOptions,
    plan::{Target, delivery_of},
    ports::EnginePorts,
    trace,
};

/// How long after its own deadline a sender is given up that does not answer. None of ours needs it.
const GRACE: Duration = Duration::from_secs(1);

/// What an attempt needs.
pub(crate) struct Job {
    pub(crate) work: ClaimedWork,
    pub(crate) message: Arc<Message>,
    pub(crate) target: Target,
}

impl Job {
    /// Makes the attempt and answers what is to be written. Always answers, even if the sender panics.
    pub(crate) async fn run(self, ports: &EnginePorts, options: &EngineOptions) -> Settlement {
        let endpoint = self.target.endpoint();
        let delivery = delivery_of(&self.work, endpoint.id, ports.clock.now());
        let number = delivery.attempts + 1;
        let span = trace::attempt_span(
            &self.work,
            endpoint.id,
            endpoint.url.as_ref(),
            number,
            &self.message,
        );
        let (started_at, begun) = (ports.clock.now(), ports.clock.monotonic());
        let sending = self.send(&span, ports, options).instrument(span.clone());
        let sent = AssertUnwindSafe(sending)
            .catch_unwind()
            .await
            .unwrap_or_else(|_| {
                tracing::error!(parent: &span, "an attempt panicked");
                internal_failure()
            });
        let attempt = Attempt {
            number,
            started_at,
            latency: ports.clock.monotonic().saturating_sub(begun),
            outcome: sent.outcome,
            response_body: sent.response_body,
        };
        trace::record_outcome(&span, attempt.outcome);
        self.settle(delivery, attempt, sent.retry_after, ports, options)
    }

    async fn send(&self, span: &Span, ports: &EnginePorts, options: &EngineOptions) -> Sent {
        let endpoint = self.target.endpoint();
        let timeout = endpoint.timeout.unwrap_or(options.attempt_timeout).as_duration();
        let headers = self.headers(endpoint, span, ports, options);
        let (Some(url), Some(headers)) = (endpoint.url.clone(), headers) else {
            tracing::error!("the stored endpoint's URL or secret cannot be read: nothing can be sent");
            return internal_failure();
        };
        let request = OutgoingRequest {
            url,
            headers,
            body: Arc::clone(self.message.payload.bytes()),
            timeout,
        };
        time::timeout(timeout + GRACE, ports.sender.send(request))
            .await
            .unwrap_or_else(|_| Sent {
                outcome: Outcome::Failed {
                    class: FailureClass::TimeOut,
                    status: None,
                },
                retry_after: None,
                response_body: CapturedBody::default(),
            })
    }

    /// Nothing if there is no secret to sign with. The time signed is the attempt's, not the message's: receivers
    /// refuse old signatures.
    fn headers(
        &self,
        endpoint: &DeliverableEndpoint,
        span: &Span,
        ports: &EnginePorts,
        options: &EngineOptions,
    ) -> Option<Vec<(&'static str, String)>> {
        let payload = &self.message.payload;
        let content = SignedContent::new(self.message.id, ports.clock.now(), payload);
        let signature = ports.signer.sign(&endpoint.secrets, &content)?;
        let mut headers = vec![
            ("content-type", payload.content_type().as_str().to_owned()),
            ("user-agent", options.user_agent.clone()),
            (header::ID, content.id),
            (header::TIMESTAMP, content.timestamp),
            (header::SIGNATURE, signature),
        ];
        if let Some(traceparent) = trace::outgoing_traceparent(span, &self.message) {
            headers.push(("traceparent", traceparent));
        }
        Some(headers)
    }

    fn settle(
        &self,
        mut delivery: Delivery,
        attempt: Attempt,
        retry_after: Option<Duration>,
        ports: &EnginePorts,
        options: &EngineOptions,
    ) -> Settlement {
        let schedule = self.target.endpoint().retry_schedule.as_ref();
        let policy = RetryPolicy {
            schedule: schedule.unwrap_or(&options.retry.schedule).clone(),
            ..options.retry.clone()
        };
        let now = ports.clock.now();
        let jitter = Jitter::from_bits(u16::from_ne_bytes(ports.randomness.bytes()));
        delivery.record(attempt.outcome, retry_after, &policy, now, jitter);
        let retry = match delivery.status {
            DeliveryStatus::Pending { due_at } => Some(Retry {
                work: WorkId::from_uuid(ports.ids.next()),
                after: due_at.since(now),
            }),
            _ => None,
        };
        Settlement {
            work: self.work.work,
            settled: Settled::Attempted {
                delivery,
                attempt,
                retry,
            },
        }
    }
}

fn internal_failure() -> Sent {
    Sent {
        outcome: Outcome::Failed {
            class: FailureClass::Internal,
            status: None,
        },
        retry_after: None,
        response_body: CapturedBody::default(),
    }
}
