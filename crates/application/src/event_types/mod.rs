//! Event types: what can happen, by name.

mod get;
mod register;

pub use get::{GetEventType, GetEventTypeHandler};
pub use register::{RegisterEventType, RegisterEventTypeHandler};
