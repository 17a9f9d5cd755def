//! The queue where the contract cannot look: how rows are reached, what racing settlements do to the health of
//! endpoints, whose bell is heard.

use std::time::Duration;

use postrider_application::ports::{
    ClaimFrom, DeliveryQueue as _, EndpointHealth as _, Epoch, NewWork, NodeRegistry as _, Settlement,
    WorkBell as _, WorkRef,
};
use postrider_domain::{EndpointId, MessageId, WorkId, deliveries::DeliveryStatus};
use postrider_persistence::SqlStore;
use postrider_testkit::contract::{Customer, Fixture, Harness as _, Tenancy};
use sqlx::postgres::PgListener;
use tokio::task::JoinSet;

use crate::{
    on_both,
    outside::Outside,
    reached::{all_have_ended, reached},
    support::{PostgresHarness, SqliteHarness, sealer},
    until::SURELY,
};

/// Rows of others that stand in the queue: enough to notice who walks through them.
const OTHERS: i64 = 30_000;

/// The tables that settling and claiming are about.
const OF_THE_QUEUE: &str = "^(outbox_work|endpoint_failures|deliveries|attempts|endpoints|applications)";

/// Rows of nobody, and parked ones of a hundred endpoints, long due, so that they come first; and rows that the node
/// itself owns, and another one, for much later.
async fn crowd(harness: &PostgresHarness, nodes: [Epoch; 2]) {
    sqlx::query(
        "INSERT INTO outbox_work
            (id, tenant, app, message, endpoint, due_at, owner, claim, attempts, failures, payload_bytes)
         SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(),
            lpad(to_hex(n % 100 + 1), 32, '0')::uuid, CASE WHEN n % 4 < 2 THEN n ELSE 9000000000000000 + n END,
            (ARRAY[0, -1, $2, $3])[n % 4 + 1], 0, 0, 0, 1
         FROM generate_series(1, $1) AS n",
    )
    .bind(OTHERS)
    .bind(nodes[0].0)
    .bind(nodes[1].0)
    .execute(&harness.outside)
    .await
    .unwrap();
}

/// Everything that is done to the queue, once and again, as prepared statements are planned anew at first. So many rows,
/// and endpoints, of others come first.
async fn work(
    (store, node): (&SqlStore, Epoch),
    fixture: &Fixture<'_, PostgresHarness>,
    (tenant, customer): (&Tenancy, &Customer),
    others: usize,
) {
    let endpoint = fixture.endpoint(tenant, customer).await;
    for _ in 0..7 {
        let from_now_on = ClaimFrom::Queue {
            low: Some(fixture.ago(Duration::from_hours(1))),
        };
        let (message, held) = (fixture.accepted(customer).await, fixture.work_id());
        let rows = store.claim(node, from_now_on, 10).await.unwrap();
        assert_eq!(rows.len(), 1);
        let open = NewWork {
            id: held,
            endpoint,
            parked: false,
        };
        let settle = |work, concluded, open| Settlement {
            work,
            concluded,
            open,
        };
        let fan_out = settle(rows[0].work, Vec::new(), vec![open]);
        assert_eq!(store.settle(node, vec![fan_out]).await.unwrap().len(), 1);
        let held = WorkRef { id: held, claim: 1 };
        assert_eq!(store.still_held(node, &[held]).await.unwrap(), [held.id]);
        let owned = store.owned(node, Duration::ZERO, None, 10).await.unwrap();
        assert_eq!(owned.len(), 1);
        store.park(node, vec![held]).await.unwrap();
        let parked = store.parked_endpoints(None, 10).await.unwrap();
        assert_eq!(parked.len(), others.max(1));
        let parked = store
            .claim(node, ClaimFrom::Parked { endpoint, low: None }, 10)
            .await
            .unwrap();
        assert_eq!(parked.len(), 1);
        let failed = settle(
            parked[0].work,
            vec![fixture.failed(message, endpoint).0],
            Vec::new(),
        );
        assert_eq!(store.settle(node, vec![failed]).await.unwrap().len(), 1);
        assert!(!store.failing_for(Duration::ZERO, 10).await.unwrap().is_empty());
        store.next_due(None).await.unwrap();
        assert!(store.bury().await.unwrap().is_empty());
        let old = store
            .claim(node, ClaimFrom::Queue { low: None }, 10)
            .await
            .unwrap();
        assert_eq!(old.len(), others);
        let old: Vec<WorkRef> = old.into_iter().map(|row| row.work).collect();
        store.hand_back(node, old).await.unwrap();
    }
}

