//! Endpoints: where an application wants to hear of events.

#[cfg(test)]
mod barrier_tests;
mod create;
mod delete;
mod disable_by_engine;
mod get;
mod get_secret;
mod list;
mod patch;
mod put;
mod rotate_secret;
mod secrets;
mod send_test;
mod set_status;
mod stats;

pub use create::{CreateEndpoint, CreateEndpointHandler, CreatedEndpoint};
pub use delete::{DeleteEndpoint, DeleteEndpointHandler};
pub use disable_by_engine::DisableByEngine;
pub use get::{GetEndpoint, GetEndpointHandler};
pub use get_secret::{GetEndpointSecret, GetEndpointSecretHandler};
pub use list::{ListEndpoints, ListEndpointsHandler};
pub use patch::{EndpointChanges, PatchEndpoint, PatchEndpointHandler};
pub use put::{PutEndpoint, PutEndpointHandler};
pub use rotate_secret::{RotateEndpointSecret, RotateEndpointSecretHandler};
pub use secrets::NewSecret;
pub use send_test::{SendTest, SendTestHandler, TEST_EVENT_TYPE};
pub use set_status::{DisableEndpoint, DisableEndpointHandler, EnableEndpoint, EnableEndpointHandler};
pub use stats::{EndpointStats, GetEndpointStats, GetEndpointStatsHandler, StatsPeriod};
