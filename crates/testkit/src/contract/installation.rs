//! What an installation writes once.

use postrider_application::ports::StoredSigningKey;
use tokio::task::JoinSet;

use super::{Fixture, Harness};

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
