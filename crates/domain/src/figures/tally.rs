use super::Latencies;
use crate::{
    Timestamp,
    deliveries::{Attempt, DeliveryStatus, FailureClass, Outcome},
};

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;

/// When the hour began.
pub const fn hour_of(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.as_micros() - at.as_micros().rem_euclid(HOUR))
}

/// When the day began, in UTC.
pub const fn day_of(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.as_micros() - at.as_micros().rem_euclid(DAY))
}

/// An attempt that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastFailure {
    /// Where it failed.
    pub class: FailureClass,
    /// The HTTP status, if there was one.
    pub http_status: Option<u16>,
    /// When it began.
    pub at: Timestamp,
}

/// What happened at an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EndpointFigures {
    /// Attempts made.
    pub attempts: u64,
    /// Those of them that the receiver took.
    pub delivered: u64,
    /// How long they took.
    pub latencies: Latencies,
    /// The last one that failed.
    pub last_failure: Option<LastFailure>,
    /// When the last one began that the receiver took.
    pub last_delivered_at: Option<Timestamp>,
}

impl EndpointFigures {
    /// One more attempt.
    pub fn note(&mut self, attempt: &Attempt) {
        self.attempts += 1;
        self.latencies.note(attempt.latency);
        match attempt.outcome {
            Outcome::Delivered { .. } => {
                self.delivered += 1;
                self.last_delivered_at = self.last_delivered_at.max(Some(attempt.started_at));
            }
            Outcome::Failed { class, status } => {
                let failure = LastFailure {
                    class,
                    http_status: status,
                    at: attempt.started_at,
                };
                self.last_failure = later(self.last_failure, Some(failure));
            }
        }
    }

    /// All of the others as well.
    pub fn merge(&mut self, others: &Self) {
        self.attempts += others.attempts;
        self.delivered += others.delivered;
        self.latencies.merge(&others.latencies);
        self.last_failure = later(self.last_failure, others.last_failure);
        self.last_delivered_at = self.last_delivered_at.max(others.last_delivered_at);
    }
}

fn later(a: Option<LastFailure>, b: Option<LastFailure>) -> Option<LastFailure> {
    a.into_iter().chain(b).max_by_key(|failure| failure.at)
}

/// What happened in a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageFigures {
    /// Messages accepted.
    pub accepted: u64,
    /// The bytes of their payloads.
    pub payload_bytes: u64,
    /// Attempts made.
    pub attempts: u64,
    /// Deliveries that came to their receiver.
    pub delivered: u64,
    /// Deliveries that were given up.
    pub failed: u64,
}

impl UsageFigures {
    /// One more message was accepted.
    pub const fn note_message(&mut self, payload_bytes: u64) {
        self.accepted += 1;
        self.payload_bytes += payload_bytes;
    }

    /// One more attempt was made, after which the delivery stands there.
    pub const fn note_attempt(&mut self, status: DeliveryStatus) {
        self.attempts += 1;
        match status {
            DeliveryStatus::Delivered => self.delivered += 1,
            DeliveryStatus::Failed(_) => self.failed += 1,
            DeliveryStatus::Pending { .. } | DeliveryStatus::Cancelled => {}
        }
    }

    /// All of the others as well.
    pub const fn merge(&mut self, others: &Self) {
        self.accepted += others.accepted;
        self.payload_bytes += others.payload_bytes;
        self.attempts += others.attempts;
        self.delivered += others.delivered;
        self.failed += others.failed;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::deliveries::{CapturedBody, FailureReason};

    fn attempt(at: i64, outcome: Outcome) -> Attempt {
        Attempt {
            number: 1,
            started_at: Timestamp::from_micros(at),
            latency: Duration::from_millis(7),
            outcome,
            response_body: CapturedBody::default(),
        }
    }

    #[test]
    fn figures_add_up_in_any_order() {
        let all = [
            attempt(5, Outcome::of_status(503)),
            attempt(9, Outcome::of_status(204)),
            attempt(3, Outcome::of_status(404)),
        ];
        let mut once = EndpointFigures::default();
        for attempt in &all {
            once.note(attempt);
        }
        let mut twice = EndpointFigures::default();
        for attempt in all.iter().rev() {
            let mut single = EndpointFigures::default();
            single.note(attempt);
            twice.merge(&single);
        }
        assert_eq!(once, twice);
        assert_eq!((once.attempts, once.delivered), (3, 1));
        assert_eq!(
            once.last_failure.and_then(|failure| failure.http_status),
            Some(503)
        );
        assert_eq!(once.last_delivered_at, Some(Timestamp::from_micros(9)));
    }

    #[test]
    fn usage_counts_what_came_to_an_end() {
        let mut usage = UsageFigures::default();
        usage.note_message(10);
        let at = Timestamp::from_micros(1);
        for status in [
            DeliveryStatus::Pending { due_at: at },
            DeliveryStatus::Delivered,
            DeliveryStatus::Failed(FailureReason::Gone),
        ] {
            usage.note_attempt(status);
        }
        usage.merge(&usage.clone());
        assert_eq!(
            usage,
            UsageFigures {
                accepted: 2,
                payload_bytes: 20,
                attempts: 6,
                delivered: 2,
                failed: 2
            }
        );
    }

    #[test]
    fn hours_and_days_begin_where_they_begin() {
        let at = |micros| Timestamp::from_micros(micros);
        assert_eq!(hour_of(at(HOUR + 1)), at(HOUR));
        assert_eq!(hour_of(at(-1)), at(-HOUR));
        assert_eq!(day_of(at(2 * DAY)), at(2 * DAY));
        assert_eq!(day_of(at(2 * DAY - 1)), at(DAY));
    }
}
