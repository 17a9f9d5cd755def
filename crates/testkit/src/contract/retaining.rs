//! Retention: what is old goes, and nothing else.

use std::{collections::BTreeMap, time::Duration};

use postrider_application::ports::{AggregateKey, Removed, RetentionPolicy, SetAside, StartAt};
use postrider_domain::{MessageId, Timestamp, deliveries::Outcome};
use uuid::Uuid;

use super::{
    Census, Customer, Fixture, Tenancy,
    audit::{commit, log},
    audit_log::entry_at,
    queue_steps::{alone, write_one},
};

const DAY: Duration = Duration::from_hours(24);

const ALL_OF_A_MONTH: RetentionPolicy = RetentionPolicy {
    messages: Some(Duration::from_hours(30 * 24)),
    payloads: Some(Duration::from_hours(30 * 24)),
    attempts: Some(Duration::from_hours(30 * 24)),
    audit: Some(Duration::from_hours(30 * 24)),
    events: None,
};

/// A message of that long ago, by its id as well, that was delivered and attempted.
async fn message_of<H: Census>(
    fixture: &Fixture<'_, H>,
    tenant: &Tenancy,
    customer: &Customer,
    ago: Duration,
) -> MessageId {
    let endpoint = fixture.endpoint(tenant, customer).await;
    let node = fixture.node().await;
    let mut message = fixture.message(customer);
    message.created_at = fixture.now().minus(ago);
    let millis = u128::try_from(message.created_at.as_unix_millis()).unwrap();
    let random = fixture.uuid().as_u128() & ((1 << 80) - 1);
    message.id = MessageId::from_uuid(Uuid::from_u128((millis << 80) | random));
    let id = message.id;
    write_one(&*fixture.ports().writer, alone(message, None)).await;
    let row = fixture.fan_out_to(node, id, endpoint).await;
    let delivered = fixture.delivered(id, endpoint);
    assert_eq!(delivered.delivery.attempts, 1);
    assert_eq!(
        delivered.attempt.as_ref().unwrap().outcome,
        Outcome::of_status(204)
    );
    assert!(fixture.settle(node, row, delivered).await);
    id
}

/// How many rows of history the tenant has.
async fn rows<H: Census>(harness: &H, tenant: &Tenancy) -> [u64; 4] {
    let rows: BTreeMap<String, u64> = harness.rows(Some(tenant.id)).await;
    ["messages", "payloads", "deliveries", "attempts"].map(|table| rows.get(table).copied().unwrap_or(0))
}

async fn remove<H: Census>(
    fixture: &Fixture<'_, H>,
    policy: &RetentionPolicy,
    needed: Option<i64>,
) -> Removed {
    let retention = &fixture.ports().retention;
    let mut all = Removed::default();
    for _ in 0..100 {
        let removed = retention.remove_old(policy, needed, 100).await.unwrap();
        all.partitions += removed.partitions;
        all.rows += removed.rows;
        if !removed.more {
            return all;
        }
    }
    panic!("there is always more");
}

/// The positions of the events that are kept.
async fn positions<H: Census>(fixture: &Fixture<'_, H>) -> Vec<i64> {
    let all = fixture.ports().events.after(0, 1_000).await.unwrap();
    all.iter().map(|event| event.position).collect()
}

/// Nothing goes before its time, and nothing at all if nobody said a time.
pub async fn what_is_young_is_kept<H: Census>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    for days in [0, 1, 28] {
        message_of(&fixture, &tenant, &customer, days * DAY).await;
    }
    let before = harness.rows(Some(tenant.id)).await;
    assert_eq!(rows(harness, &tenant).await, [3; 4]);
    for policy in [RetentionPolicy::default(), ALL_OF_A_MONTH] {
        assert_eq!(remove(&fixture, &policy, None).await, Removed::default());
    }
    assert_eq!(harness.rows(Some(tenant.id)).await, before);
}

/// A delivery that is still to be attempted keeps its message, however old that is.
pub async fn what_is_queued_is_kept_however_old<H: Census>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let mut message = fixture.message(&customer);
    message.created_at = Timestamp::from_micros(1_000_000);
    message.id = MessageId::from_uuid(Uuid::from_u128(1_000 << 80 | 7 << 76 | 2 << 62 | 1));
    let id = message.id;
    write_one(&*fixture.ports().writer, alone(message, None)).await;
    assert_eq!(remove(&fixture, &ALL_OF_A_MONTH, None).await, Removed::default());
    let node = fixture.node().await;
    let endpoint = fixture.endpoint(&tenant, &customer).await;
    let row = fixture.fan_out_to(node, id, endpoint).await;
    assert_eq!(remove(&fixture, &ALL_OF_A_MONTH, None).await, Removed::default());
    assert!(fixture.settle(node, row, fixture.delivered(id, endpoint)).await);
    assert_eq!(rows(harness, &tenant).await, [1; 4]);
}

