//! Figures: added to what is known, of nobody else, and forgotten in time.

use std::time::Duration;

use postrider_application::ports::{EndpointHour, FigureViews as _, TenantDay};
use postrider_domain::{
    EndpointId, Timestamp,
    deliveries::{FailureClass, Outcome},
    figures::{EndpointFigures, LastFailure, UsageFigures, day_of, hour_of},
};

use super::{Customer, Fixture, Harness, Tenancy};

const HOUR: Duration = Duration::from_hours(1);

fn figures<H: Harness>(fixture: &Fixture<'_, H>, outcomes: &[Outcome]) -> EndpointFigures {
    let mut figures = EndpointFigures::default();
    for outcome in outcomes {
        figures.note(&fixture.attempt(1, *outcome));
    }
    figures
}

fn hour(
    (tenant, customer): (&Tenancy, &Customer),
    endpoint: EndpointId,
    at: Timestamp,
    figures: EndpointFigures,
) -> EndpointHour {
    EndpointHour {
        tenant: tenant.id,
        application: customer.id,
        endpoint,
        hour: hour_of(at),
        figures,
    }
}

/// What is written adds up with what was written before, by whichever node, latencies included.
pub async fn figures_add_up<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let endpoint = fixture.endpoint(&tenant, &customer).await;
    let other = fixture.endpoint(&tenant, &customer).await;
    let (now, whose) = (fixture.now(), (&tenant, &customer));
    let [failed, delivered] = [Outcome::of_status(503), Outcome::of_status(204)];
    let another_node = harness.another_node().await;
    let ours = fixture.ports().figures.clone();
    let theirs = another_node.map_or_else(|| ours.clone(), |ports| ports.figures);
    let mut expected = EndpointFigures::default();
    for (place, outcomes) in [vec![failed, delivered], vec![failed], vec![delivered; 3]]
        .iter()
        .enumerate()
    {
        let figures = figures(&fixture, outcomes);
        expected.merge(&figures);
        let elsewhere = hour(whose, other, now, figures.clone());
        let batch = [hour(whose, endpoint, now, figures), elsewhere];
        let store = if place % 2 == 0 { &ours } else { &theirs };
        store.add_figures(&batch, &[]).await.unwrap();
    }
    let long_ago = hour(
        whose,
        endpoint,
        now.minus(2 * HOUR),
        figures(&fixture, &[delivered]),
    );
    ours.add_figures(&[long_ago], &[]).await.unwrap();
    let store = fixture.store();
    let read = async |endpoint, since| {
        let read = store.endpoint_figures(&tenant.scope, customer.id, endpoint, since);
        read.await.unwrap()
    };
    assert_eq!(read(endpoint, hour_of(now)).await, expected);
    assert_eq!(expected.attempts, 6);
    assert!(matches!(
        expected.last_failure,
        Some(LastFailure {
            class: FailureClass::Status,
            http_status: Some(503),
            ..
        })
    ));
    assert_eq!(read(endpoint, now.minus(3 * HOUR)).await.attempts, 7);
    assert_eq!(read(other, now.minus(3 * HOUR)).await, expected);

    let stranger = fixture.tenant("stranger").await;
    let theirs = store.endpoint_figures(&stranger.scope, customer.id, endpoint, hour_of(now));
    assert_eq!(theirs.await.unwrap(), EndpointFigures::default());
    let elsewhere = fixture.application(&tenant).await;
    let theirs = store.endpoint_figures(&tenant.scope, elsewhere.id, endpoint, hour_of(now));
    assert_eq!(theirs.await.unwrap(), EndpointFigures::default());
}

/// The same for what a tenant uses.
pub async fn usage_adds_up<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (tenant, stranger) = (fixture.tenant("acme").await, fixture.tenant("stranger").await);
    let today = day_of(fixture.now());
    let yesterday = today.minus(24 * HOUR);
    let used = |n| UsageFigures {
        accepted: n,
        payload_bytes: 10 * n,
        attempts: 2 * n,
        delivered: n,
        failed: n / 2,
    };
    let day = |tenant: &Tenancy, day, n| TenantDay {
        tenant: tenant.id,
        day,
        figures: used(n),
    };
    let figures = &fixture.ports().figures;
    let batch = [
        day(&tenant, yesterday, 2),
        day(&stranger, today, 100),
        day(&tenant, today, 4),
    ];
    figures.add_figures(&[], &batch).await.unwrap();
    figures.add_figures(&[], &[day(&tenant, today, 6)]).await.unwrap();
    let read = async |from, to| {
        let days = fixture.store().usage(&tenant.scope, from, to).await.unwrap();
        days.iter().map(|day| (day.day, day.figures)).collect::<Vec<_>>()
    };
    let tomorrow = today.plus(24 * HOUR);
    assert_eq!(
        read(yesterday, tomorrow).await,
        [(yesterday, used(2)), (today, used(10))]
    );
    assert_eq!(read(yesterday, today).await, [(yesterday, used(2))]);
}

/// What is old goes, a bounded number at a time; nothing comes after a tenant that goes.
pub async fn figures_are_forgotten<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (tenant, leaving) = (fixture.tenant("acme").await, fixture.tenant("leaving").await);
    let customer = fixture.application(&tenant).await;
    let endpoint = fixture.endpoint(&tenant, &customer).await;
    let (now, figures) = (fixture.now(), &fixture.ports().figures);
    let one = || EndpointFigures {
        attempts: 1,
        ..EndpointFigures::default()
    };
    let hours: Vec<_> = (0..4)
        .map(|ago| hour((&tenant, &customer), endpoint, now.minus(ago * HOUR), one()))
        .collect();
    let day = |tenant: &Tenancy, ago: u32| TenantDay {
        tenant: tenant.id,
        day: day_of(now.minus(ago * 24 * HOUR)),
        figures: UsageFigures::default(),
    };
    figures
        .add_figures(&hours, &[day(&tenant, 0), day(&tenant, 1)])
        .await
        .unwrap();
    let forget = async |limit| {
        let (hours, days) = (hour_of(now), day_of(now));
        figures.forget_figures(hours, days, limit).await.unwrap()
    };
    assert_eq!([forget(2).await, forget(2).await, forget(2).await], [3, 1, 0]);
    let left = fixture
        .store()
        .endpoint_figures(&tenant.scope, customer.id, endpoint, now.minus(9 * HOUR))
        .await
        .unwrap();
    assert_eq!(left.attempts, 1);

    let their_customer = fixture.application(&leaving).await;
    let theirs = fixture.endpoint(&leaving, &their_customer).await;
    fixture.order_deletion(&leaving, now).await;
    let late = hour((&leaving, &their_customer), theirs, now, one());
    figures.add_figures(&[late], &[day(&leaving, 0)]).await.unwrap();
    let (store, scope, since) = (fixture.store(), &leaving.scope, now.minus(48 * HOUR));
    let of = store.usage(scope, since, now.plus(48 * HOUR));
    assert_eq!(of.await.unwrap(), []);
    let of = store.endpoint_figures(scope, their_customer.id, theirs, since);
    assert_eq!(of.await.unwrap(), EndpointFigures::default());
}
