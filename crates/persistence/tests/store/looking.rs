//! How a batch of messages finds what is there already: its keys, and itself.

use std::{sync::Arc, time::Duration};

use postrider_application::ports::{Dedup, MessageWriter as _, NewMessage, Written};
use postrider_domain::messages::Message;
use postrider_persistence::{Database, DatabaseOptions, PostgresOptions, SqlStore};
use postrider_testkit::contract::{Fixture, Harness as _};

use crate::{
    outside::Outside as _,
    reached::{all_have_ended, reached},
    support::{PostgresHarness, sealer},
};

/// Keys of the same application, and messages, that the batches do not ask for.
const OTHERS: i64 = 200_000;

fn keyed(message: Message, key: u8) -> NewMessage {
    let dedup = Dedup {
        key_hash: [key; 32],
        body_hash: [1; 32],
        window: Duration::from_hours(1),
    };
    NewMessage {
        message: Arc::new(message),
        dedup: Some(dedup),
        owner: None,
    }
}

/// The statements were planned when there were no keys and no messages, and stay when there are many.
#[tokio::test]
async fn what_is_there_already_is_reached_by_its_key() {
    const TABLES: &str = "^(dedup|messages|payloads)";
    let harness = PostgresHarness::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    // One connection of the engine.
    let options = PostgresOptions {
        max_connections: 2,
        ..PostgresHarness::options(&harness.name)
    };
    let database = Database::open(DatabaseOptions::Postgres(options)).await.unwrap();
    let store = SqlStore::new(database.clone(), sealer(1));
    let batch = |of: u8| -> Vec<NewMessage> {
        (0..10)
            .map(|key| keyed(fixture.message(&customer), of + key))
            .collect()
    };
    let replayed = async |first: &[NewMessage], again: &[NewMessage]| {
        let written = store.write(again).await.unwrap();
        let ids = first.iter().map(|new| Written::Replayed(new.message.id));
        assert_eq!(written, ids.collect::<Vec<_>>());
    };
    harness.run("VACUUM ANALYZE").await;
    let first = batch(0);
    store.write(&first).await.unwrap();
    replayed(&first, &batch(0)).await;

    for sql in [
        "INSERT INTO dedup (tenant, app, key_hash, body_hash, message, expires_at)
         SELECT $1, $2, decode(lpad(to_hex(n), 64, '0'), 'hex'), decode(lpad('', 64, '0'), 'hex'),
            gen_random_uuid(), 9000000000000000 FROM generate_series(1, $3) AS n",
        "INSERT INTO messages (id, tenant, app, event_type, channels, content_type, payload_bytes, created_at)
         SELECT lpad(to_hex(n), 32, '0')::uuid, $1, $2, 'a.b', '[]', 'application/json', 1, 1
         FROM generate_series(1, $3) AS n",
    ] {
        sqlx::query(sql)
            .bind(tenant.id.as_uuid())
            .bind(customer.id.as_uuid())
            .bind(OTHERS)
            .execute(&harness.outside)
            .await
            .unwrap();
    }
    let before = reached(&harness, TABLES).await;
    for _ in 0..3 {
        replayed(&first, &batch(0)).await;
    }
    // Itself, and new ones.
    let stored = store.write(&first).await.unwrap();
    assert!(
        stored
            .iter()
            .all(|written| matches!(written, Written::Stored { .. }))
    );
    store.write(&batch(10)).await.unwrap();
    database.close().await.unwrap();
    harness.store().database().close().await.unwrap();
    all_have_ended(&harness).await;
    let after = reached(&harness, TABLES).await;
    assert!(after["dedup"].1 > before["dedup"].1, "something was counted");
    for (table, (walks, rows)) in &after {
        let (walks_before, rows_before) = before.get(table).copied().unwrap_or_default();
        assert_eq!(walks - walks_before, 0, "{table} was walked through");
        let rows = rows - rows_before;
        assert!(rows < 1_000, "{rows} rows of {table} were reached");
    }
    harness.finish().await;
}

/// That a message of another tenant has the id does not make it ours: whose key is taken hears of who has the key.
#[tokio::test]
async fn anothers_message_is_not_taken_for_ones_own() {
    let harness = PostgresHarness::new().await;
    let fixture = Fixture::new(&harness);
    let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
    let customer = fixture.application(&ours).await;
    let their_customer = fixture.application(&theirs).await;
    let writer = &fixture.ports().writer;
    let stranger = keyed(fixture.message(&their_customer), 1);
    let holder = keyed(fixture.message(&customer), 1);
    for new in [&stranger, &holder] {
        let written = writer.write(std::slice::from_ref(new)).await.unwrap();
        assert!(matches!(written[..], [Written::Stored { .. }]), "{written:?}");
    }
    let message = Message {
        id: stranger.message.id,
        ..fixture.message(&customer)
    };
    let written = writer.write(&[keyed(message, 1)]).await.unwrap();
    assert_eq!(written, [Written::Replayed(holder.message.id)]);
    harness.finish().await;
}
