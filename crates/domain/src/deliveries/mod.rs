//! Deliveries: message × endpoint. The state machine, its attempts, the retry policy, and the content to sign.

mod attempt;
mod delivery;
mod headers;
mod retry;
mod signing;

pub use attempt::{Attempt, CapturedBody, FailureClass, Outcome};
pub use delivery::{Delivery, DeliveryStatus, FailureReason, NotResendable};
pub use headers::CapturedHeaders;
pub use retry::{Jitter, RetryPolicy, RetrySchedule};
pub use signing::{SignedContent, header};
