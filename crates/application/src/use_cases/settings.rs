use std::time::Duration;

use postrider_domain::{endpoints::AddressPolicy, users::SessionLifetime};

/// What the operator configures about the use cases.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long an access token is good.
    pub access_token_lifetime: Duration,
    /// How long a login lasts, in all and without being refreshed.
    pub session_lifetime: SessionLifetime,
    /// How long an invitation can be accepted.
    pub invitation_lifetime: Duration,
    /// How long a password reset can be used.
    pub password_reset_lifetime: Duration,
    /// How long a publish's deduplication key is remembered.
    pub dedup_window: Duration,
    /// How far ahead a message may be scheduled. Below any retention: what is scheduled must still be there.
    pub schedule_horizon: Duration,
    /// Which addresses endpoints may have.
    pub address_policy: AddressPolicy,
    /// The most endpoints of one application: what one message may become at most.
    pub max_endpoints_per_application: u32,
    /// The most event types of one tenant, archived ones too.
    pub max_event_types_per_tenant: u32,
    /// The most replays of one endpoint that are under way at a time.
    pub max_replays_per_endpoint: u32,
    /// The most replays of one tenant that are under way at a time.
    pub max_replays_per_tenant: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            access_token_lifetime: Duration::from_mins(10),
            session_lifetime: SessionLifetime {
                absolute: Duration::from_hours(30 * 24),
                idle: Duration::from_hours(24),
            },
            invitation_lifetime: Duration::from_hours(7 * 24),
            password_reset_lifetime: Duration::from_hours(1),
            dedup_window: Duration::from_hours(24),
            schedule_horizon: Duration::from_hours(30 * 24),
            address_policy: AddressPolicy::public_only(),
            max_endpoints_per_application: 100,
            max_event_types_per_tenant: 1_000,
            max_replays_per_endpoint: 10,
            max_replays_per_tenant: 100,
        }
    }
}
