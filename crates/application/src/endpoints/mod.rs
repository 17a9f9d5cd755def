//! Endpoints: where an application wants to hear of events.

mod create;
mod disable_by_engine;
mod get;
mod get_secret;
mod set_status;
mod stats;

pub use create::{CreateEndpoint, CreateEndpointHandler, CreatedEndpoint};
pub use disable_by_engine::DisableByEngine;
pub use get::{GetEndpoint, GetEndpointHandler};
pub use get_secret::{GetEndpointSecret, GetEndpointSecretHandler};
pub use set_status::{DisableEndpoint, DisableEndpointHandler, EnableEndpoint, EnableEndpointHandler};
pub use stats::{EndpointStats, GetEndpointStats, GetEndpointStatsHandler, StatsPeriod};
