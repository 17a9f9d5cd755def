//! Endpoints: where an application wants to hear of events.

mod create;
mod get;
mod get_secret;
mod set_status;

pub use create::{CreateEndpoint, CreateEndpointHandler, CreatedEndpoint};
pub use get::{GetEndpoint, GetEndpointHandler};
pub use get_secret::{GetEndpointSecret, GetEndpointSecretHandler};
pub use set_status::{DisableEndpoint, DisableEndpointHandler, EnableEndpoint, EnableEndpointHandler};
