use std::time::Duration;

use postrider_domain::{
    ApiKeyId, ApplicationId, AuditEntryId, Description, EndpointId, InvitationId, MembershipId, MessageId,
    Metadata, Name, TenantId, Timestamp, Uid, UserId, Version,
    access::{Grant, Visibility},
    applications::ApplicationState,
    deliveries::{CapturedBody, DeliveryStatus, Outcome, RetrySchedule},
    endpoints::{
        AttemptTimeout, EndpointRef, EndpointState, EndpointStatus, EndpointUrl, Filter, SecretRing,
        ShownHeaders,
    },
    event_types::{EventTypeName, EventTypeState, SchemaVersion},
    messages::Channels,
    tenants::TenantState,
    users::Email,
};

use super::{MessageFilter, MessageStatus, Page, PageRequest, StoreError, StoredPayload};
use crate::{
    Versioned,
    access::{OperatorScope, TenantScope},
    audit::{AuditEntry, AuditOutcome},
};

/// An endpoint as its owner sees it: everything but the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointView {
    /// Its id.
    pub id: EndpointId,
    /// The application that it belongs to.
    pub application: ApplicationId,
    /// The tenant's own name for it.
    pub uid: Option<Uid>,
    /// Where webhooks are sent.
    pub url: EndpointUrl,
    /// What it is for.
    pub description: Description,
    /// What it wants to hear of.
    pub filter: Filter,
    /// What is sent with every webhook besides; secret values are left out.
    pub headers: ShownHeaders,
    /// Its own retry schedule.
    pub retry_schedule: Option<RetrySchedule>,
    /// Its own time-out.
    pub timeout: Option<AttemptTimeout>,
    /// The tenant's notes.
    pub metadata: Metadata,
    /// Whether it is sent anything.
    pub status: EndpointStatus,
    /// When it was created.
    pub created_at: Timestamp,
    /// How often it has been saved.
    pub version: Version,
}

impl EndpointView {
    /// What its owner may see of an endpoint that is at `version`.
    pub fn of(state: &EndpointState, version: Version) -> Self {
        Self {
            id: state.id,
            application: state.application,
            uid: state.uid.clone(),
            url: state.url.clone(),
            description: state.description.clone(),
            filter: state.filter.clone(),
            headers: state.headers.shown(),
            retry_schedule: state.retry_schedule.clone(),
            timeout: state.timeout,
            metadata: state.metadata.clone(),
            status: state.status,
            created_at: state.created_at,
            version,
        }
    }
}

/// Which endpoints of an application are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EndpointFilter {
    /// Those that are enabled, or those that are not.
    pub enabled: Option<bool>,
    /// Those that want to hear of this event type, on whatever channel.
    pub event_type: Option<EventTypeName>,
}

/// A message without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageView {
    /// Its id.
    pub id: MessageId,
    /// The application that received it.
    pub application: ApplicationId,
    /// What happened.
    pub event_type: EventTypeName,
    /// Where in the application.
    pub channels: Channels,
    /// The caller's own id of the event.
    pub event_id: Option<String>,
    /// The payload's media type.
    pub content_type: String,
    /// The payload's length in bytes.
    pub payload_bytes: u64,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// Not before when it is delivered, as the caller said.
    pub deliver_at: Option<Timestamp>,
    /// When it was cancelled.
    pub cancelled_at: Option<Timestamp>,
    /// When its payload was expunged on request.
    pub payload_expunged_at: Option<Timestamp>,
    /// Where it stands.
    pub status: MessageStatus,
}

/// An event type with its schemas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventTypeView {
    /// The event type, and its version.
    pub event_type: Versioned<EventTypeState>,
    /// The latest schema in full.
    pub latest: Option<SchemaVersion>,
    /// The numbers of all that are kept, and when each was added; the oldest first.
    pub schemas: Vec<(u32, Timestamp)>,
}