/// Events stay from the one on that somebody has still to read: after a subscriber's cursor, from what is set aside on,
/// after what a living node has seen. The last one stays in any case.
pub async fn events_that_somebody_needs_are_kept<H: Census>(harness: &H) {
    let fixture = Fixture::new(harness);
    for name in ["one", "two", "three"] {
        fixture.tenant(name).await;
    }
    let policy = RetentionPolicy {
        events: Some(Duration::ZERO),
        ..RetentionPolicy::default()
    };
    // All are old enough.
    harness.age(Duration::from_secs(1)).await;
    // As the sweeper does.
    let (cursors, sight) = (&fixture.ports().cursors, &fixture.ports().sight);
    let least_needed = async || fixture.ports().readers.least_needed().await.unwrap();
    let swept = async |left: &[i64]| {
        remove(&fixture, &policy, least_needed().await).await;
        assert_eq!(positions(&fixture).await, left);
    };
    let all = positions(&fixture).await;
    let (head, aside) = (all[all.len() - 1], all[all.len() - 4]);
    let node = fixture.node().await;
    cursors.declare("listener", StartAt::Beginning).await.unwrap();
    assert_eq!(cursors.take(node, &["listener"]).await.unwrap().len(), 1);
    swept(&all).await;

    // Past all but two; one before is set aside; the node has seen nothing.
    let letter = SetAside {
        position: aside,
        of: AggregateKey {
            tenant: None,
            aggregate: "a".to_owned(),
        },
        kind: "parcel.sent".to_owned(),
        attempts: 3,
        error: Some("no_good".to_owned()),
        discarded: false,
        later_in_log: false,
    };
    let (to, letters) = (all[all.len() - 3], [letter]);
    assert!(cursors.advance(node, "listener", to, &letters).await.unwrap());
    swept(&all).await;
    sight.note_seen(node, head).await.unwrap();
    assert_eq!(least_needed().await, Some(aside));
    swept(&all[all.len() - 4..]).await;
    assert!(cursors.delivered(node, "listener", aside, &[]).await.unwrap());
    swept(&all[all.len() - 2..]).await;
    assert!(cursors.advance(node, "listener", head, &[]).await.unwrap());
    assert_eq!(least_needed().await, Some(head + 1));
    swept(&all[all.len() - 1..]).await;
}

/// Events that nobody needs are kept for their time, and go then, no more at once than asked for.
pub async fn events_are_kept_for_their_time<H: Census>(harness: &H) {
    let fixture = Fixture::new(harness);
    fixture.tenant("old").await;
    let policy = RetentionPolicy {
        events: Some(DAY),
        ..RetentionPolicy::default()
    };
    let old = positions(&fixture).await;
    harness.age(DAY / 2).await;
    assert_eq!(remove(&fixture, &policy, None).await, Removed::default());
    assert_eq!(positions(&fixture).await, old);
    harness.age(DAY / 2 + Duration::from_secs(1)).await;
    fixture.tenant("young").await;
    let young = positions(&fixture).await.split_off(old.len());

    let retention = &fixture.ports().retention;
    let first = retention.remove_old(&policy, None, 2).await.unwrap();
    assert!(first.rows == 2 && first.more, "{first:?}");
    assert_eq!(positions(&fixture).await[..], [&old[2..], &young].concat());
    remove(&fixture, &policy, None).await;
    assert_eq!(positions(&fixture).await, young);
}

/// An entry of the audit log goes when it is older than it is kept, and no other does.
pub async fn old_entries_of_the_audit_log_go<H: Census>(harness: &H) {
    const YEAR: Duration = Duration::from_hours(365 * 24);
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let now = fixture.now();
    let mut entries = Vec::new();
    for at in [
        now.minus(YEAR + DAY),
        now.minus(YEAR + DAY),
        now.minus(YEAR).plus(DAY),
        now,
    ] {
        let old = entry_at(&fixture, &tenant, at);
        commit(&fixture, &tenant, &old).await;
        entries.insert(0, old);
    }
    let policy = RetentionPolicy {
        audit: Some(YEAR),
        ..RetentionPolicy::default()
    };
    assert_eq!(remove(&fixture, &RetentionPolicy::default(), None).await.rows, 0);
    assert_eq!(remove(&fixture, &policy, None).await.rows, 2);
    assert_eq!(log(&fixture, &tenant).await, entries[..2]);
    assert_eq!(remove(&fixture, &policy, None).await.rows, 0);
}
