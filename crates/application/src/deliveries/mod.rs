//! Deliveries: looking at what became of messages, and sending one again.

mod list;
mod list_attempts;
mod resend;

pub use list::{ListDeliveries, ListDeliveriesHandler};
pub use list_attempts::{ListAttempts, ListAttemptsHandler};
pub use resend::{ResendDelivery, ResendDeliveryHandler};
