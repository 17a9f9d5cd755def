//! Lists of deliveries look at so much for a page, and say where to go on.

use std::time::Duration;

use postrider_application::ports::{
    DeliveryFilter, DeliveryState, DeliveryViews as _, ListedDelivery, MessageFilter, MessageViews as _,
    PageRequest, Start,
};
use postrider_domain::access::Visibility;
use postrider_testkit::contract::{Fixture, Harness};

use crate::{
    on_both,
    outside::Outside,
    support::{PostgresHarness, SqliteHarness},
};

/// More than are looked at for a page.
const OTHERS: i64 = 2_500;

const MESSAGES: &str = "
INSERT INTO messages (id, tenant, app, event_type, channels, content_type, payload_bytes, created_at)
SELECT (left(m.id::text, 24) || lpad(to_hex(n + 1048576), 12, '0'))::uuid, m.tenant, m.app, m.event_type, m.channels,
    m.content_type, m.payload_bytes, m.created_at
FROM messages m, generate_series(0, $1) AS n WHERE m.id = $2";
/// The oldest one was cancelled; all others have failed.
const DELIVERIES: &str = "
INSERT INTO deliveries (message, endpoint, tenant, app, status, reason, attempts, failures, updated_at)
SELECT m.id, $1, m.tenant, m.app, CASE WHEN m.id::text = min(m.id::text) OVER () THEN 'cancelled' ELSE 'failed' END,
    CASE WHEN m.id::text = min(m.id::text) OVER () THEN NULL ELSE 'exhausted' END, 1, 1, m.created_at
FROM messages m WHERE m.id <> $2";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_looks_at_so_much_and_goes_on() {
    let harness = PostgresHarness::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let endpoint = fixture.endpoint(&tenant, &customer).await;
    let message = fixture.accepted(&customer).await;
    for (sql, values) in [(MESSAGES, None), (DELIVERIES, Some(endpoint.as_uuid()))] {
        let query = sqlx::query(sql);
        let query = match values {
            None => query.bind(OTHERS),
            Some(endpoint) => query.bind(endpoint),
        };
        query
            .bind(message.as_uuid())
            .execute(&harness.outside)
            .await
            .unwrap();
    }
    let pages = async |filter: DeliveryFilter| {
        let mut pages: Vec<Vec<ListedDelivery>> = Vec::new();
        let mut page = PageRequest::first(10);
        loop {
            let store = fixture.store();
            let found = store
                .search_deliveries(&tenant.scope, &Visibility::All, &filter, page.clone())
                .await
                .unwrap();
            pages.push(found.items);
            let Some(next) = found.next else { return pages };
            page.start = Start::After(next);
        }
    };
    let state = |state| DeliveryFilter {
        state: Some(state),
        ..DeliveryFilter::default()
    };
    let sizes = |pages: &[Vec<ListedDelivery>]| pages.iter().map(Vec::len).collect::<Vec<_>>();
    // What is not delivered, by its index.
    let found = pages(state(DeliveryState::Cancelled)).await;
    assert_eq!(sizes(&found), [0, 1]);
    assert_eq!(sizes(&pages(state(DeliveryState::Pending)).await), [0, 0]);
    let failed = pages(state(DeliveryState::Failed)).await.concat();
    assert_eq!(i64::try_from(failed.len()).unwrap(), OTHERS);
    // What is delivered, by the application's messages.
    let delivered = DeliveryFilter {
        application: Some(customer.id),
        ..state(DeliveryState::Delivered)
    };
    assert_eq!(sizes(&pages(delivered).await), [0, 0]);
    harness.finish().await;
}

/// A clock was set back by half an hour, and ids do not go back: both lists know the message by its time.
async fn a_message_is_found_by_its_time_though_its_id_is_of_another<O: Outside>(harness: &O) {
    const HALF_AN_HOUR: Duration = Duration::from_mins(30);
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let endpoint = fixture.endpoint(&tenant, &customer).await;
    let node = fixture.node().await;
    let (message, work) = fixture.delivery(node, &customer, endpoint).await;
    assert!(
        fixture
            .settle(node, work, fixture.delivered(message, endpoint))
            .await
    );
    let by = HALF_AN_HOUR.as_micros();
    harness
        .run(&format!("UPDATE messages SET created_at = created_at - {by}"))
        .await;
    let (from, to) = (
        fixture.ago(Duration::from_mins(31)),
        fixture.ago(Duration::from_mins(29)),
    );
    let store = harness.store();
    let filter = MessageFilter {
        from: Some(from),
        to: Some(to),
        ..MessageFilter::default()
    };
    let listed = store
        .messages(&tenant.scope, customer.id, &filter, PageRequest::first(10))
        .await
        .unwrap();
    assert_eq!(
        listed.items.iter().map(|view| view.id).collect::<Vec<_>>(),
        [message]
    );
    let filter = DeliveryFilter {
        application: Some(customer.id),
        from: Some(from),
        to: Some(to),
        ..DeliveryFilter::default()
    };
    let page = PageRequest::first(10);
    let listed = store
        .search_deliveries(&tenant.scope, &Visibility::All, &filter, page)
        .await
        .unwrap();
    assert_eq!(
        listed
            .items
            .iter()
            .map(|listed| listed.key().message)
            .collect::<Vec<_>>(),
        [message]
    );
}

on_both! { a_message_is_found_by_its_time_though_its_id_is_of_another; }
