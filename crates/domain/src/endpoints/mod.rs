//! Endpoints: where an application wants to hear of events.

mod address_policy;
mod attributes;
mod endpoint;
mod failing;
mod filter;
mod headers;
mod keys;
mod ring;
mod secret;
mod url;

pub use address_policy::AddressPolicy;
pub use attributes::{EndpointAttributes, EndpointField};
pub use endpoint::{
    AttemptTimeout, DisableReason, Endpoint, EndpointEvent, EndpointRef, EndpointState, EndpointStatus,
    NewEndpoint,
};
pub use failing::FailingPolicy;
pub use filter::Filter;
pub use headers::{CustomHeaders, HeaderName, HeaderPatch, HeaderValue, InvalidHeaders, ShownHeaders};
pub use keys::{Ed25519Key, EndpointSecret, GivenSecret, SecretType};
pub use ring::{HeldSecret, Overlap, RotationRefused, SecretRing};
pub use secret::SigningSecret;
pub use url::EndpointUrl;
