//! All events of all aggregates, for the log that is written with every save.
//!
//! Messages and attempts are not here: they are the hot path and have history tables of their own.

use crate::{
    ApiKeyId, ApplicationId, EndpointId, InvitationId, MembershipId, ReplayId, SessionId, TenantId, UserId,
    api_keys::ApiKeyEvent,
    applications::ApplicationEvent,
    endpoints::EndpointEvent,
    event_types::{EventTypeEvent, EventTypeName},
    replays::ReplayEvent,
    tenants::TenantEvent,
    users::{InvitationEvent, MembershipEvent, SessionEvent, UserEvent},
};

/// One fact about one aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DomainEvent {
    /// Of a tenant.
    Tenant(TenantId, TenantEvent),
    /// Of a person.
    User(UserId, UserEvent),
    /// Of a membership.
    Membership(MembershipId, MembershipEvent),
    /// Of an invitation.
    Invitation(InvitationId, InvitationEvent),
    /// Of a session.
    Session(SessionId, SessionEvent),
    /// Of an API key.
    ApiKey(ApiKeyId, ApiKeyEvent),
    /// Of an application.
    Application(ApplicationId, ApplicationEvent),
    /// Of an event type.
    EventType(EventTypeName, EventTypeEvent),
    /// Of an endpoint.
    Endpoint(ApplicationId, EndpointId, EndpointEvent),
    /// Of a replay of an endpoint's messages.
    Replay(ApplicationId, ReplayId, ReplayEvent),
}

impl DomainEvent {
    /// The stable name of what happened, `aggregate.verb`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Tenant(_, TenantEvent::Created { .. }) => "tenant.created",
            Self::Tenant(_, TenantEvent::Updated { .. }) => "tenant.updated",
            Self::Tenant(_, TenantEvent::Suspended { .. }) => "tenant.suspended",
            Self::Tenant(_, TenantEvent::Resumed { .. }) => "tenant.resumed",
            Self::Tenant(_, TenantEvent::DeletionOrdered { .. }) => "tenant.deletion_ordered",
            Self::User(_, UserEvent::Registered) => "user.registered",
            Self::User(_, UserEvent::PasswordChanged) => "user.password_changed",
            Self::Membership(_, MembershipEvent::Joined { .. }) => "membership.joined",
            Self::Membership(_, MembershipEvent::GrantsChanged { .. }) => "membership.grants_changed",
            Self::Membership(_, MembershipEvent::Removed { .. }) => "membership.removed",
            Self::Invitation(_, InvitationEvent::Issued { .. }) => "invitation.issued",
            Self::Invitation(_, InvitationEvent::Accepted) => "invitation.accepted",
            Self::Invitation(_, InvitationEvent::Withdrawn) => "invitation.withdrawn",
            Self::Invitation(_, InvitationEvent::Replaced) => "invitation.replaced",
            Self::Session(_, SessionEvent::Opened { .. }) => "session.opened",
            Self::Session(_, SessionEvent::Ended { .. }) => "session.ended",
            Self::ApiKey(_, ApiKeyEvent::Minted { .. }) => "api_key.minted",
            Self::ApiKey(_, ApiKeyEvent::Revoked) => "api_key.revoked",
            Self::Application(_, ApplicationEvent::Created { .. }) => "application.created",
            Self::Application(_, ApplicationEvent::PortalTokensRevoked { .. }) => {
                "application.portal_tokens_revoked"
            }
            Self::Application(_, ApplicationEvent::Updated { .. }) => "application.updated",
            Self::Application(_, ApplicationEvent::Deleted { .. }) => "application.deleted",
            Self::EventType(_, EventTypeEvent::Registered { .. }) => "event_type.registered",
            Self::EventType(_, EventTypeEvent::Described { .. }) => "event_type.described",
            Self::EventType(_, EventTypeEvent::SchemaAdded { .. }) => "event_type.schema_added",
            Self::EventType(_, EventTypeEvent::Archived { .. }) => "event_type.archived",
            Self::Endpoint(_, _, EndpointEvent::Created { .. }) => "endpoint.created",
            Self::Endpoint(_, _, EndpointEvent::Disabled { .. }) => "endpoint.disabled",
            Self::Endpoint(_, _, EndpointEvent::Enabled) => "endpoint.enabled",
            Self::Endpoint(_, _, EndpointEvent::Updated { .. }) => "endpoint.updated",
            Self::Endpoint(_, _, EndpointEvent::SecretRotated { .. }) => "endpoint.secret_rotated",
            Self::Endpoint(_, _, EndpointEvent::Deleted { .. }) => "endpoint.deleted",
            Self::Replay(_, _, ReplayEvent::Created { .. }) => "replay.created",
            Self::Replay(_, _, ReplayEvent::Finished { .. }) => "replay.finished",
        }
    }

    /// The aggregate that it happened to, as text: its id, or its name where that is the key.
    pub fn aggregate(&self) -> String {
        match self {
            Self::Tenant(id, _) => id.to_string(),
            Self::User(id, _) => id.to_string(),
            Self::Membership(id, _) => id.to_string(),
            Self::Invitation(id, _) => id.to_string(),
            Self::Session(id, _) => id.to_string(),
            Self::ApiKey(id, _) => id.to_string(),
            Self::Application(id, _) => id.to_string(),
            Self::EventType(name, _) => name.to_string(),
            Self::Endpoint(_, id, _) => id.to_string(),
            Self::Replay(_, id, _) => id.to_string(),
        }
    }
}