/// Where one delivery stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryView {
    /// The message.
    pub message: MessageId,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// Attempts made so far.
    pub attempts: u32,
    /// When it last changed; for one that was never attempted, when it was queued.
    pub updated_at: Timestamp,
}

/// One attempt of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptView {
    /// Its number, from 1.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub latency: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// The beginning of the answer's body.
    pub response_body: CapturedBody,
}

/// A member as colleagues see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// The membership.
    pub id: MembershipId,
    /// The person.
    pub user: UserId,
    /// Their address.
    pub email: Email,
    /// Their name.
    pub name: Name,
    /// What they may do.
    pub grants: Vec<Grant>,
    /// When they joined.
    pub created_at: Timestamp,
}

/// A pending invitation, without its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationView {
    /// Its id.
    pub id: InvitationId,
    /// Who is invited.
    pub email: Email,
    /// What they will hold.
    pub grants: Vec<Grant>,
    /// Who invited, as the audit log names them.
    pub invited_by: String,
    /// When.
    pub created_at: Timestamp,
    /// Until when it can be accepted.
    pub expires_at: Timestamp,
}

/// An API key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyView {
    /// Its id.
    pub id: ApiKeyId,
    /// Display name.
    pub name: Name,
    /// What it may do.
    pub grants: Vec<Grant>,
    /// When it was minted.
    pub created_at: Timestamp,
    /// When it stops working by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute or so.
    pub last_used_at: Option<Timestamp>,
}

/// Which entries of the audit log are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditFilter {
    /// By whom: a public id.
    pub actor: Option<String>,
    /// What: a request's name.
    pub action: Option<String>,
    /// To what: a public id or name.
    pub target: Option<String>,
    /// Whether they were let.
    pub outcome: Option<AuditOutcome>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
}

/// The tenant itself, to look at.
pub trait TenantViews: Send + Sync {
    /// The tenant of the scope.
    fn tenant(
        &self,
        scope: &TenantScope,
    ) -> impl Future<Output = Result<Option<Versioned<TenantState>>, StoreError>> + Send;

    /// All tenants, by id, for the operator.
    fn tenants(
        &self,
        scope: &OperatorScope,
        page: PageRequest<TenantId>,
    ) -> impl Future<Output = Result<Page<TenantState, TenantId>, StoreError>> + Send;

    /// One tenant, for the operator.
    fn tenant_for_operator(
        &self,
        scope: &OperatorScope,
        id: TenantId,
    ) -> impl Future<Output = Result<Option<TenantState>, StoreError>> + Send;

    /// What is left of a tenant that was erased: that it was.
    fn erasure(
        &self,
        scope: &OperatorScope,
        id: TenantId,
    ) -> impl Future<Output = Result<Option<ErasureView>, StoreError>> + Send;
}

/// That a tenant was erased, and how much that was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasureView {
    /// The tenant that was.
    pub tenant: TenantId,
    /// When its deletion was ordered.
    pub ordered_at: Timestamp,
    /// When the last row went.
    pub erased_at: Timestamp,
    /// How many rows of which table went.
    pub rows: Vec<(String, u64)>,
}

/// People, invitations and machines of a tenant, to look at.
pub trait PrincipalViews: Send + Sync {
    /// Members, by id.
    fn members(
        &self,
        scope: &TenantScope,
        page: PageRequest<MembershipId>,
    ) -> impl Future<Output = Result<Page<MemberView, MembershipId>, StoreError>> + Send;

    /// One member.
    fn member(
        &self,
        scope: &TenantScope,
        id: MembershipId,
    ) -> impl Future<Output = Result<Option<MemberView>, StoreError>> + Send;

    /// Pending invitations, expired ones too, by id.
    fn invitations(
        &self,
        scope: &TenantScope,
        page: PageRequest<InvitationId>,
    ) -> impl Future<Output = Result<Page<InvitationView, InvitationId>, StoreError>> + Send;

