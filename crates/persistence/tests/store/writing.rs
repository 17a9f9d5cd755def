//! Batches of messages that the database refuses, cannot take now, or finds large.

use std::{sync::Arc, time::Duration};

use postrider_application::ports::{
    Dedup, MessageViews as _, MessageWriter as _, NewMessage, StoreError, StoredPayload, WriteError, Written,
};
use postrider_domain::{
    MessageId,
    event_types::EventTypeName,
    messages::{ContentType, Message, Payload},
};
use postrider_persistence::{Database, DatabaseOptions, PostgresOptions, SqlStore};
use postrider_testkit::contract::{Customer, Fixture, Harness, Tenancy};
use uuid::Uuid;

use crate::{
    on_both,
    outside::Outside,
    support::{PostgresHarness, SqliteHarness, sealer},
    until::until,
};

fn new(message: Message) -> NewMessage {
    NewMessage {
        message: Arc::new(message),
        dedup: None,
        owner: None,
    }
}

fn keyed(message: Message, key: u8) -> NewMessage {
    let dedup = Dedup {
        key_hash: [key; 32],
        body_hash: [1; 32],
        window: Duration::from_hours(1),
    };
    NewMessage {
        dedup: Some(dedup),
        ..new(message)
    }
}

fn are_stored(written: &[Written]) -> bool {
    written
        .iter()
        .all(|written| matches!(written, Written::Stored { .. }))
}

async fn given<H: Harness>(fixture: &Fixture<'_, H>) -> (Tenancy, Customer) {
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    (tenant, customer)
}

/// Nothing of the batch is there: no message, no payload, no key, no queue row.
async fn nothing_is_left<H: Harness>(
    fixture: &Fixture<'_, H>,
    (tenant, customer): (&Tenancy, &Customer),
    batch: &[NewMessage],
) {
    for new in batch {
        let (store, id) = (fixture.store(), new.message.id);
        let view = store.message(&tenant.scope, customer.id, id).await.unwrap();
        let payload = store.payload(&tenant.scope, customer.id, id).await.unwrap();
        assert_eq!((view, payload), (None, None));
    }
    let node = fixture.node().await;
    assert!(fixture.claim(node).await.is_empty());
    let keys = batch.iter().filter_map(|new| new.dedup.clone());
    let again: Vec<NewMessage> = keys
        .map(|dedup| NewMessage {
            dedup: Some(Dedup {
                body_hash: [9; 32],
                ..dedup
            }),
            ..new(fixture.message(customer))
        })
        .collect();
    let written = fixture.ports().writer.write(&again).await.unwrap();
    assert!(are_stored(&written), "no key was left: {written:?}");
}

/// The event type that the database below does not take.
fn poison() -> EventTypeName {
    EventTypeName::parse("poison.taken").unwrap()
}

/// What the database itself refuses, whatever we looked at before.
async fn a_poisoned_row_refuses_its_batch<H: Outside>(harness: &H) {
    let no_poison = if H::IS_POSTGRES {
        "ALTER TABLE messages ADD CONSTRAINT no_poison CHECK (event_type <> 'poison.taken')"
    } else {
        "CREATE TRIGGER no_poison BEFORE INSERT ON messages WHEN NEW.event_type = 'poison.taken'
         BEGIN SELECT RAISE(ABORT, 'poison'); END"
    };
    harness.run(no_poison).await;
    let fixture = Fixture::new(harness);
    let (tenant, customer) = given(&fixture).await;
    let poisoned = Message {
        event_type: poison(),
        ..fixture.message(&customer)
    };
    let batch = [
        new(fixture.message(&customer)),
        keyed(fixture.message(&customer), 1),
        keyed(poisoned, 2),
        keyed(fixture.message(&customer), 3),
    ];
    let writer = &fixture.ports().writer;
    for _ in 0..2 {
        let refused = writer.write(&batch).await;
        assert!(
            matches!(refused, Err(WriteError::Refused(StoreError::Internal(_)))),
            "{refused:?}"
        );
    }
    let refused = writer.write(&batch[2..3]).await;
    assert!(matches!(refused, Err(WriteError::Refused(_))), "{refused:?}");
    nothing_is_left(&fixture, (&tenant, &customer), &batch).await;
}

/// What only one of the databases would refuse is refused on both.
async fn a_nul_or_a_key_twice_is_refused<H: Outside>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (tenant, customer) = given(&fixture).await;
    let nul = Message {
        event_id: Some("a\0b".to_owned()),
        ..fixture.message(&customer)
    };
    let twice = new(fixture.message(&customer));
    let batches = [
        vec![new(fixture.message(&customer)), new(nul)],
        vec![
            keyed(fixture.message(&customer), 1),
            keyed(fixture.message(&customer), 1),
        ],
        vec![twice.clone(), twice],
    ];
    for batch in batches {
        let refused = fixture.ports().writer.write(&batch).await;
        assert!(matches!(refused, Err(WriteError::Refused(_))), "{refused:?}");
        let ids = batch.iter().map(|new| new.message.id);
        for id in ids {
            let view = fixture.store().message(&tenant.scope, customer.id, id).await;
            assert_eq!(view.unwrap(), None);
        }
    }
}

