//! What the use cases need of a store, all of it together.

use postrider_domain::{
    ApiKeyId, ApplicationId, InvitationId, MembershipId, ReplayId, SessionId, TenantId,
    api_keys::ApiKey,
    applications::Application,
    endpoints::{Endpoint, EndpointRef},
    event_types::{EventType, EventTypeName},
    replays::Replay,
    tenants::Tenant,
    users::{Invitation, Membership, Session},
};

use crate::ports::{
    ApplicationRepository, ApplicationViews, AuditViews, DeadLetterRepository, DeliveryRepository,
    DeliveryViews, DirectMessages, EndpointViews, EventTypeViews, FigureViews, MemberRepository,
    MessageRepository, MessageViews, OperatorViews, PersonRepository, PrincipalViews, ReplayRepository,
    ReplayViews, Repository, SchemaRepository, Store, TenantViews, UserRepository,
};

/// A store that offers all that the use cases need. Implemented for every type that does.
pub trait FullStore:
    Store<Tx: FullTx>
    + TenantViews
    + PrincipalViews
    + AuditViews
    + ApplicationViews
    + EventTypeViews
    + EndpointViews
    + MessageViews
    + ReplayViews
    + FigureViews
    + DeliveryViews
    + OperatorViews
{
}

impl<S> FullStore for S where
    S: Store<Tx: FullTx>
        + TenantViews
        + PrincipalViews
        + AuditViews
        + ApplicationViews
        + EventTypeViews
        + EndpointViews
        + MessageViews
        + ReplayViews
        + FigureViews
        + DeliveryViews
        + OperatorViews
{
}

/// A transaction with all repositories. Implemented for every type that has them.
pub trait FullTx:
    Repository<Tenant, Key = TenantId>
    + Repository<Membership, Key = MembershipId>
    + Repository<Invitation, Key = InvitationId>
    + Repository<Session, Key = SessionId>
    + Repository<ApiKey, Key = ApiKeyId>
    + Repository<Application, Key = ApplicationId>
    + Repository<EventType, Key = EventTypeName>
    + Repository<Endpoint, Key = (ApplicationId, EndpointRef)>
    + Repository<Replay, Key = ReplayId>
    + ApplicationRepository
    + MemberRepository
    + UserRepository
    + PersonRepository
    + DeliveryRepository
    + ReplayRepository
    + MessageRepository
    + SchemaRepository
    + DirectMessages
    + DeadLetterRepository
{
}

impl<T> FullTx for T where
    T: Repository<Tenant, Key = TenantId>
        + Repository<Membership, Key = MembershipId>
        + Repository<Invitation, Key = InvitationId>
        + Repository<Session, Key = SessionId>
        + Repository<ApiKey, Key = ApiKeyId>
        + Repository<Application, Key = ApplicationId>
        + Repository<EventType, Key = EventTypeName>
        + Repository<Endpoint, Key = (ApplicationId, EndpointRef)>
        + Repository<Replay, Key = ReplayId>
        + ApplicationRepository
        + MemberRepository
        + UserRepository
        + PersonRepository
        + DeliveryRepository
        + ReplayRepository
        + MessageRepository
        + SchemaRepository
        + DirectMessages
        + DeadLetterRepository
{
}
