//! Endpoints: where an application wants to hear of events.

mod address_policy;
mod endpoint;
mod failing;
mod filter;
mod secret;
mod url;

pub use address_policy::AddressPolicy;
pub use endpoint::{
    AttemptTimeout, DisableReason, Endpoint, EndpointEvent, EndpointRef, EndpointState, EndpointStatus,
    NewEndpoint,
};
pub use failing::FailingPolicy;
pub use filter::Filter;
pub use secret::SigningSecret;
pub use url::EndpointUrl;
