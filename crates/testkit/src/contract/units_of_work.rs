//! A transaction is all or nothing, and its rows are guarded by their versions.

use postrider_application::{
    audit::Record,
    ports::{
        ApplicationRepository as _, ApplicationViews as _, Repository, Store as _, StoreError, UniqueRule,
        UnitOfWork as _,
    },
};
use postrider_domain::{
    Aggregate as _,
    applications::Application,
    endpoints::{DisableReason, Endpoint},
};
use tokio::task::JoinSet;

use super::{Fixture, Harness};

/// A transaction that is dropped leaves no row and no event, and does not stand in the way of the next.
pub async fn rollback_leaves_nothing<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let head = fixture.ports().events.head().await.unwrap();
    let mut application = fixture.new_application(&tenant, Some("customer"));
    let id = application.state().id;

    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    tx.save(&tenant.scope, &mut application).await.unwrap();
    drop(tx);

    assert_eq!(
        fixture.store().application(&tenant.scope, id).await.unwrap(),
        None
    );
    assert_eq!(fixture.ports().events.head().await.unwrap(), head);
    fixture.application_named(&tenant, Some("customer")).await;
}

/// A refused statement takes with it what the transaction saved before.
pub async fn a_refused_transaction_leaves_nothing<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    fixture.application_named(&tenant, Some("taken")).await;
    let head = fixture.ports().events.head().await.unwrap();
    let mut first = fixture.new_application(&tenant, Some("free"));
    let mut second = fixture.new_application(&tenant, Some("taken"));

    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    tx.save(&tenant.scope, &mut first).await.unwrap();
    let refused = tx.save(&tenant.scope, &mut second).await;
    drop(tx);

    assert!(
        matches!(refused, Err(StoreError::Conflict(UniqueRule::ApplicationUid))),
        "{refused:?}"
    );
    let found = fixture
        .find::<Application>(&tenant.scope, &first.state().id)
        .await;
    assert!(found.is_none());
    assert_eq!(fixture.ports().events.head().await.unwrap(), head);
}

/// What is not committed is nobody else's business; the transaction itself sees it.
pub async fn uncommitted_changes_are_seen_by_nobody_else<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let mut application = fixture.new_application(&tenant, None);
    let id = application.state().id;

    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    tx.save(&tenant.scope, &mut application).await.unwrap();
    let within = Repository::<Application>::find(&mut tx, &tenant.scope, &id)
        .await
        .unwrap();
    let outside = fixture.store().application(&tenant.scope, id).await.unwrap();
    tx.commit(Record::InHistory).await.unwrap();
    let after = fixture.store().application(&tenant.scope, id).await.unwrap();

    assert_eq!(
        within.map(|found| found.state().clone()).as_ref(),
        Some(application.state())
    );
    assert_eq!(outside, None);
    assert_eq!(
        after.as_ref().map(|after| &after.value),
        Some(application.state())
    );
}

/// An aggregate that was saved by somebody else since it was read is refused and changes nothing.
pub async fn a_stale_version_is_refused<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let id = fixture.endpoint(&tenant, &customer).await;
    let key = (customer.id, id.into());
    let mut first: Endpoint = fixture.find(&tenant.scope, &key).await.unwrap();
    let mut second: Endpoint = fixture.find(&tenant.scope, &key).await.unwrap();

    let _ = first.disable(DisableReason::Manual, fixture.now());
    fixture.save(&tenant.scope, &mut first).await.unwrap();
    let head = fixture.ports().events.head().await.unwrap();
    let _ = second.disable(DisableReason::Manual, fixture.now());
    let refused = fixture.save(&tenant.scope, &mut second).await;

    assert!(matches!(refused, Err(StoreError::Stale)), "{refused:?}");
    assert_eq!(
        fixture.ports().events.head().await.unwrap(),
        head,
        "no event of it"
    );
    let stored: Endpoint = fixture.find(&tenant.scope, &key).await.unwrap();
    assert_eq!(stored.state(), first.state());
    assert_eq!(stored.version(), first.version().next());
}

