//! Figures of endpoints and tenants: added up in memory, written every few seconds.

use async_trait::async_trait;
use postrider_domain::{
    ApplicationId, EndpointId, TenantId, Timestamp,
    figures::{EndpointFigures, UsageFigures},
};

use super::StoreError;
use crate::access::TenantScope;

/// What happened at an endpoint in an hour, since it was last written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointHour {
    /// The tenant.
    pub tenant: TenantId,
    /// The endpoint's application.
    pub application: ApplicationId,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// When the hour began.
    pub hour: Timestamp,
    /// What happened.
    pub figures: EndpointFigures,
}

/// What happened in a tenant on a day, since it was last written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantDay {
    /// The tenant.
    pub tenant: TenantId,
    /// When the day began, in UTC.
    pub day: Timestamp,
    /// What happened.
    pub figures: UsageFigures,
}

/// Keeps figures.
#[async_trait]
pub trait FigureStore: Send + Sync {
    /// Adds these to what is known. Figures of tenants that are gone, or going, are dropped.
    async fn add_figures(&self, endpoints: &[EndpointHour], tenants: &[TenantDay]) -> Result<(), StoreError>;

    /// Removes up to `limit` of each kind: hours that began before `hours`, days that began before `days`; how many
    /// there were.
    async fn forget_figures(&self, hours: Timestamp, days: Timestamp, limit: u32) -> Result<u32, StoreError>;
}

/// Figures, to look at.
pub trait FigureViews: Send + Sync {
    /// What happened at the endpoint in the hours that began at `since` or later.
    fn endpoint_figures(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        endpoint: EndpointId,
        since: Timestamp,
    ) -> impl Future<Output = Result<EndpointFigures, StoreError>> + Send;

    /// What happened in the tenant on each day from `from` on and before `to`; days on which nothing did are left out.
    fn usage(
        &self,
        scope: &TenantScope,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Future<Output = Result<Vec<TenantDay>, StoreError>> + Send;
}
