//! Retention in memory: history goes by the row, as on SQLite. (On PostgreSQL it goes by the day, and so the contract
//! says only what stays.)

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as tests do"
)]

use std::time::Duration;

use postrider_application::ports::{
    MessageViews as _, NewMessage, Retention as _, RetentionPolicy, StoredPayload,
};
use postrider_domain::{EndpointId, MessageId};
use postrider_testkit::contract::{Census as _, Customer, Fixture, Harness as _, MemoryHarness, Tenancy};

const DAY: Duration = Duration::from_hours(24);

/// Messages for 60 days, what belongs to them for 30.
const POLICY: RetentionPolicy = RetentionPolicy {
    messages: Some(Duration::from_hours(60 * 24)),
    payloads: Some(Duration::from_hours(30 * 24)),
    attempts: Some(Duration::from_hours(30 * 24)),
    audit: None,
    events: None,
};

/// A message that was accepted so many days ago, whose delivery waits.
async fn queued(
    fixture: &Fixture<'_, MemoryHarness>,
    customer: &Customer,
    endpoint: EndpointId,
    days: u32,
) -> MessageId {
    let mut message = fixture.message(customer);
    message.created_at = fixture.now().minus(DAY * days);
    let id = message.id;
    let new = NewMessage {
        message: message.into(),
        dedup: None,
        owner: None,
    };
    fixture.ports().writer.write(&[new]).await.unwrap();
    let node = fixture.node().await;
    let row = fixture.fan_out_to(node, id, endpoint).await;
    fixture.ports().queue.hand_back(node, vec![row]).await.unwrap();
    id
}

/// Delivers what waits.
async fn deliver(fixture: &Fixture<'_, MemoryHarness>, endpoint: EndpointId) {
    let node = fixture.node().await;
    let row = fixture.claim_one(node).await;
    let delivered = fixture.delivered(row.message, endpoint);
    assert!(fixture.settle(node, row.work, delivered).await);
}

async fn rows(harness: &MemoryHarness, tenant: &Tenancy) -> [u64; 4] {
    let rows = harness.rows(Some(tenant.id)).await;
    ["messages", "payloads", "deliveries", "attempts"].map(|table| rows.get(table).copied().unwrap_or(0))
}

/// Each table's rows go in their own time, no more of each at once than asked for; those of what is queued stay.
#[tokio::test]
async fn rows_go_by_the_batch() {
    let harness = MemoryHarness::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let endpoint = fixture.endpoint(&tenant, &customer).await;
    let mut messages = Vec::new();
    for days in [0, 45, 75, 76] {
        messages.push(queued(&fixture, &customer, endpoint, days).await);
        deliver(&fixture, endpoint).await;
    }
    queued(&fixture, &customer, endpoint, 80).await;
    assert_eq!(rows(&harness, &tenant).await, [5, 5, 4, 4]);

    let store = harness.store();
    let first = store.remove_old(&POLICY, None, 1).await.unwrap();
    assert!(first.rows == 4 && first.more, "{first:?}");
    while store.remove_old(&POLICY, None, 1).await.unwrap().more {}
    assert_eq!(rows(&harness, &tenant).await, [3, 2, 2, 1]);
    let without = store.payload(&tenant.scope, customer.id, messages[1]).await;
    assert_eq!(without.unwrap(), Some(StoredPayload::Expunged));
    let keys = [(tenant.id, messages[0]), (tenant.id, messages[1])];
    let material = fixture.ports().material.messages(&keys).await.unwrap();
    assert_eq!(material.into_keys().collect::<Vec<_>>(), messages[..1]);

    deliver(&fixture, endpoint).await;
    while store.remove_old(&POLICY, None, 1).await.unwrap().more {}
    assert_eq!(rows(&harness, &tenant).await, [2, 1, 2, 1]);
}
