use std::time::Duration;

use async_trait::async_trait;
use postrider_domain::{ApplicationId, EndpointId, TenantId, Timestamp};

use super::StoreError;

/// An endpoint to which every attempt has failed for some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailingEndpoint {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its application.
    pub application: ApplicationId,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// When the first of those attempts was settled.
    pub since: Timestamp,
}

/// Which endpoints fail. Written by [`super::DeliveryQueue::settle`], on changes only; forgotten whenever the
/// endpoint is saved or deleted, as it may be another one by then.
#[async_trait]
pub trait EndpointHealth: Send + Sync {
    /// Up to `limit` endpoints of all tenants that have been failing for at least `at_least`, the longest first.
    async fn failing_for(&self, at_least: Duration, limit: u32) -> Result<Vec<FailingEndpoint>, StoreError>;
}
