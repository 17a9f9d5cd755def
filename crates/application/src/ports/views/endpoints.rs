use postrider_domain::{
    ApplicationId, Description, EndpointId, Metadata, Timestamp, Uid, Version,
    deliveries::RetrySchedule,
    endpoints::{
        AttemptTimeout, EndpointRef, EndpointState, EndpointStatus, EndpointUrl, Filter, SecretRing,
        ShownHeaders,
    },
    event_types::EventTypeName,
};

use crate::{
    access::TenantScope,
    ports::{Page, PageRequest, StoreError},
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