/// No statement walks through a table, whatever is in the queue and however old the statistics are.
#[tokio::test]
async fn rows_are_reached_by_their_keys() {
    let harness = PostgresHarness::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let (node, other) = (fixture.node().await, fixture.node().await);
    let database = PostgresHarness::open(&harness.name).await;
    let store = SqlStore::new(database.clone(), sealer(1));
    // What is prepared now is planned for a queue that is empty, and known to be.
    harness.run("VACUUM ANALYZE").await;
    work((&store, node), &fixture, (&tenant, &customer), 0).await;
    crowd(&harness, [node, other]).await;
    let before = reached(&harness, OF_THE_QUEUE).await;
    work((&store, node), &fixture, (&tenant, &customer), 10).await;
    // Sessions tell what they did when they end.
    database.close().await.unwrap();
    harness.store().database().close().await.unwrap();
    all_have_ended(&harness).await;
    let after = reached(&harness, OF_THE_QUEUE).await;
    assert!(
        after.keys().any(|table| table == "outbox_work") && after.len() > 8,
        "{after:?}"
    );
    assert!(
        after["outbox_work"].1 > before["outbox_work"].1,
        "something was counted"
    );
    for (table, (walks, rows)) in &after {
        let (walks_before, rows_before) = before.get(table).copied().unwrap_or_default();
        // Making an application or an endpoint is not the queue's.
        if !["applications", "endpoints"].contains(&table.as_str()) {
            assert_eq!(walks - walks_before, 0, "{table} was walked through");
        }
        let rows = rows - rows_before;
        assert!(rows < 5_000, "{rows} rows of {table} were reached");
    }
    harness.finish().await;
}

/// Settlements of one message to all these endpoints, in their order: to which it is delivered, `delivered` says, and to
/// the others it fails.
async fn settlements<H: Outside>(
    fixture: &Fixture<'_, H>,
    (node, customer): (Epoch, &Customer),
    endpoints: &[EndpointId],
    delivered: impl Fn(usize) -> bool,
) -> Vec<Settlement> {
    let (message, rows) = fixture.fanned_out(node, customer, endpoints).await;
    rows.into_iter()
        .zip(endpoints)
        .enumerate()
        .map(|(place, (work, endpoint))| Settlement {
            work,
            concluded: vec![if delivered(place) {
                fixture.delivered(message, *endpoint)
            } else {
                fixture.failed(message, *endpoint).0
            }],
            open: Vec::new(),
        })
        .collect()
}

/// Nodes that settle successes and failures of the same endpoints at the same time, in any order, neither fail nor wait
/// for each other for ever, and the last word is kept. All have failed long ago, so that there are rows to begin, to
/// end, and to write over.
async fn racing_settlements_keep_the_health_of_endpoints<H: Outside>(harness: &H) {
    const ENDPOINTS: usize = 12;
    const ROUNDS: usize = 6;
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let mut endpoints = Vec::new();
    for _ in 0..ENDPOINTS {
        endpoints.push(fixture.endpoint(&tenant, &customer).await);
    }
    let queue = &fixture.ports().queue;
    let node = fixture.node().await;
    let batch = settlements(&fixture, (node, &customer), &endpoints, |_| false).await;
    assert_eq!(queue.settle(node, batch).await.unwrap().len(), ENDPOINTS);
    harness.age(Duration::from_hours(2)).await;
    let mut nodes = JoinSet::new();
    for nth in 0..4 {
        let node = fixture.node().await;
        let mut batches = Vec::new();
        for round in 0..ROUNDS {
            let every_other = |place| (place + nth + round) % 2 == 0;
            let mut batch = settlements(&fixture, (node, &customer), &endpoints, every_other).await;
            batch.rotate_left(nth * 3);
            if nth % 2 == 1 {
                batch.reverse();
            }
            batches.push(batch);
        }
        let queue = queue.clone();
        nodes.spawn(async move {
            for batch in batches {
                assert_eq!(queue.settle(node, batch).await.unwrap().len(), ENDPOINTS);
            }
        });
    }
    nodes.join_all().await;

    // In turn, the last settlement decides: half of them fail, and the others do not.
    let node = fixture.node().await;
    let batch = settlements(&fixture, (node, &customer), &endpoints, |place| place % 2 == 0).await;
    assert_eq!(queue.settle(node, batch).await.unwrap().len(), ENDPOINTS);
    let health = &fixture.ports().health;
    let failing = health.failing_for(Duration::ZERO, 100).await.unwrap();
    let mut failing: Vec<EndpointId> = failing.into_iter().map(|failing| failing.endpoint).collect();
    failing.sort_unstable();
    let mut expected: Vec<EndpointId> = endpoints.into_iter().skip(1).step_by(2).collect();
    expected.sort_unstable();
    assert_eq!(failing, expected);
}

async fn status_of<H: Outside>(harness: &H, message: MessageId) -> Vec<String> {
    let message = H::literal(message.as_uuid());
    let select = format!("SELECT status FROM deliveries WHERE message = {message} ORDER BY status");
    harness.texts(&select).await
}