async fn payloads_of_a_mebibyte_are_written<H: Outside>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (tenant, customer) = given(&fixture).await;
    let message = |nth: u8| Message {
        payload: Payload::restore(
            (0..1_048_576_u32)
                .map(|at| nth ^ at.to_le_bytes()[1])
                .collect::<Vec<u8>>(),
            ContentType::json(),
        ),
        ..fixture.message(&customer)
    };
    let batch: Vec<NewMessage> = (0..64).map(|nth| new(message(nth))).collect();
    for _ in 0..2 {
        let written = fixture.ports().writer.write(&batch).await.unwrap();
        assert!(written.len() == 64 && are_stored(&written), "{written:?}");
    }
    for new in &batch {
        let stored = fixture
            .store()
            .payload(&tenant.scope, customer.id, new.message.id)
            .await;
        assert!(
            stored.unwrap() == Some(StoredPayload::There(new.message.payload.clone())),
            "byte for byte"
        );
    }
    let node = fixture.node().await;
    let rows = fixture.claim(node).await;
    assert!(rows.len() == 64 && rows.iter().all(|row| row.payload_bytes == 1_048_576));
}

on_both! {
    a_poisoned_row_refuses_its_batch;
    a_nul_or_a_key_twice_is_refused;
    payloads_of_a_mebibyte_are_written;
}

/// That there is no partition is no fault of the row, and it is told from a condition that the row violates.
#[tokio::test]
async fn a_missing_partition_is_unavailable_and_leaves_nothing() {
    let harness = PostgresHarness::new().await;
    let fixture = Fixture::new(&harness);
    let (tenant, customer) = given(&fixture).await;
    let far = Message {
        id: MessageId::from_uuid(Uuid::from_u128(0xffff_ffff_0000_7000_8000_0000_0000_0001)),
        ..fixture.message(&customer)
    };
    let batch = [
        keyed(fixture.message(&customer), 1),
        new(fixture.message(&customer)),
        keyed(far, 2),
    ];
    let answer = harness.store().write(&batch).await;
    let Err(WriteError::Unavailable(StoreError::Unavailable(cause))) = answer else {
        panic!("{answer:?}")
    };
    assert!(cause.to_string().contains("23514"), "{cause}");
    nothing_is_left(&fixture, (&tenant, &customer), &batch).await;
    harness.finish().await;
}

/// The server gives up because somebody is in the way: nothing is written, for certain.
#[tokio::test]
async fn a_statement_that_takes_too_long_is_unavailable() {
    let harness = PostgresHarness::new().await;
    let fixture = Fixture::new(&harness);
    let (tenant, customer) = given(&fixture).await;
    let options = PostgresOptions {
        statement_timeout: Duration::from_millis(300),
        ..PostgresHarness::options(&harness.name)
    };
    let database = Database::open(DatabaseOptions::Postgres(options)).await.unwrap();
    let hasty = SqlStore::new(database.clone(), sealer(1));
    let batch = [
        keyed(fixture.message(&customer), 1),
        new(fixture.message(&customer)),
    ];

    let mut outside = harness.outside.begin().await.unwrap();
    sqlx::query("LOCK TABLE outbox_work IN SHARE MODE")
        .execute(&mut *outside)
        .await
        .unwrap();
    let answer = hasty.write(&batch).await;
    assert!(matches!(answer, Err(WriteError::Unavailable(_))), "{answer:?}");
    outside.rollback().await.unwrap();
    nothing_is_left(&fixture, (&tenant, &customer), &batch).await;
    let written = hasty.write(&batch[1..]).await.unwrap();
    assert!(are_stored(&written), "{written:?}");
    database.close().await.unwrap();
    harness.finish().await;
}

/// The server ends the session in the middle: what was not answered may have been committed.
#[tokio::test]
async fn an_ended_session_is_unknown() {
    let harness = PostgresHarness::new().await;
    let fixture = Fixture::new(&harness);
    let (_, customer) = given(&fixture).await;
    let batch = [new(fixture.message(&customer))];
    let mut outside = harness.outside.begin().await.unwrap();
    sqlx::query("LOCK TABLE outbox_work IN SHARE MODE")
        .execute(&mut *outside)
        .await
        .unwrap();
    let writing = harness.store().write(&batch);
    let ending = until(async || {
        let ended = sqlx::query_scalar::<_, i64>(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'",
        );
        ended.fetch_one(&harness.outside).await.unwrap() > 0
    });
    let (answer, ()) = tokio::join!(writing, ending);
    assert!(matches!(answer, Err(WriteError::Unknown(_))), "{answer:?}");
    outside.rollback().await.unwrap();
    let written = harness.store().write(&batch).await.unwrap();
    assert!(are_stored(&written), "{written:?}");
    harness.finish().await;
}
