use std::sync::Arc;

use crate::ports::{
    AccessTokens, ApplicationDirectory, Clock, EventTypeDirectory, Identities, Ids, KeyPairs, MessageIntake,
    PasswordHasher, Randomness, Schemas, SecretsReencryption, SigningKeys, TenantExport, Throttle,
    TracePropagation, UseCaseMetrics, WorkSignal,
};

/// The adapters that the use cases are composed of. Each handler takes the few that it uses.
pub struct Ports<S> {
    /// Where aggregates and views live.
    pub store: S,
    /// The hot way in for messages.
    pub intake: Arc<dyn MessageIntake>,
    /// Which application a reference means.
    pub directory: Arc<dyn ApplicationDirectory>,
    /// What is known of event types.
    pub event_types: Arc<dyn EventTypeDirectory>,
    /// Applies JSON Schemas.
    pub schemas: Arc<dyn Schemas>,
    /// Where validations are counted.
    pub metrics: Arc<dyn UseCaseMetrics>,
    /// People and their memberships.
    pub identities: Arc<dyn Identities>,
    /// Password hashing.
    pub passwords: Arc<dyn PasswordHasher>,
    /// Holds up whoever guesses passwords.
    pub throttle: Arc<dyn Throttle>,
    /// Access tokens.
    pub tokens: Arc<dyn AccessTokens>,
    /// The keys that access tokens are signed with.
    pub signing_keys: Arc<dyn SigningKeys>,
    /// What is stored secretly.
    pub reencryption: Arc<dyn SecretsReencryption>,
    /// Everything that a tenant owns.
    pub export: Arc<dyn TenantExport>,
    /// Wakes the engine.
    pub work_signal: Arc<dyn WorkSignal>,
    /// The current trace.
    pub trace: Arc<dyn TracePropagation>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub ids: Arc<dyn Ids>,
    /// Randomness.
    pub randomness: Arc<dyn Randomness>,
    /// The key pairs that webhooks are signed with.
    pub key_pairs: Arc<dyn KeyPairs>,
}