/// First attempts are written without looking for history. One that has some nevertheless, as a delivery has that was
/// cancelled and is sent again, takes the others of its batch along.
async fn first_attempts_over_history_are_written<H: Outside>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let endpoint = fixture.endpoint(&tenant, &customer).await;
    let node = fixture.node().await;
    let ending = |work, concluded| Settlement {
        work,
        concluded: vec![concluded],
        open: Vec::new(),
    };
    let (again, cancelled) = fixture.delivery(node, &customer, endpoint).await;
    let (fresh, row) = fixture.delivery(node, &customer, endpoint).await;
    let queue = &fixture.ports().queue;
    let end = vec![ending(cancelled, fixture.cancelled(again, endpoint))];
    assert_eq!(queue.settle(node, end).await.unwrap(), [cancelled.id]);
    assert_eq!(status_of(harness, again).await, ["cancelled"]);

    let sent_again = fixture.work_id();
    queued_again(harness, again, endpoint, (&tenant, &customer), sent_again).await;
    let claimed = fixture.claim_one(node).await;
    assert_eq!((claimed.work.id, claimed.attempts), (sent_again, 0));
    let batch = vec![
        ending(row, fixture.delivered(fresh, endpoint)),
        ending(claimed.work, fixture.delivered(again, endpoint)),
    ];
    assert_eq!(queue.settle(node, batch.clone()).await.unwrap().len(), 2);
    assert!(queue.settle(node, batch).await.unwrap().is_empty());
    for message in [fresh, again] {
        assert_eq!(
            status_of(harness, message).await,
            [DeliveryStatus::Delivered.as_str()]
        );
    }
}

/// As a resend does.
async fn queued_again<H: Outside>(
    harness: &H,
    message: MessageId,
    endpoint: EndpointId,
    (tenant, customer): (&Tenancy, &Customer),
    work: WorkId,
) {
    let [work, tenant, app, message, endpoint] = [
        work.as_uuid(),
        tenant.id.as_uuid(),
        customer.id.as_uuid(),
        message.as_uuid(),
        endpoint.as_uuid(),
    ]
    .map(H::literal);
    harness
        .run(&format!(
            "INSERT INTO outbox_work
                (id, tenant, app, message, endpoint, due_at, owner, claim, attempts, failures, seq, payload_bytes)
             VALUES ({work}, {tenant}, {app}, {message}, {endpoint}, 0, 0, 0, 0, 0, 0, 7)"
        ))
        .await;
}

/// An endpoint that is gone, or disabled, when its last attempt is settled leaves no trace of its health.
async fn an_endpoint_that_is_gone_does_not_fail<H: Outside>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let (node, unknown) = (fixture.node().await, EndpointId::from_uuid(fixture.uuid()));
    let (message, work) = fixture.delivery(node, &customer, unknown).await;
    assert!(
        fixture
            .settle(node, work, fixture.failed(message, unknown).0)
            .await
    );
    let rows = harness.rows(Some(tenant.id)).await;
    assert!(
        rows.contains_key("attempts") && !rows.contains_key("endpoint_failures"),
        "{rows:?}"
    );
}

on_both! {
    racing_settlements_keep_the_health_of_endpoints;
    first_attempts_over_history_are_written;
    an_endpoint_that_is_gone_does_not_fail;
}

/// Channels are a database's, so the name has the schema in it; and whoever lost the connection is told.
#[tokio::test]
async fn the_bell_is_the_installations_own_and_a_lost_connection_counts_as_rung() {
    let harness = PostgresHarness::new().await;
    let store = harness.store();
    let schema: String = sqlx::query_scalar("SELECT 'public'::regnamespace::oid::text")
        .fetch_one(&harness.outside)
        .await
        .unwrap();
    let mut outside = PgListener::connect(&PostgresHarness::admin_url(&harness.name))
        .await
        .unwrap();
    outside.listen(&format!("postrider_work_{schema}")).await.unwrap();
    store.rung().await.unwrap();
    store.ring().await.unwrap();
    let heard = tokio::time::timeout(SURELY, outside.recv())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(heard.payload(), "");
    tokio::time::timeout(SURELY, store.rung()).await.unwrap().unwrap();

    let listening = tokio::time::timeout(SURELY, async {
        let ((), ended) = tokio::join!(async { store.rung().await.unwrap() }, async {
            sqlx::query_scalar::<_, i64>(
                "SELECT count(*) FROM (SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
                 WHERE datname = current_database() AND query LIKE 'LISTEN%' AND usename <> current_user) AS ended",
            )
            .fetch_one(&harness.outside)
            .await
            .unwrap()
        });
        ended
    });
    assert_eq!(listening.await.unwrap(), 1);
    store.ring().await.unwrap();
    tokio::time::timeout(SURELY, store.rung()).await.unwrap().unwrap();
    drop(outside);
    harness.finish().await;
}
