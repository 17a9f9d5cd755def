//! Figures, kept in the state as they come.

use async_trait::async_trait;
use postrider_application::{
    access::TenantScope,
    ports::{EndpointHour, FigureStore, FigureViews, StoreError, TenantDay},
};
use postrider_domain::{ApplicationId, EndpointId, Timestamp, figures::EndpointFigures};

use super::{housekeeping::takes, store::MemoryStore};

#[async_trait]
impl FigureStore for MemoryStore {
    async fn add_figures(&self, endpoints: &[EndpointHour], tenants: &[TenantDay]) -> Result<(), StoreError> {
        let mut state = self.state();
        for hour in endpoints {
            if state.configuration.is_there(hour.tenant) {
                let key = (hour.tenant, hour.endpoint, hour.hour);
                let known = state.endpoint_stats.entry(key).or_insert_with(|| EndpointHour {
                    figures: EndpointFigures::default(),
                    ..hour.clone()
                });
                known.figures.merge(&hour.figures);
            }
        }
        for day in tenants {
            if state.configuration.is_there(day.tenant) {
                let known = state.tenant_usage.entry((day.tenant, day.day)).or_default();
                known.merge(&day.figures);
            }
        }
        Ok(())
    }

    async fn forget_figures(&self, hours: Timestamp, days: Timestamp, limit: u32) -> Result<u32, StoreError> {
        let mut state = self.state();
        let (mut left, mut left_days) = (limit, limit);
        state
            .endpoint_stats
            .retain(|(.., hour), _| !takes(&mut left, *hour < hours));
        state
            .tenant_usage
            .retain(|(_, day), _| !takes(&mut left_days, *day < days));
        Ok(2 * limit - left - left_days)
    }
}

impl FigureViews for MemoryStore {
    async fn endpoint_figures(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        endpoint: EndpointId,
        since: Timestamp,
    ) -> Result<EndpointFigures, StoreError> {
        let state = self.state();
        let mut all = EndpointFigures::default();
        for hour in state.endpoint_stats.values() {
            let whose = (hour.tenant, hour.application, hour.endpoint);
            if whose == (scope.tenant(), application, endpoint) && hour.hour >= since {
                all.merge(&hour.figures);
            }
        }
        Ok(all)
    }

    async fn usage(
        &self,
        scope: &TenantScope,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<TenantDay>, StoreError> {
        let state = self.state();
        let days = state.tenant_usage.iter();
        let days = days.filter(|((tenant, day), _)| *tenant == scope.tenant() && (from..to).contains(day));
        let day = |((tenant, day), figures): (&(_, _), &_)| TenantDay {
            tenant: *tenant,
            day: *day,
            figures: *figures,
        };
        Ok(days.map(day).collect())
    }
}
