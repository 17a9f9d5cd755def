use std::{sync::Arc, time::Duration};

use postrider_domain::{
    Timestamp,
    access::Permission,
    applications::ApplicationRef,
    endpoints::EndpointRef,
    figures::{EndpointFigures, hour_of},
};

use crate::{
    Error, Result,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request},
    ports::{Clock, EndpointViews, FigureViews},
};

/// How far back stats look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StatsPeriod {
    /// An hour.
    Hour,
    /// A day.
    #[default]
    Day,
    /// Seven days.
    Week,
}

impl StatsPeriod {
    /// Every period there is.
    pub const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Week];

    /// The stable public name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
        }
    }

    /// The period of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.as_str() == text)
    }

    const fn length(self) -> Duration {
        match self {
            Self::Hour => Duration::from_hours(1),
            Self::Day => Duration::from_hours(24),
            Self::Week => Duration::from_hours(7 * 24),
        }
    }
}

/// Reads what happened at an endpoint lately.
#[derive(Debug)]
pub struct GetEndpointStats {
    /// Its application.
    pub application: ApplicationRef,
    /// Which.
    pub endpoint: EndpointRef,
    /// How far back.
    pub period: StatsPeriod,
}

/// What happened at an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointStats {
    /// How far back was asked for.
    pub period: StatsPeriod,
    /// From when on it is: the beginning of the hour that the period begins in, as figures are kept by the hour.
    pub since: Timestamp,
    /// What happened.
    pub figures: EndpointFigures,
}

impl Request for GetEndpointStats {
    type Output = EndpointStats;
    type Access = OnApplication;
    const NAME: &'static str = "endpoint.stats";

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::EndpointsRead)
    }
}

/// Serves [`GetEndpointStats`].
pub struct GetEndpointStatsHandler<S> {
    views: S,
    clock: Arc<dyn Clock>,
}

impl<S> GetEndpointStatsHandler<S> {
    pub(crate) fn new(views: S, clock: Arc<dyn Clock>) -> Self {
        Self { views, clock }
    }
}

impl<S: EndpointViews + FigureViews> Handles<GetEndpointStats> for GetEndpointStatsHandler<S> {
    async fn handle(
        &self,
        scope: ApplicationScope,
        request: GetEndpointStats,
    ) -> Result<EndpointStats, Error> {
        let (tenant, application) = (scope.tenant_scope(), scope.application());
        let endpoint = self
            .views
            .endpoint(tenant, application, &request.endpoint)
            .await?;
        let endpoint = endpoint.ok_or_else(|| Error::not_found("endpoint"))?.id;
        let since = hour_of(self.clock.now().minus(request.period.length()));
        let figures = self.views.endpoint_figures(tenant, application, endpoint, since);
        Ok(EndpointStats {
            period: request.period,
            since,
            figures: figures.await?,
        })
    }
}

#[cfg(test)]
mod tests {
    use postrider_domain::access::{Grant, Role};

    use super::*;
    use crate::{
        ErrorCode,
        ports::{EndpointHour, FigureStore as _},
        testing::{World, create_endpoint},
    };

    #[tokio::test]
    async fn stats_look_back_by_whole_hours() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let application = world.application(&owner, None).await;
        let request = create_endpoint(application.id, "https://a.example/");
        let endpoint = world.send(&owner, request).await.unwrap().endpoint.id;
        world.pass(Duration::from_hours(100 * 24));
        for (hours_ago, attempts) in [
            (0, 1),
            (1, 10),
            (2, 100),
            (24, 1_000),
            (7 * 24, 10_000),
            (7 * 24 + 1, 100_000),
        ] {
            let hour = EndpointHour {
                tenant: application.tenant,
                application: application.id,
                endpoint,
                hour: hour_of(world.now().minus(Duration::from_hours(hours_ago))),
                figures: EndpointFigures {
                    attempts,
                    ..EndpointFigures::default()
                },
            };
            world.store.add_figures(&[hour], &[]).await.unwrap();
        }
        let stats = |period| GetEndpointStats {
            application: application.id.into(),
            endpoint: endpoint.into(),
            period,
        };
        for (period, attempts) in StatsPeriod::ALL.into_iter().zip([11, 1_111, 11_111]) {
            assert_eq!(StatsPeriod::parse(period.as_str()), Some(period));
            let found = world.send(&owner, stats(period)).await.unwrap();
            assert_eq!(found.figures.attempts, attempts, "{}", period.as_str());
        }
        let stranger = world.caller("eve@evil.example", Grant::tenant(Role::Owner)).await;
        let refusal = world.refusal(&stranger, stats(StatsPeriod::Day)).await;
        assert_eq!(refusal, ErrorCode::NotFound);
    }
}
