use uuid::Uuid;

use postrider_domain::{
    Description, EndpointId, InvitationId, MembershipId, Name, ReplayId, Timestamp, UserId,
    access::{Grant, Role},
    api_keys::ApiKeyEvent,
    applications::ApplicationEvent,
    endpoints::{DisableReason, EndpointEvent, EndpointUrl},
    event_types::EventTypeEvent,
    events::DomainEvent,
    replays::{Progress, ReplayEvent, ReplayMode, ReplayStatus},
    tenants::{TenantEvent, TenantSettings},
    users::{InvitationEvent, MembershipEvent, SessionEnd, SessionEvent, UserEvent},
};

use super::paid;
use crate::test_support::{api_key, application, session, tenant};

/// One event of each kind, of tenant 1 and what is its own.
pub(super) fn one_of_each() -> Vec<DomainEvent> {
    let uuid = Uuid::from_u128(1);
    let (tenant, user, app) = (tenant(1), UserId::from_uuid(uuid), application(1));
    let (key, session) = (api_key(1).id, session(1).id);
    let (member, invitation) = (MembershipId::from_uuid(uuid), InvitationId::from_uuid(uuid));
    let endpoint = EndpointId::from_uuid(uuid);
    let (name, at) = (Name::parse("n").unwrap(), Timestamp::from_micros(1));
    let grants = vec![Grant::tenant(Role::Viewer)];
    let issued = InvitationEvent::Issued {
        grants: grants.clone(),
        expires_at: at,
    };
    let minted = ApiKeyEvent::Minted {
        name: name.clone(),
        grants: grants.clone(),
        expires_at: None,
    };
    let registered = EventTypeEvent::Registered {
        description: Description::default(),
    };
    let described = EventTypeEvent::Described {
        description: Description::default(),
    };
    let updated = TenantEvent::Updated {
        name: name.clone(),
        settings: TenantSettings::default(),
    };
    let endpoint_created = EndpointEvent::Created {
        url: EndpointUrl::parse("https://example.com").unwrap(),
        uid: None,
    };
    let rotated = EndpointEvent::SecretRotated {
        kind: postrider_domain::endpoints::SecretType::Hmac,
        old_until: None,
    };
    let disabled = EndpointEvent::Disabled {
        why: DisableReason::Manual,
        at,
    };
    let ended = SessionEvent::Ended {
        user,
        why: SessionEnd::LoggedOut,
    };
    let joined = MembershipEvent::Joined {
        user,
        grants: grants.clone(),
    };
    let replay = |event| DomainEvent::Replay(app, ReplayId::from_uuid(uuid), event);
    let replay_created = ReplayEvent::Created {
        endpoint,
        mode: ReplayMode::All,
        from: at,
        to: at,
    };
    let replay_finished = ReplayEvent::Finished {
        endpoint,
        status: ReplayStatus::Completed,
        progress: Progress::default(),
        at,
    };
    vec![
        DomainEvent::Tenant(tenant, TenantEvent::Created { name: name.clone() }),
        DomainEvent::Tenant(tenant, updated),
        DomainEvent::Tenant(tenant, TenantEvent::Suspended { at }),
        DomainEvent::Tenant(tenant, TenantEvent::Resumed { at }),
        DomainEvent::Tenant(tenant, TenantEvent::DeletionOrdered { at }),
        DomainEvent::User(user, UserEvent::Registered),
        DomainEvent::User(user, UserEvent::PasswordChanged),
        DomainEvent::Membership(member, joined),
        DomainEvent::Membership(member, MembershipEvent::GrantsChanged { user, grants }),
        DomainEvent::Membership(member, MembershipEvent::Removed { user }),
        DomainEvent::Invitation(invitation, issued),
        DomainEvent::Invitation(invitation, InvitationEvent::Accepted),
        DomainEvent::Invitation(invitation, InvitationEvent::Withdrawn),
        DomainEvent::Invitation(invitation, InvitationEvent::Replaced),
        DomainEvent::Session(session, SessionEvent::Opened { user }),
        DomainEvent::Session(session, ended),
        DomainEvent::ApiKey(key, minted),
        DomainEvent::ApiKey(key, ApiKeyEvent::Revoked),
        DomainEvent::Application(app, ApplicationEvent::Created { uid: None, name }),
        DomainEvent::Application(app, ApplicationEvent::PortalTokensRevoked { valid_after: at }),
        DomainEvent::EventType(paid(), registered),
        DomainEvent::EventType(paid(), described),
        DomainEvent::EventType(paid(), EventTypeEvent::SchemaAdded { number: 1 }),
        DomainEvent::EventType(paid(), EventTypeEvent::Archived { at }),
        DomainEvent::Application(app, ApplicationEvent::Updated { changed: Vec::new() }),
        DomainEvent::Application(app, ApplicationEvent::Deleted { uid: None }),
        DomainEvent::Endpoint(app, endpoint, endpoint_created),
        DomainEvent::Endpoint(app, endpoint, disabled),
        DomainEvent::Endpoint(app, endpoint, EndpointEvent::Enabled),
        DomainEvent::Endpoint(app, endpoint, EndpointEvent::Updated { changed: Vec::new() }),
        DomainEvent::Endpoint(app, endpoint, rotated),
        DomainEvent::Endpoint(app, endpoint, EndpointEvent::Deleted { uid: None }),
        replay(replay_created),
        replay(replay_finished),
    ]
}