/// Of many who read one version and save at the same time, one wins; the others are told.
pub async fn racing_savers_of_one_version_have_one_winner<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let id = fixture.endpoint(&tenant, &customer).await;
    let read: Endpoint = fixture
        .find(&tenant.scope, &(customer.id, id.into()))
        .await
        .unwrap();

    let mut racers = JoinSet::new();
    for _ in 0..8 {
        let (store, scope) = (fixture.store().clone(), tenant.scope.clone());
        let (mut mine, at) = (read.clone(), fixture.now());
        racers.spawn(async move {
            let _ = mine.disable(DisableReason::Manual, at);
            let mut tx = store.begin(&scope).await?;
            tx.save(&scope, &mut mine).await?;
            tokio::task::yield_now().await;
            tx.commit(Record::InHistory).await
        });
    }
    let results = racers.join_all().await;

    assert_eq!(
        results.iter().filter(|result| result.is_ok()).count(),
        1,
        "{results:?}"
    );
    let stale = |result: &&Result<(), StoreError>| matches!(result, Err(StoreError::Stale));
    assert_eq!(results.iter().filter(stale).count(), 7, "{results:?}");
}

/// `endpoints_version` rises in the transaction of the change, and not without it.
pub async fn endpoints_version_rises_with_the_commit<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let (customer, other) = (
        fixture.application(&tenant).await,
        fixture.application(&tenant).await,
    );
    let before = harness.endpoints_version(&tenant.scope, customer.id).await;
    let others = harness.endpoints_version(&tenant.scope, other.id).await;

    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    tx.endpoints_changed(&tenant.scope, customer.id).await.unwrap();
    drop(tx);
    assert_eq!(
        harness.endpoints_version(&tenant.scope, customer.id).await,
        before
    );

    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    let mut endpoint = fixture.new_endpoint(&tenant, customer.id, None);
    tx.save(&tenant.scope, &mut endpoint).await.unwrap();
    tx.endpoints_changed(&tenant.scope, customer.id).await.unwrap();
    tx.commit(Record::InHistory).await.unwrap();
    assert_eq!(
        harness.endpoints_version(&tenant.scope, customer.id).await,
        before + 1
    );
    assert_eq!(harness.endpoints_version(&tenant.scope, other.id).await, others);
}

/// The application can be saved after its endpoints changed: they are not a part of its version.
pub async fn changed_endpoints_do_not_make_the_application_stale<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let mut read: Application = fixture.find(&tenant.scope, &customer.id).await.unwrap();

    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    tx.endpoints_changed(&tenant.scope, customer.id).await.unwrap();
    tx.commit(Record::InHistory).await.unwrap();
    let version = harness.endpoints_version(&tenant.scope, customer.id).await;

    fixture.save(&tenant.scope, &mut read).await.unwrap();
    assert_eq!(
        harness.endpoints_version(&tenant.scope, customer.id).await,
        version,
        "saving the application does not put it back"
    );
}

/// Endpoints are counted in their own application, those of the open transaction too, and under no other tenant.
pub async fn endpoints_are_counted_within_their_application<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (tenant, stranger) = (fixture.tenant("acme").await, fixture.tenant("eve").await);
    let (customer, other) = (
        fixture.application(&tenant).await,
        fixture.application(&tenant).await,
    );
    for application in [customer.id, customer.id, other.id] {
        let mut endpoint = fixture.new_endpoint(&tenant, application, None);
        fixture.save(&tenant.scope, &mut endpoint).await.unwrap();
    }
    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    let mut third = fixture.new_endpoint(&tenant, customer.id, None);
    tx.save(&tenant.scope, &mut third).await.unwrap();
    assert_eq!(tx.count_endpoints(&tenant.scope, customer.id).await.unwrap(), 3);
    assert_eq!(tx.count_endpoints(&tenant.scope, other.id).await.unwrap(), 1);
    drop(tx);
    let mut tx = fixture.store().begin(&stranger.scope).await.unwrap();
    assert_eq!(tx.count_endpoints(&stranger.scope, customer.id).await.unwrap(), 0);
}
