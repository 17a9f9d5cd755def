//! What an installation is made of: signing keys, and facts that are written once.

use std::time::Duration;

use postrider_application::{
    audit::Record,
    ports::{RetiredKeys, StoredSigningKey},
};
use postrider_domain::Timestamp;
use tokio::task::JoinSet;

use super::{Census, Fixture, Harness};

fn key(kid: &str, created_at: Timestamp) -> StoredSigningKey {
    StoredSigningKey {
        kid: kid.to_owned(),
        sealed_private_key: kid.as_bytes().to_vec(),
        created_at,
    }
}

/// The ids of the stored keys, in their order.
/// Keys that were replaced before then go.
fn replaced(replaced_before: Timestamp) -> RetiredKeys {
    RetiredKeys {
        replaced_before,
        named: Vec::new(),
    }
}

async fn kids<H: Harness>(fixture: &Fixture<'_, H>) -> Vec<String> {
    let keys = fixture.ports().keys.signing_keys().await.unwrap();
    keys.into_iter().map(|key| key.kid).collect()
}

/// A new key comes first; those go that a newer one replaced before the given time, and no others, in whatever
/// order they were added.
pub async fn a_new_signing_key_retires_those_long_replaced<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let keys = &fixture.ports().keys;
    // Each day is one point in time, however often it is named.
    let days: Vec<_> = (0..10)
        .map(|nth| fixture.ago(Duration::from_hours(24 * (10 - nth))))
        .collect();
    let day = |nth: usize| days[nth];
    keys.add_first_signing_key(key("d1", day(1))).await.unwrap();
    for (new, at, retired_before, removed, left) in [
        ("d2", day(2), day(2), vec![], vec!["d2", "d1"]),
        ("d3", day(3), day(2), vec![], vec!["d3", "d2", "d1"]),
        ("d4", day(4), day(3), vec!["d1"], vec!["d4", "d3", "d2"]),
        ("d5", day(5), day(5), vec!["d2", "d3"], vec!["d5", "d4"]),
        ("d6", day(6), day(7), vec!["d4", "d5"], vec!["d6"]),
    ] {
        let mut gone = keys
            .add_signing_key(key(new, at), replaced(retired_before), Record::InHistory)
            .await
            .unwrap();
        gone.sort();
        assert_eq!(gone, removed, "{new}");
        assert_eq!(kids(&fixture).await, left, "{new}");
    }
    let stored = keys.signing_keys().await.unwrap();
    assert_eq!(stored, [key("d6", day(6))]);
}

/// Those that are named go too, each told once, and the others stay.
pub async fn signing_keys_are_removed_by_name<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let keys = &fixture.ports().keys;
    let days: Vec<_> = (0..5)
        .map(|nth| fixture.ago(Duration::from_hours(24 * (5 - nth))))
        .collect();
    for (nth, kid) in ["d0", "d1", "d2", "d3"].into_iter().enumerate() {
        let added = keys.add_signing_key(key(kid, days[nth]), replaced(days[0]), Record::InHistory);
        assert!(added.await.unwrap().is_empty());
    }
    let retired = RetiredKeys {
        named: ["d0", "d2", "another"].map(str::to_owned).into(),
        ..replaced(days[2])
    };
    let mut gone = keys
        .add_signing_key(key("d4", days[4]), retired, Record::InHistory)
        .await
        .unwrap();
    gone.sort();
    assert_eq!(gone, ["d0", "d2"]);
    assert_eq!(kids(&fixture).await, ["d4", "d3", "d1"]);
}

/// Keys that are added at the same moment are all kept, and each rotation is in the audit log.
pub async fn racing_rotations_keep_all_keys<H: Census>(harness: &H) {
    let fixture = Fixture::new(harness);
    let keys = &fixture.ports().keys;
    let long_ago = fixture.ago(Duration::from_hours(1));
    let mut racers = JoinSet::new();
    for nth in 0..4_u64 {
        let (keys, at) = (keys.clone(), fixture.ago(Duration::from_secs(nth)));
        let record = fixture.operator().await.did(nth);
        let key = key(&format!("key-{nth}"), at);
        racers.spawn(async move {
            keys.add_signing_key(key, replaced(long_ago), record)
                .await
                .unwrap()
        });
    }
    assert_eq!(racers.join_all().await.concat(), [""; 0]);
    assert_eq!(kids(&fixture).await, ["key-0", "key-1", "key-2", "key-3"]);
    let rows = harness.rows(None).await;
    assert_eq!(
        (rows.get("signing_keys"), rows.get("audit_entries")),
        (Some(&4), Some(&4))
    );
}

/// Of several nodes that start at once with a key each, one wins; all see its key.
pub async fn the_first_signing_key_wins<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let keys = &fixture.ports().keys;
    assert!(keys.signing_keys().await.unwrap().is_empty());
    let mut racers = JoinSet::new();
    for node in 0..8_u8 {
        let (keys, created_at) = (keys.clone(), fixture.now());
        let key = StoredSigningKey {
            kid: format!("key-{node}"),
            sealed_private_key: vec![0, 255, node],
            created_at,
        };
        racers.spawn(async move { (keys.add_first_signing_key(key.clone()).await.unwrap(), key).1 });
    }
    let offered = racers.join_all().await;
    let stored = keys.signing_keys().await.unwrap();
    assert_eq!(stored.len(), 1);
    assert!(offered.contains(&stored[0]), "whole, and one of those offered");

    let later = StoredSigningKey {
        kid: "later".to_owned(),
        ..offered[0].clone()
    };
    keys.add_first_signing_key(later).await.unwrap();
    assert_eq!(keys.signing_keys().await.unwrap(), stored);
}

/// Of several nodes that offer a fact, one wins; all are answered its value.
pub async fn the_first_value_of_a_fact_wins<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let facts = &fixture.ports().facts;
    let mut racers = JoinSet::new();
    for node in 0..8_u8 {
        let facts = facts.clone();
        racers.spawn(async move { facts.get_or_insert("check", vec![0, node, 255]).await.unwrap() });
    }
    let answers = racers.join_all().await;
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(
        facts.get_or_insert("check", Vec::new()).await.unwrap(),
        answers[0]
    );
    assert_eq!(facts.get_or_insert("other", vec![7]).await.unwrap(), [7]);
}
