//! Lists of deliveries look at so much for a page, and say where to go on.

use postrider_application::ports::{
    DeliveryFilter, DeliveryState, DeliveryViews as _, ListedDelivery, PageRequest, Start,
};
use postrider_domain::access::Visibility;
use postrider_testkit::contract::{Fixture, Harness as _};

use crate::support::PostgresHarness;

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
