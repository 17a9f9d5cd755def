use std::{sync::Arc, time::Duration};

use postrider_domain::{InvalidValue, Rule, Timestamp, access::Permission, figures::day_of};

use crate::{
    Error, Result, Violation,
    access::{OnTenant, TenantScope},
    mediator::{Handles, Request},
    ports::{Clock, FigureViews, TenantDay},
};

/// The longest time that may be asked for, in days.
pub const MOST_USAGE_DAYS: u64 = 366;
/// How far back the answer goes if nobody says, in days.
const DEFAULT_DAYS: u64 = 30;

const fn days(days: u64) -> Duration {
    Duration::from_hours(24 * days)
}

/// Reads what the tenant used, by the day (UTC).
#[derive(Debug)]
pub struct GetUsage {
    /// The first day; thirty days before the last, if absent.
    pub from: Option<Timestamp>,
    /// The last day; today, if absent.
    pub to: Option<Timestamp>,
}

/// What a tenant used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// When the first day began.
    pub from: Timestamp,
    /// When the last day began.
    pub to: Timestamp,
    /// The days on which something happened, in their order.
    pub days: Vec<TenantDay>,
}

impl Request for GetUsage {
    type Output = Usage;
    type Access = OnTenant;
    const NAME: &'static str = "tenant.usage";

    fn access(&self) -> OnTenant {
        OnTenant(Permission::TenantRead)
    }
}

/// Serves [`GetUsage`].
pub struct GetUsageHandler<S> {
    views: S,
    clock: Arc<dyn Clock>,
}

impl<S> GetUsageHandler<S> {
    pub(crate) fn new(views: S, clock: Arc<dyn Clock>) -> Self {
        Self { views, clock }
    }
}

impl<S: FigureViews> Handles<GetUsage> for GetUsageHandler<S> {
    async fn handle(&self, scope: TenantScope, request: GetUsage) -> Result<Usage, Error> {
        let to = day_of(request.to.unwrap_or_else(|| self.clock.now()));
        let from = day_of(request.from.unwrap_or_else(|| to.minus(days(DEFAULT_DAYS))));
        let refused = |message: &str| {
            let invalid = InvalidValue::new(Rule::Range, message);
            Err(Error::invalid(vec![Violation::new("from", invalid)]))
        };
        if from > to {
            return refused("must not be after `to`");
        }
        if to.since(from) >= days(MOST_USAGE_DAYS) {
            return refused("must be at most 366 days before the end of `to`");
        }
        let days = self.views.usage(&scope, from, to.plus(days(1))).await?;
        Ok(Usage { from, to, days })
    }
}

#[cfg(test)]
mod tests {
    use postrider_domain::{
        access::{Grant, Role},
        figures::UsageFigures,
    };

    use super::*;
    use crate::{ErrorCode, ports::FigureStore as _, testing::World};

    #[tokio::test]
    async fn usage_is_told_by_the_day() {
        let world = World::new();
        let created = world.tenant("ada@acme.example").await;
        let owner = crate::testing::principal(&created, Grant::tenant(Role::Owner));
        world.pass(days(1_000));
        let today = day_of(world.now());
        for ago in [0, 1, 30, 31] {
            let day = TenantDay {
                tenant: created.tenant,
                day: today.minus(days(ago)),
                figures: UsageFigures {
                    accepted: ago + 1,
                    ..UsageFigures::default()
                },
            };
            world.store.add_figures(&[], &[day]).await.unwrap();
        }
        let usage = |from: Option<u64>, to: Option<u64>| GetUsage {
            from: from.map(|ago| today.minus(days(ago))),
            to: to.map(|ago| today.minus(days(ago))),
        };
        let accepted = async |request: GetUsage| {
            let usage = world.send(&owner, request).await.unwrap();
            usage
                .days
                .iter()
                .map(|day| day.figures.accepted)
                .collect::<Vec<_>>()
        };
        assert_eq!(accepted(usage(None, None)).await, [31, 2, 1]);
        assert_eq!(accepted(usage(Some(40), Some(1))).await, [32, 31, 2]);
        assert_eq!(accepted(usage(Some(1), Some(1))).await, [2]);
        assert_eq!(accepted(usage(Some(365), None)).await.len(), 4);
        for (from, to) in [(Some(0), Some(1)), (Some(366), Some(0))] {
            assert_eq!(
                world.refusal(&owner, usage(from, to)).await,
                ErrorCode::ValidationFailed
            );
        }
        let other = world.caller("eve@evil.example", Grant::tenant(Role::Owner)).await;
        assert!(
            world
                .send(&other, usage(None, None))
                .await
                .unwrap()
                .days
                .is_empty()
        );
    }
}
