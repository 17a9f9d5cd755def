use std::time::Duration;

use thiserror::Error;

use super::{Jitter, Outcome, RetryPolicy};
use crate::{EndpointId, MessageId, Timestamp};

/// Why a delivery is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureReason {
    /// The schedule holds no further wait.
    Exhausted,
    /// The receiver answered 410 Gone.
    Gone,
}

impl FailureReason {
    /// The stable public name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Gone => "gone",
        }
    }

    /// The reason of that name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Exhausted, Self::Gone]
            .into_iter()
            .find(|reason| reason.as_str() == text)
    }
}

/// Where a delivery stands. Being in flight is a lease on the queue's row, not a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryStatus {
    /// An attempt is to come.
    Pending {
        /// When.
        due_at: Timestamp,
    },
    /// The receiver has it.
    Delivered,
    /// Given up.
    Failed(FailureReason),
    /// Not to be made any more: its endpoint was disabled or is gone, or the message's payload was expunged.
    Cancelled,
}

impl DeliveryStatus {
    /// The stable public name.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Pending { .. } => "pending",
            Self::Delivered => "delivered",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Why a delivery cannot be sent again now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the delivery is still pending; an attempt is to come anyway")]
pub struct NotResendable;

/// Message × endpoint, which is its key, and where it stands.
///
/// ```text
///            record(2xx)                 resend
///  pending ─────────────▶ delivered ───────────▶ pending
///     │ ▲
///     │ └─ record(failure, a wait left)
///     ├─ record(failure, none left, or 410) ───▶ failed ──resend──▶ pending
///     └─ cancel ───▶ cancelled ──resend──▶ pending
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The message.
    pub message: MessageId,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// Attempts made in all; the next one has this number plus one.
    pub attempts: u32,
    /// Failed attempts since it was last (re)sent: the position in the retry schedule.
    pub failures: u32,
}

impl Delivery {
    /// A delivery whose first attempt is due at `due_at`.
    pub const fn begin(message: MessageId, endpoint: EndpointId, due_at: Timestamp) -> Self {
        Self {
            message,
            endpoint,
            status: DeliveryStatus::Pending { due_at },
            attempts: 0,
            failures: 0,
        }
    }

    /// An attempt ended at `now` with `outcome`: what follows from it, by `policy`. A receiver that answered with a
    /// failure may have asked to be left alone for `retry_after`.
    pub fn record(
        &mut self,
        outcome: Outcome,
        retry_after: Option<Duration>,
        policy: &RetryPolicy,
        now: Timestamp,
        jitter: Jitter,
    ) {
        self.attempts += 1;
        self.status = match outcome {
            Outcome::Delivered { .. } => {
                self.failures = 0;
                DeliveryStatus::Delivered
            }
            Outcome::Failed { status, .. } => {
                self.failures += 1;
                match policy.wait_after(self.failures, retry_after, jitter) {
                    _ if status == Some(410) => DeliveryStatus::Failed(FailureReason::Gone),
                    Some(wait) => DeliveryStatus::Pending {
                        due_at: now.plus(wait),
                    },
                    None => DeliveryStatus::Failed(FailureReason::Exhausted),
                }
            }
        };
    }

    /// Its endpoint is disabled or gone, or there is no payload any more: no attempt will be made.
    pub const fn cancel(&mut self) {
        self.status = DeliveryStatus::Cancelled;
    }

