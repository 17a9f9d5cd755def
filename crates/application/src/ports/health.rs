use std::time::Duration;

use async_trait::async_trait;
use postrider_domain::{ApplicationId, EndpointId, TenantId, Timestamp, Version};

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
    /// The endpoint's version now: what is seen here is true of that one.
    pub version: Version,
    /// When the first of those attempts was settled.
    pub since: Timestamp,
    /// When a later one was, or the same: the last one, or one less than [`Self::LAST_AT_STEP`] before it.
    pub last_at: Timestamp,
}

impl FailingEndpoint {
    /// How much later than [`Self::last_at`] a failure must be settled to be noted there: an hour. So a failing
    /// endpoint costs one small update an hour, and not one a batch.
    pub const LAST_AT_STEP: Duration = Duration::from_hours(1);
}

/// Which endpoints fail. Written by [`super::DeliveryQueue::settle`]: when an endpoint begins to fail, when it ceases
/// to, and once in [`FailingEndpoint::LAST_AT_STEP`] while it goes on. Forgotten whenever the endpoint is saved or
/// deleted, as it may be another one by then.
#[async_trait]
pub trait EndpointHealth: Send + Sync {
    /// Up to `limit` endpoints of all tenants whose first and last failure are at least `at_least` apart, those first
    /// that began first. Time without attempts tells nothing: one old failure and silence since are no time apart.
    ///
    /// Leaves out endpoints that are disabled or deleted, though an attempt that was under way failed after. As the
    /// last failure is known to [`FailingEndpoint::LAST_AT_STEP`] only, an endpoint may be named so much later than
    /// it could be, and never earlier.
    async fn failing_for(&self, at_least: Duration, limit: u32) -> Result<Vec<FailingEndpoint>, StoreError>;
}
