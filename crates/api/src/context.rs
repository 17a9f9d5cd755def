use std::{sync::Arc, time::Duration};

use ipnet::IpNet;
use postrider_application::{
    UseCases,
    authentication::Authenticator,
    mediator::Mediator,
    ports::{AccessTokens, Clock, Ids},
};
use postrider_crypto::{AskedKeys, CursorKeys, OperatorTokens};
use postrider_persistence::SqlStore;

use crate::{AllowedOrigins, Health, RateLimits};

/// The way to all use cases, over the one SQL store.
pub type App = Mediator<UseCases<SqlStore>>;

/// What the routes and their middleware need. Composed once, shared by all workers.
pub struct ApiContext {
    /// The way to all use cases.
    pub mediator: Arc<App>,
    /// Recognises access tokens and API keys.
    pub authenticator: Arc<Authenticator>,
    /// The tokens of whoever runs the installation.
    pub operator_tokens: Arc<OperatorTokens>,
    /// For the public keys at `/.well-known/jwks.json`.
    pub tokens: Arc<dyn AccessTokens>,
    /// What is known of how this process is.
    pub health: Arc<Health>,
    /// For the times that answers say of themselves.
    pub clock: Arc<dyn Clock>,
    /// For request ids.
    pub ids: Arc<dyn Ids>,
    /// Our own proxies: only what they say of whom they forward for is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How often each may ask.
    pub rates: RateLimits,
    /// Whose pages may call.
    pub allowed_origins: AllowedOrigins,
    /// Vouches for the cursors of lists.
    pub cursors: Arc<CursorKeys>,
    /// For what was asked under idempotency keys.
    pub asked: Arc<AskedKeys>,
    /// How much of everything.
    pub limits: Limits,
}

/// How much the API takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of a message's payload.
    pub max_payload_bytes: usize,
    /// The most bytes of a body that holds a payload.
    pub max_body_bytes: usize,
    /// The most bytes of a body that anybody may send, without a credential.
    pub max_public_body_bytes: usize,
    /// The most bytes of any other body.
    pub max_resource_body_bytes: usize,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
}

impl Limits {
    /// What a body may hold besides the payload, in bytes.
    const ENVELOPE_BYTES: usize = 64 * 1024;

    /// The default limits, for payloads of up to `max_payload_bytes` bytes.
    pub const fn for_payloads(max_payload_bytes: usize) -> Self {
        Self {
            max_payload_bytes,
            max_body_bytes: max_payload_bytes + Self::ENVELOPE_BYTES,
            // Far more than an address, a name, a password of 1,024 bytes and a token come to, all of it as escapes.
            max_public_body_bytes: 64 * 1024,
            // The largest legal resource, 50 pairs of metadata in four-byte characters, written as escapes.
            max_resource_body_bytes: 512 * 1024,
            body_timeout: Duration::from_secs(30),
        }
    }
}

impl Default for Limits {
    /// Payloads of up to 1 MiB.
    fn default() -> Self {
        Self::for_payloads(1024 * 1024)
    }
}
