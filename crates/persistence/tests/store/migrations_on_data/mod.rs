//! Migrations on a database that is full: nothing of it is lost, and the product works on it.

mod interrupted;
mod old;

use postrider_application::ports::{
    DeliveryFilter, DeliveryState, DeliveryViews as _, EndpointFilter, EndpointViews as _, MessageFilter,
    MessageViews as _, PageRequest, Start,
};
use postrider_domain::{
    Description, EndpointId, MessageId,
    access::Visibility,
    endpoints::EndpointRef,
    event_types::{EventType, EventTypeName},
};
use postrider_testkit::contract::{Customer, Fixture, Harness, Tenancy};

use crate::support::{PostgresHarness, SqliteHarness};
use old::{MANY, Old};

/// The last migration of the version before, which was released with partitions.
const BEFORE: &str = "m20261122_000015_message_path";

/// What was written by the product, of which copies are made.
struct Seed {
    tenant: Tenancy,
    customer: Customer,
    endpoint: EndpointId,
    /// It was delivered.
    message: MessageId,
    /// Waits for its fan-out.
    waiting: MessageId,
}

/// A row of every kind.
async fn seed<H: Harness>(fixture: &Fixture<'_, H>) -> Seed {
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application_named(&tenant, Some("customer-1")).await;
    let endpoint = fixture.endpoint(&tenant, &customer).await;
    let name = EventTypeName::parse("invoice.paid").unwrap();
    let mut event_type = EventType::register(tenant.id, name, Description::default(), fixture.now());
    fixture.save(&tenant.scope, &mut event_type).await.unwrap();
    let node = fixture.node().await;
    let (message, row) = fixture.delivery(node, &customer, endpoint).await;
    let delivered = fixture.delivered(message, endpoint);
    assert!(fixture.settle(node, row, delivered).await);
    let (failed, row) = fixture.delivery(node, &customer, endpoint).await;
    let (again, _) = fixture.failed(failed, endpoint);
    assert!(fixture.settle(node, row, again).await);
    let waiting = fixture.accepted(&customer).await;
    Seed {
        tenant,
        customer,
        endpoint,
        message,
        waiting,
    }
}

/// The product reads what was there, goes on with it, and takes more.
async fn works<H: Harness>(fixture: &Fixture<'_, H>, seed: &Seed) {
    messages_are_listed(fixture, seed).await;
    failed_deliveries_are_found(fixture, seed).await;
    endpoints_are_read(fixture, seed).await;

    // What waited is worked, by a node that knows nothing of before.
    let node = fixture.node().await;
    let rows = fixture.claim(node).await;
    let row = rows.iter().find(|row| row.message == seed.waiting).unwrap().work;
    assert!(
        fixture
            .fan_out(node, row, vec![fixture.open(seed.endpoint)])
            .await
    );
    let (message, row) = fixture.delivery(node, &seed.customer, seed.endpoint).await;
    let delivered = fixture.delivered(message, seed.endpoint);
    assert!(fixture.settle(node, row, delivered).await);
}

async fn messages_are_listed<H: Harness>(fixture: &Fixture<'_, H>, seed: &Seed) {
    let (store, scope, application) = (fixture.store(), &seed.tenant.scope, seed.customer.id);
    let mut page = PageRequest::first(100);
    let mut messages = 0;
    loop {
        let found = store
            .messages(scope, application, &MessageFilter::default(), page.clone())
            .await
            .unwrap();
        messages += found.items.len();
        let Some(next) = found.next else { break };
        page.start = Start::After(next);
    }
    assert_eq!(messages, MANY + 3, "messages are listed by their new index");
    let payload = store.payload(scope, application, seed.message).await.unwrap();
    assert!(payload.is_some());
}

async fn failed_deliveries_are_found<H: Harness>(fixture: &Fixture<'_, H>, seed: &Seed) {
    let failed = DeliveryFilter {
        application: Some(seed.customer.id),
        state: Some(DeliveryState::Failed),
        ..DeliveryFilter::default()
    };
    let mut page = PageRequest::first(100);
    let mut deliveries = 0;
    loop {
        let found = fixture
            .store()
            .search_deliveries(&seed.tenant.scope, &Visibility::All, &failed, page.clone())
            .await
            .unwrap();
        deliveries += found.items.len();
        let Some(next) = found.next else { break };
        page.start = Start::After(next);
    }
    assert_eq!(deliveries, MANY / 4, "failed ones are found by their new index");
}

async fn endpoints_are_read<H: Harness>(fixture: &Fixture<'_, H>, seed: &Seed) {
    let (store, scope, application) = (fixture.store(), &seed.tenant.scope, seed.customer.id);
    let reference = EndpointRef::Id(seed.endpoint);
    let endpoint = store.endpoint(scope, application, &reference).await.unwrap();
    assert!(endpoint.is_some());
    let secrets = store
        .endpoint_secrets(scope, application, &reference)
        .await
        .unwrap();
    assert!(secrets.is_some(), "its secret is opened");
    let (all, page) = (EndpointFilter::default(), PageRequest::first(100));
    let endpoints = store.endpoints_of(scope, application, &all, page).await.unwrap();
    assert!(endpoints.items.len() == 100 && endpoints.next.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_sqlite_is_migrated() {
    let (source, directory) = (SqliteHarness::new().await, tempfile::tempdir().unwrap());
    let seed = seed(&Fixture::new(&source)).await;
    let old = Old::sqlite(&directory, BEFORE).await;
    let file = source.directory.path().join("postrider.sqlite3");
    old.take_from_file(&file.to_string_lossy()).await;
    old.fill(&seed).await;
    let before = old.rows().await;
    let columns = old.all_columns().await;
    // What migrates opens it anew.
    old.close().await;
    let harness = SqliteHarness::of(directory).await;
    let now = Old::Sqlite(SqliteHarness::outside(&harness.directory).await);
    assert_eq!(now.rows_of(&columns).await, before);
    works(&Fixture::new(&harness), &seed).await;
    now.close().await;
    harness.finish().await;
    source.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_postgres_is_migrated() {
    let source = PostgresHarness::new().await;
    let seed = seed(&Fixture::new(&source)).await;
    let (old, name) = Old::postgres(BEFORE).await;
    old.take_from_server(&source.outside).await;
    old.fill(&seed).await;
    let before = old.rows().await;
    let columns = old.all_columns().await;
    // What migrates opens it anew.
    old.close().await;
    PostgresHarness::migrate(&name).await;
    let harness = PostgresHarness::of(name).await;
    let now = Old::Postgres(harness.outside.clone());
    assert_eq!(now.rows_of(&columns).await, before);
    works(&Fixture::new(&harness), &seed).await;
    harness.finish().await;
    source.finish().await;
}
