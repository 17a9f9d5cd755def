//! The log of aggregates' events: committed with their change, in commit order.

use std::{collections::HashMap, time::Duration};

use postrider_application::{
    audit::Record,
    ports::{LoggedEvent, Repository as _, Store as _, UnitOfWork as _},
};
use postrider_domain::{
    Aggregate as _,
    endpoints::{CustomHeaders, DisableReason, Endpoint, EndpointAttributes, SigningSecret},
};
use tokio::task::JoinSet;

use super::{Fixture, Harness, round_trips::full_endpoint};

async fn all_after<H: Harness>(fixture: &Fixture<'_, H>, position: i64) -> Vec<LoggedEvent> {
    fixture.ports().events.after(position, 1_000).await.unwrap()
}

/// Each save logs what happened, to what, of which tenant, and the version that it led to.
pub async fn events_are_committed_with_their_change<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    assert_eq!(fixture.ports().events.head().await.unwrap(), 0);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let id = fixture.endpoint(&tenant, &customer).await;
    let mut endpoint: Endpoint = fixture
        .find(&tenant.scope, &(customer.id, id.into()))
        .await
        .unwrap();
    let _ = endpoint.disable(DisableReason::Manual, fixture.now());
    let _ = endpoint.enable();
    fixture.save(&tenant.scope, &mut endpoint).await.unwrap();

    let events = all_after(&fixture, 0).await;
    let seen: Vec<_> = events
        .iter()
        .map(|event| {
            (
                event.kind.as_str(),
                event.aggregate.clone(),
                event.tenant,
                event.version,
            )
        })
        .collect();
    let (application, ep) = (customer.id.to_string(), id.to_string());
    let ours = Some(tenant.id);
    assert_eq!(
        seen[..2],
        [
            ("user.registered", tenant.owner.to_string(), None, 1),
            ("tenant.created", tenant.id.to_string(), ours, 1),
        ]
    );
    assert_eq!((seen[2].0, seen[2].2, seen[2].3), ("membership.joined", ours, 1));
    assert_eq!(
        seen[3..],
        [
            ("application.created", application, ours, 1),
            ("endpoint.created", ep.clone(), ours, 1),
            ("endpoint.disabled", ep.clone(), ours, 2),
            ("endpoint.enabled", ep, ours, 2),
        ]
    );
    assert!(
        events
            .iter()
            .all(|event| event.body.starts_with('{') && event.body.ends_with('}'))
    );
    assert_eq!(
        fixture.ports().events.head().await.unwrap(),
        events.last().unwrap().position
    );
}

/// A change is logged once: saving what was loaded logs nothing that was logged before.
pub async fn a_save_without_events_logs_nothing<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let id = fixture.endpoint(&tenant, &customer).await;
    let head = fixture.ports().events.head().await.unwrap();
    let mut endpoint: Endpoint = fixture
        .find(&tenant.scope, &(customer.id, id.into()))
        .await
        .unwrap();
    fixture.save(&tenant.scope, &mut endpoint).await.unwrap();
    assert_eq!(fixture.ports().events.head().await.unwrap(), head);
}

/// A reader who follows the log by position misses nothing, however commits interleave: when an event can be
/// read, all events before it can.
pub async fn a_follower_misses_nothing_while_others_commit<H: Harness>(harness: &H) {
    const WRITERS: usize = 8;
    const COMMITS: usize = 6;
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let start = fixture.ports().events.head().await.unwrap();

    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let applications: Vec<_> = (0..COMMITS)
            .map(|_| fixture.new_application(&tenant, None))
            .collect();
        let (store, scope) = (fixture.store().clone(), tenant.scope.clone());
        writers.spawn(async move {
            let mut committed = Vec::new();
            for mut application in applications {
                let mut tx = store.begin(&scope).await.unwrap();
                tx.save(&scope, &mut application).await.unwrap();
                tokio::task::yield_now().await;
                tx.commit(Record::InHistory).await.unwrap();
                committed.push(application.state().id.to_string());
            }
            committed
        });
    }
    let follow = async {
        let (mut cursor, mut seen) = (start, Vec::new());
        while seen.len() < WRITERS * COMMITS {
            for event in fixture.ports().events.after(cursor, 3).await.unwrap() {
                assert!(event.position > cursor, "in order");
                cursor = event.position;
                seen.push(event.aggregate);
            }
            tokio::task::yield_now().await;
        }
        seen
    };
    let seen = tokio::time::timeout(Duration::from_mins(1), follow)
        .await
        .expect("the follower missed an event");
    let place: HashMap<&str, usize> = seen
        .iter()
        .enumerate()
        .map(|(at, id)| (id.as_str(), at))
        .collect();
    assert_eq!(place.len(), WRITERS * COMMITS, "each event once");
    for committed in writers.join_all().await {
        let places: Vec<usize> = committed.iter().map(|id| place[id.as_str()]).collect();
        assert!(places.is_sorted(), "who commits later stands later: {places:?}");
    }
}

/// The log is read in pieces.
pub async fn the_log_is_read_from_a_position_up_to_a_limit<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    fixture.application(&tenant).await;
    let all = all_after(&fixture, 0).await;
    assert_eq!(all.len(), 4);
    let two = fixture.ports().events.after(0, 2).await.unwrap();
    assert_eq!(two, all[..2]);
    let rest = fixture.ports().events.after(two[1].position, 10).await.unwrap();
    assert_eq!(rest, all[2..]);
    assert!(all_after(&fixture, all[3].position).await.is_empty());
}

/// Secrets, password hashes and addresses are not in the log, which is kept longer than they are.
pub async fn the_log_holds_no_secrets<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    // With a secret header, secrets of both kinds, and a change of everything.
    let mut endpoint = full_endpoint(&fixture, &tenant, customer.id);
    let secret = SigningSecret::generate([9; 32]).reveal();
    let user = fixture.user(tenant.owner, &tenant.email);
    fixture.save(&tenant.scope, &mut endpoint).await.unwrap();
    let key = (customer.id, endpoint.state().id.into());
    let mut endpoint: Endpoint = fixture.find(&tenant.scope, &key).await.unwrap();
    let mut to = EndpointAttributes::of(endpoint.state());
    to.headers = CustomHeaders::default();
    let _ = endpoint.change(to).unwrap();
    fixture.save(&tenant.scope, &mut endpoint).await.unwrap();
    let all = all_after(&fixture, 0).await;
    assert!(all.iter().any(|event| event.kind == "endpoint.updated"));
    assert!(all.iter().any(|event| event.kind == "endpoint.secret_rotated"));
    for event in all {
        for hidden in [
            secret.trim_start_matches("whsec_"),
            "hunter2",
            user.state().password.as_phc(),
            tenant.email.as_str(),
        ] {
            assert!(!event.body.contains(hidden), "{}", event.kind);
        }
    }
}