    /// API keys, by id.
    fn api_keys(
        &self,
        scope: &TenantScope,
        page: PageRequest<ApiKeyId>,
    ) -> impl Future<Output = Result<Page<ApiKeyView, ApiKeyId>, StoreError>> + Send;
}

/// The audit log, to look at.
pub trait AuditViews: Send + Sync {
    /// Entries of the tenant, newest first.
    fn audit_entries(
        &self,
        scope: &TenantScope,
        filter: &AuditFilter,
        page: PageRequest<AuditEntryId>,
    ) -> impl Future<Output = Result<Page<AuditEntry, AuditEntryId>, StoreError>> + Send;
}

/// Applications, to look at.
pub trait ApplicationViews: Send + Sync {
    /// Those that may be shown, by id.
    fn applications(
        &self,
        scope: &TenantScope,
        visible: &Visibility,
        page: PageRequest<ApplicationId>,
    ) -> impl Future<Output = Result<Page<ApplicationState, ApplicationId>, StoreError>> + Send;

    /// One application.
    fn application(
        &self,
        scope: &TenantScope,
        id: ApplicationId,
    ) -> impl Future<Output = Result<Option<Versioned<ApplicationState>>, StoreError>> + Send;
}

/// Event types, to look at.
pub trait EventTypeViews: Send + Sync {
    /// One event type, with its schemas.
    fn event_type(
        &self,
        scope: &TenantScope,
        name: &EventTypeName,
    ) -> impl Future<Output = Result<Option<EventTypeView>, StoreError>> + Send;

    /// All of the tenant, by name; with `archived` those too that were archived.
    fn event_types(
        &self,
        scope: &TenantScope,
        archived: bool,
        page: PageRequest<EventTypeName>,
    ) -> impl Future<Output = Result<Page<EventTypeState, EventTypeName>, StoreError>> + Send;

    /// One version of an event type's schema, if it is kept.
    fn event_type_schema(
        &self,
        scope: &TenantScope,
        name: &EventTypeName,
        number: u32,
    ) -> impl Future<Output = Result<Option<SchemaVersion>, StoreError>> + Send;
}

/// Endpoints, to look at.
pub trait EndpointViews: Send + Sync {
    /// One endpoint of an application.
    fn endpoint(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        reference: &EndpointRef,
    ) -> impl Future<Output = Result<Option<EndpointView>, StoreError>> + Send;

    /// Those of an application, by id.
    fn endpoints_of(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        filter: &EndpointFilter,
        page: PageRequest<EndpointId>,
    ) -> impl Future<Output = Result<Page<EndpointView, EndpointId>, StoreError>> + Send;

    /// What one signs with; some of the old secrets may have ended.
    fn endpoint_secrets(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        reference: &EndpointRef,
    ) -> impl Future<Output = Result<Option<SecretRing>, StoreError>> + Send;
}

/// Messages and what became of them, to look at.
pub trait MessageViews: Send + Sync {
    /// One message of an application.
    fn message(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        id: MessageId,
    ) -> impl Future<Output = Result<Option<MessageView>, StoreError>> + Send;

    /// Those of an application that the filter lets through, the newest first.
    fn messages(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        filter: &MessageFilter,
        page: PageRequest<MessageId>,
    ) -> impl Future<Output = Result<Page<MessageView, MessageId>, StoreError>> + Send;

    /// Its payload, the exact bytes.
    fn payload(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        id: MessageId,
    ) -> impl Future<Output = Result<Option<StoredPayload>, StoreError>> + Send;

    /// Its deliveries, by endpoint id; queued ones that were never attempted too.
    fn deliveries(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        message: MessageId,
        page: PageRequest<EndpointId>,
    ) -> impl Future<Output = Result<Page<DeliveryView, EndpointId>, StoreError>> + Send;

    /// The attempts of one of its deliveries, by number.
    fn attempts(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        message: MessageId,
        endpoint: EndpointId,
        page: PageRequest<u32>,
    ) -> impl Future<Output = Result<Page<AttemptView, u32>, StoreError>> + Send;
}
