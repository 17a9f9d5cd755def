//! Postrider's domain: what a tenant, an application, an endpoint, a message and a delivery *are*,
//! what may happen to them, and what follows.
//!
//! The crate is pure: no async, no I/O, no clock, no randomness, no serialisation. Time, ids and random
//! numbers are handed in; stored and wire forms have types of their own in the crates that own them.
//!
//! | module | what lives there |
//! |---|---|
//! | [`tenants`] | the companies that send webhooks, the isolation boundary |
//! | [`users`], [`api_keys`] | people with their memberships and sessions; machine principals |
//! | [`tokens`] | opaque bearer tokens: API keys, refresh tokens, invitations, password resets |
//! | [`access`] | permissions, roles, grants, and the one function that decides |
//! | [`applications`] | a tenant's customers |
//! | [`event_types`] | what can happen, by name |
//! | [`endpoints`] | where a customer wants to hear of it: URL, filters, secret, address policy |
//! | [`messages`] | one event published to one application |
//! | [`deliveries`] | message × endpoint: the state machine, attempts, retry policy, the content to sign |
//! | [`replays`] | jobs that deliver many messages to an endpoint again, or what it lacks |
//! | [`figures`] | what happened at an endpoint and in a tenant, added up |
//! | [`events`] | the facts that aggregates record |

pub mod access;
mod aggregate;
pub mod api_keys;
pub mod applications;
pub mod deliveries;
pub mod endpoints;
pub mod event_types;
pub mod events;
pub mod figures;
mod ids;
pub mod messages;
pub mod replays;
pub mod tenants;
mod text;
mod time;
pub mod tokens;
pub mod users;
mod value;

pub use aggregate::{Aggregate, Change, Version};
pub use ids::{
    ApiKeyId, ApplicationId, AuditEntryId, EndpointId, IdError, InvitationId, MembershipId, MessageId,
    PasswordResetId, PortalTokenId, ReplayId, SessionId, TenantId, UserId, WorkId,
};
pub use text::{Description, Metadata, Name, Uid};
pub use time::Timestamp;
pub use value::{InvalidValue, Rule};
