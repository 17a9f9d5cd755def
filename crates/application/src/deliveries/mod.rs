//! Deliveries: looking at what became of messages, and sending one again.

mod list;
mod list_attempts;
mod resend;
mod search;
mod shown_attempt;

pub use list::{ListDeliveries, ListDeliveriesHandler};
pub use list_attempts::{ListAttempts, ListAttemptsHandler};
pub use resend::{ResendDelivery, ResendDeliveryHandler};
pub use search::{SearchDeliveries, SearchDeliveriesHandler};
pub use shown_attempt::ShownAttempt;
