//! One attempt: sign, send, and decide what follows.

use std::{borrow::Cow, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use postrider_application::ports::{Concluded, DeliverableEndpoint, OutgoingRequest, Retry, Sent};
use postrider_domain::{
    ApplicationId, EndpointId, MessageId, TenantId, Timestamp, WorkId,
    deliveries::{
        Attempt, CapturedBody, Delivery, DeliveryStatus, FailureClass, Jitter, Outcome, RetryPolicy,
        SignedContent, header,
    },
    messages::{Message, TraceParent},
};
use tokio::time;
use tracing::{Instrument, Span};

use crate::{EngineOptions, ports::EnginePorts, trace};

/// How long after its own deadline a sender is given up that does not answer. None of ours needs it.
const GRACE: Duration = Duration::from_secs(1);

/// Which delivery it is, and how far it came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject {
    pub(crate) tenant: TenantId,
    pub(crate) application: ApplicationId,
    pub(crate) message: MessageId,
    pub(crate) endpoint: EndpointId,
    pub(crate) attempts: u32,
    pub(crate) failures: u32,
    /// Whether a resend or a replay put it into the queue.
    pub(crate) asked_for: bool,
}

impl Subject {
    /// Whether nothing was tried yet of what the message itself set off: only then do its age and how late we are tell the
    /// same.
    pub(crate) const fn is_at_its_first(&self) -> bool {
        self.attempts == 0 && !self.asked_for
    }

    /// The delivery as it stands before anything is done.
    const fn delivery(&self, now: Timestamp) -> Delivery {
        Delivery {
            message: self.message,
            endpoint: self.endpoint,
            status: DeliveryStatus::Pending { due_at: now },
            attempts: self.attempts,
            failures: self.failures,
        }
    }

    /// No attempt will be made: the endpoint is disabled or gone, or the payload was expunged.
    pub(crate) fn cancelled(&self, now: Timestamp) -> Concluded {
        let mut delivery = self.delivery(now);
        delivery.cancel();
        Concluded {
            delivery,
            attempt: None,
            retry: None,
        }
    }
}

/// What an attempt needs.
pub(crate) struct Attempting {
    pub(crate) subject: Subject,
    /// The trace that it was asked for in, if somebody asked for it to be made again.
    pub(crate) asked_in: Option<TraceParent>,
    pub(crate) message: Arc<Message>,
    pub(crate) endpoint: Arc<DeliverableEndpoint>,
}

/// When an attempt began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    at: Timestamp,
    monotonic: Duration,
}

impl Begun {
    pub(crate) fn now(ports: &EnginePorts) -> Self {
        Self {
            at: ports.clock.now(),
            monotonic: ports.clock.monotonic(),
        }
    }
}

impl Attempting {
    /// Makes the attempt and answers what is to be written. Always answers, even if the sender panics.
    pub(crate) async fn run(self, begun: Begun, ports: &EnginePorts, options: &EngineOptions) -> Concluded {
        let (started_at, begun) = (begun.at, begun.monotonic);
        let delivery = self.subject.delivery(started_at);
        let number = delivery.attempts + 1;
        let span = trace::attempt_span(
            &self.subject,
            self.asked_in.as_ref(),
            self.endpoint.url.as_ref(),
            number,
            &self.message,
        );
        let sending = self.send(&span, started_at, ports, options);
        let sending = AssertUnwindSafe(sending).catch_unwind();
        let sent = if span.is_none() {
            sending.await
        } else {
            sending.instrument(span.clone()).await
        };
        let sent = sent.unwrap_or_else(|_| {
            tracing::error!(parent: &span, message = %self.message.id, "an attempt panicked");
            internal_failure()
        });
        let attempt = Attempt {
            number,
            started_at,
            latency: ports.clock.monotonic().saturating_sub(begun),
            outcome: sent.outcome,
            response_body: sent.response_body,
        };
        if !span.is_none() {
            trace::record_outcome(&span, attempt.outcome);
        }
        self.conclude(delivery, attempt, sent.retry_after, ports, options)
    }

    async fn send(&self, span: &Span, at: Timestamp, ports: &EnginePorts, options: &EngineOptions) -> Sent {
        let endpoint = &self.endpoint;
        let timeout = endpoint.timeout.unwrap_or(options.attempt_timeout).as_duration();
        let headers = self.headers(span, at, ports, options);
        let (Some(url), Some(headers)) = (endpoint.url.clone(), headers) else {
            tracing::error!(
                endpoint = %endpoint.id,
                "the stored endpoint's URL, secret or headers cannot be read: nothing can be sent"
            );
            return internal_failure();
        };
        let request = OutgoingRequest {
            url,
            headers,
            custom_headers: endpoint.headers.clone(),
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
        span: &Span,
        at: Timestamp,
        ports: &EnginePorts,
        options: &EngineOptions,
    ) -> Option<Vec<(&'static str, String)>> {
        let payload = &self.message.payload;
        let content = SignedContent::new(self.message.id, at, payload);
        let signature = ports.signer.sign(&self.endpoint.secrets, &content)?;
        let mut headers = Vec::with_capacity(6);
        headers.extend([
            ("content-type", payload.content_type().as_str().to_owned()),
            ("user-agent", options.user_agent.clone()),
            (header::ID, content.id),
            (header::TIMESTAMP, content.timestamp),
            (header::SIGNATURE, signature),
        ]);
        if let Some(traceparent) = trace::outgoing_traceparent(span, &self.message) {
            headers.push(("traceparent", traceparent));
        }
        Some(headers)
    }

    fn conclude(
        &self,
        mut delivery: Delivery,
        attempt: Attempt,
        retry_after: Option<Duration>,
        ports: &EnginePorts,
        options: &EngineOptions,
    ) -> Concluded {
        let policy = match &self.endpoint.retry_schedule {
            // Most are delivered, and need none.
            Some(schedule) if matches!(attempt.outcome, Outcome::Failed { .. }) => Cow::Owned(RetryPolicy {
                schedule: schedule.clone(),
                ..options.retry.clone()
            }),
            _ => Cow::Borrowed(&options.retry),
        };
        let now = ports.clock.now();
        let jitter = match attempt.outcome {
            Outcome::Delivered { .. } => Jitter::from_bits(0),
            Outcome::Failed { .. } => Jitter::from_bits(u16::from_ne_bytes(ports.randomness.bytes())),
        };
        delivery.record(attempt.outcome, retry_after, &policy, now, jitter);
        let retry = match delivery.status {
            DeliveryStatus::Pending { due_at } => Some(Retry {
                work: WorkId::from_uuid(ports.ids.next()),
                after: due_at.since(now),
            }),
            _ => None,
        };
        Concluded {
            delivery,
            attempt: Some(attempt),
            retry,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_attempt_is_of_what_the_message_set_off() {
        let first = Subject {
            tenant: TenantId::from_uuid(uuid::Uuid::nil()),
            application: ApplicationId::from_uuid(uuid::Uuid::nil()),
            message: MessageId::from_uuid(uuid::Uuid::nil()),
            endpoint: EndpointId::from_uuid(uuid::Uuid::nil()),
            attempts: 0,
            failures: 0,
            asked_for: false,
        };
        assert!(first.is_at_its_first());
        let retried = Subject {
            attempts: 1,
            failures: 1,
            ..first
        };
        let replayed = Subject {
            asked_for: true,
            ..first
        };
        assert!(!retried.is_at_its_first() && !replayed.is_at_its_first());
    }
}