    /// Sends it once more, with the whole schedule before it again. Refused while an attempt is to come anyway.
    pub const fn resend(&mut self, at: Timestamp) -> Result<(), NotResendable> {
        if matches!(self.status, DeliveryStatus::Pending { .. }) {
            return Err(NotResendable);
        }
        self.status = DeliveryStatus::Pending { due_at: at };
        self.failures = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliveries::{FailureClass, RetrySchedule};
    use proptest::prelude::*;
    use uuid::Uuid;

    const T0: Timestamp = Timestamp::from_micros(0);
    const NO_JITTER: Jitter = Jitter::from_bits(0);
    const FAILED: Outcome = Outcome::Failed {
        class: FailureClass::TimeOut,
        status: None,
    };

    fn begun() -> Delivery {
        Delivery::begin(
            MessageId::from_uuid(Uuid::from_u128(1)),
            EndpointId::from_uuid(Uuid::from_u128(2)),
            T0,
        )
    }

    fn policy(waits: &[u64]) -> RetryPolicy {
        let schedule = RetrySchedule::new(waits.iter().copied().map(Duration::from_secs).collect()).unwrap();
        RetryPolicy {
            schedule,
            ..RetryPolicy::default()
        }
    }

    #[test]
    fn fails_twice_then_succeeds() {
        let (mut delivery, policy) = (begun(), RetryPolicy::default());
        delivery.record(FAILED, None, &policy, T0, NO_JITTER);
        assert_eq!(
            delivery.status,
            DeliveryStatus::Pending {
                due_at: T0.plus(Duration::from_secs(5))
            }
        );
        delivery.record(Outcome::of_status(503), None, &policy, T0, NO_JITTER);
        assert_eq!(
            delivery.status,
            DeliveryStatus::Pending {
                due_at: T0.plus(Duration::from_mins(5))
            }
        );
        delivery.record(Outcome::of_status(204), None, &policy, T0, NO_JITTER);
        assert_eq!(
            (delivery.status, delivery.attempts, delivery.failures),
            (DeliveryStatus::Delivered, 3, 0)
        );
    }

    #[test]
    fn is_given_up_when_the_schedule_is_exhausted() {
        let (mut delivery, policy) = (begun(), policy(&[1]));
        delivery.record(FAILED, None, &policy, T0, NO_JITTER);
        delivery.record(FAILED, None, &policy, T0, NO_JITTER);
        assert_eq!(delivery.status, DeliveryStatus::Failed(FailureReason::Exhausted));
    }

    #[test]
    fn gone_is_final() {
        let mut delivery = begun();
        delivery.record(
            Outcome::of_status(410),
            None,
            &RetryPolicy::default(),
            T0,
            NO_JITTER,
        );
        assert_eq!(delivery.status, DeliveryStatus::Failed(FailureReason::Gone));
    }

    #[test]
    fn a_receiver_may_put_the_next_attempt_off_but_not_add_one() {
        let (mut delivery, policy) = (begun(), policy(&[5]));
        let hour = Some(Duration::from_hours(1));
        delivery.record(Outcome::of_status(429), hour, &policy, T0, NO_JITTER);
        let due_at = T0.plus(Duration::from_hours(1));
        assert_eq!(delivery.status, DeliveryStatus::Pending { due_at });
        delivery.record(Outcome::of_status(503), hour, &policy, T0, NO_JITTER);
        assert_eq!(delivery.status, DeliveryStatus::Failed(FailureReason::Exhausted));
        let mut gone = begun();
        gone.record(Outcome::of_status(410), hour, &policy, T0, NO_JITTER);
        assert_eq!(gone.status, DeliveryStatus::Failed(FailureReason::Gone));
    }

    #[test]
    fn redirects_are_failures() {
        assert!(matches!(
            Outcome::of_status(302),
            Outcome::Failed {
                class: FailureClass::Status,
                status: Some(302)
            }
        ));
    }

    #[test]
    fn a_resend_begins_the_schedule_anew_and_goes_on_counting() {
        let (mut delivery, policy) = (begun(), policy(&[1]));
        assert_eq!(delivery.resend(T0), Err(NotResendable));
        delivery.record(FAILED, None, &policy, T0, NO_JITTER);
        delivery.record(FAILED, None, &policy, T0, NO_JITTER);
        delivery.resend(T0).unwrap();
        assert_eq!((delivery.attempts, delivery.failures), (2, 0));
        delivery.record(FAILED, None, &policy, T0, NO_JITTER);
        assert!(
            matches!(delivery.status, DeliveryStatus::Pending { .. }),
            "a wait is left again"
        );
    }

    proptest! {
        #[test]
        fn never_more_attempts_than_the_schedule_allows(
            statuses in proptest::collection::vec(100u16..600, 1..30),
            waits in proptest::collection::vec(1u64..86_400, 0..=20),
            asked_s in proptest::option::of(0u64..1_000_000),
            bits: u16,
        ) {
            let (mut delivery, policy) = (begun(), policy(&waits));
            let retry_after = asked_s.map(Duration::from_secs);
            for status in statuses {
                if !matches!(delivery.status, DeliveryStatus::Pending { .. }) {
                    break;
                }
                delivery.record(Outcome::of_status(status), retry_after, &policy, T0, Jitter::from_bits(bits));
            }
            prop_assert!(delivery.attempts as usize <= waits.len() + 1);
            if let DeliveryStatus::Pending { due_at } = delivery.status {
                prop_assert!(due_at > T0, "a retry is never due at once");
                prop_assert!(
                    due_at >= T0.plus(retry_after.unwrap_or_default().min(policy.max_retry_after)),
                    "nor before it was asked for"
                );
            }
        }
    }
}
