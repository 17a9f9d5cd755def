use super::*;
use crate::test_support::{StoredKeys, TestClock, poll_once, sealer, two_keys};
use postrider_testkit::TokioClock;
use tokio::sync::Semaphore;

pub(crate) async fn load(store: &Arc<StoredKeys>) -> Result<KeyRing, KeyRingError> {
    load_at(store, Arc::new(TestClock::at_seconds(1_000))).await
}

async fn load_at(store: &Arc<StoredKeys>, clock: Arc<dyn Clock>) -> Result<KeyRing, KeyRingError> {
    KeyRing::load_or_create(store.clone(), Arc::new(sealer(1)), clock).await
}

#[tokio::test]
async fn a_key_is_made_once_and_found_again() {
    let store = StoredKeys::for_racers(1);
    let first = load(&store).await.unwrap();
    let stored = store.stored.lock().unwrap().clone();
    assert_eq!(stored[0].created_at, Timestamp::from_micros(1_000_000_000));
    assert_eq!(load(&store).await.unwrap().jwks(), first.jwks());
    assert_eq!(store.offered.lock().unwrap().len(), 1);
    assert_eq!(format!("{first:?}"), format!("[{:?}]", stored[0].kid));
}

#[tokio::test]
async fn two_nodes_that_start_at_once_use_one_key() {
    let store = StoredKeys::for_racers(2);
    let (a, b) = tokio::join!(load(&store), load(&store));
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!(a.signing().unwrap().kid, b.signing().unwrap().kid);
    assert_eq!(a.jwks(), b.jwks());
    let offered = store.offered.lock().unwrap();
    assert_eq!(offered.len(), 2);
    assert_ne!(offered[0], offered[1], "both made a key, and one of them lost");
}

#[tokio::test]
async fn the_key_set_publishes_the_public_half_only() {
    let ring = load(&StoredKeys::holding([two_keys().await.0])).await.unwrap();
    let set: serde_json::Value = serde_json::from_str(&ring.jwks()).unwrap();
    let key = set["keys"][0].as_object().unwrap();
    let mut members: Vec<_> = key.keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"]);
    assert_eq!(
        (&key["kty"], &key["alg"], &key["use"], &key["e"]),
        (&"RSA".into(), &"RS256".into(), &"sig".into(), &"AQAB".into())
    );
    assert_eq!(key["kid"], ring.signing().unwrap().kid);
    // 2,048 bits in base64url without padding.
    assert_eq!(key["n"].as_str().unwrap().len(), 342);
}

#[tokio::test]
async fn the_newest_key_signs_and_all_are_published() {
    let (old, new) = two_keys().await;
    for order in [[old.clone(), new.clone()], [new.clone(), old.clone()]] {
        let ring = load(&StoredKeys::holding(order)).await.unwrap();
        assert_eq!(ring.signing().unwrap().kid, new.kid);
        assert!(ring.find(&old.kid).is_some() && ring.find("other").is_none());
        assert!(ring.jwks().contains(&old.kid) && ring.jwks().contains(&new.kid));
    }
    // Two that were made at the same moment: all nodes choose alike.
    let same = StoredSigningKey {
        created_at: new.created_at,
        ..old
    };
    let a = load(&StoredKeys::holding([same.clone(), new.clone()]))
        .await
        .unwrap();
    let b = load(&StoredKeys::holding([new, same])).await.unwrap();
    assert_eq!(a.signing().unwrap().kid, b.signing().unwrap().kid);
}

#[tokio::test]
async fn a_key_that_was_moved_altered_or_sealed_otherwise_is_refused() {
    let good = two_keys().await.0;
    let mut altered = good.clone();
    altered.sealed_private_key[100] ^= 1;
    let renamed = StoredSigningKey {
        kid: "another".to_owned(),
        ..good.clone()
    };
    for bad in [altered, renamed] {
        let loaded = load(&StoredKeys::holding([bad])).await;
        assert!(matches!(loaded, Err(KeyRingError::Sealed { .. })));
    }
    let store = StoredKeys::holding([good.clone()]);
    let clock = Arc::new(TestClock::at_seconds(1));
    let other_master = KeyRing::load_or_create(store, Arc::new(sealer(2)), clock).await;
    assert!(matches!(other_master, Err(KeyRingError::Sealed { .. })));
    let pkcs8 = sealer(1)
        .open(
            &StoredSigningKey::seal_context(&good.kid),
            &good.sealed_private_key,
        )
        .unwrap();
    for (kid, plain) in [(good.kid.as_str(), b"no key".as_slice()), ("another", &pkcs8)] {
        let bad = StoredSigningKey {
            kid: kid.to_owned(),
            sealed_private_key: sealer(1).seal(&StoredSigningKey::seal_context(kid), plain),
            created_at: good.created_at,
        };
        let loaded = load(&StoredKeys::holding([bad])).await;
        assert!(matches!(loaded, Err(KeyRingError::Malformed { .. })));
    }
}

/// A ring that knows the older key, after its first second; the newer one has just been stored.
async fn behind() -> (Arc<StoredKeys>, KeyRing, StoredSigningKey) {
    let (old, new) = two_keys().await;
    let store = StoredKeys::holding([old]);
    let ring = load_at(&store, Arc::new(TokioClock::new())).await.unwrap();
    tokio::time::sleep(LOADS_APART).await;
    store.stored.lock().unwrap().push(new.clone());
    (store, ring, new)
}

#[tokio::test(start_paused = true)]
async fn a_refresh_finds_keys_that_were_added_elsewhere() {
    let (store, ring, new) = behind().await;
    let old = ring.signing().unwrap();
    assert!(ring.find(&new.kid).is_none());
    ring.refresh().await.unwrap();
    assert_eq!(ring.signing().unwrap().kid, new.kid);
    assert!(ring.jwks().contains(&new.kid) && ring.jwks().contains(&old.kid));
    assert!(
        Arc::ptr_eq(&old, &ring.find(&old.kid).unwrap().0),
        "what is open already is not opened again"
    );
    // And forgets those that were removed.
    store.stored.lock().unwrap().retain(|key| key.kid == new.kid);
    ring.refresh().await.unwrap();
    assert!(ring.find(&old.kid).is_none() && !ring.jwks().contains(&old.kid));
}

#[tokio::test(start_paused = true)]
async fn loads_begin_a_second_apart_and_a_thousand_who_ask_share_one() {
    let (store, ring, new) = behind().await;
    let (clock, before) = (TokioClock::new(), store.reads());
    let ask = || futures_util::future::join_all((0..1_000).map(|_| ring.refresh()));
    assert!(ask().await.iter().all(Result::is_ok));
    // The first began one at once; the others asked while it was under way, and shared the next.
    assert_eq!(store.reads() - before, 2);
    assert_eq!(clock.monotonic().as_secs(), 1);
    // Soon again: they wait, as the key that they ask for may have been stored since the last load.
    tokio::time::sleep(Duration::from_millis(300)).await;
    store.stored.lock().unwrap().retain(|key| key.kid != new.kid);
    ring.refresh().await.unwrap();
    assert!(
        ring.find(&new.kid).is_none(),
        "what was stored when it asked is what it sees"
    );
    assert_eq!(store.reads() - before, 3);
    assert_eq!(clock.monotonic().as_secs(), 2);
    for _ in 0..5 {
        ring.refresh().await.unwrap();
    }
    assert_eq!(store.reads() - before, 8);
    assert_eq!(clock.monotonic().as_secs(), 7);
}

/// Reads that have read and wait at a gate.
async fn gated() -> (Arc<StoredKeys>, KeyRing, StoredSigningKey) {
    let (old, new) = two_keys().await;
    let mut store = StoredKeys::ungated(1);
    store.gate = Some(Semaphore::new(1));
    store.stored.lock().unwrap().push(old);
    let store = Arc::new(store);
    let ring = load_at(&store, Arc::new(TokioClock::new())).await.unwrap();
    tokio::time::sleep(LOADS_APART).await;
    (store, ring, new)
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_during_a_load_is_not_answered_by_what_it_read_before() {
    let (store, ring, new) = gated().await;
    let mut early = Box::pin(ring.refresh());
    assert!(poll_once(&mut early).is_pending());
    // It has read. Now a key is stored, and a token of it is shown.
    store.stored.lock().unwrap().push(new.clone());
    let mut late = Box::pin(ring.refresh());
    assert!(poll_once(&mut late).is_pending());
    store.gate.as_ref().unwrap().add_permits(2);
    early.await.unwrap();
    assert!(ring.find(&new.kid).is_none());
    late.await.unwrap();
    assert!(ring.find(&new.kid).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_leaves_the_load_to_the_next() {
    let (store, ring, new) = gated().await;
    let mut gone = Box::pin(ring.refresh());
    assert!(poll_once(&mut gone).is_pending());
    let mut waiting = Box::pin(ring.refresh());
    assert!(poll_once(&mut waiting).is_pending());
    drop(gone);
    store.stored.lock().unwrap().push(new.clone());
    store.gate.as_ref().unwrap().add_permits(1);
    waiting.await.unwrap();
    assert!(ring.find(&new.kid).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_load_that_fails_is_shared_and_leaves_the_keys_as_they_are() {
    let (store, ring, new) = behind().await;
    let known = ring.jwks();
    store.break_down(true);
    let before = store.reads();
    let answers = futures_util::future::join_all((0..100).map(|_| ring.refresh())).await;
    assert_eq!(
        store.reads() - before,
        2,
        "one that the first began, and one for the others"
    );
    for error in answers.into_iter().map(Result::unwrap_err) {
        let error = error.answer();
        assert_eq!(error.code(), ErrorCode::Unavailable);
        assert!(error.chain().contains("connection refused"), "{}", error.chain());
    }
    assert_eq!(ring.jwks(), known);
    store.break_down(false);
    ring.refresh().await.unwrap();
    assert_eq!(ring.signing().unwrap().kid, new.kid);
    // A key that does not open, and a store that has lost them all: those that are known stay.
    let known = ring.jwks();
    let mut unreadable = new.clone();
    unreadable.kid = "unreadable".to_owned();
    *store.stored.lock().unwrap() = vec![new, unreadable];
    let error = ring.refresh().await.unwrap_err();
    assert!(matches!(*error, KeyRingError::Sealed { .. }));
    assert_eq!(error.answer().code(), ErrorCode::Internal);
    store.stored.lock().unwrap().clear();
    assert!(matches!(*ring.refresh().await.unwrap_err(), KeyRingError::Lost));
    assert_eq!(ring.jwks(), known);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_makes_the_key_that_signs_from_now_on() {
    let (old, _) = two_keys().await;
    let store = StoredKeys::holding([old.clone()]);
    let ring = load_at(&store, Arc::new(TokioClock::new())).await.unwrap();
    let rotated = ring.rotate(Record::InHistory, OldKeys::Verify).await.unwrap();
    assert_eq!(
        ring.signing().unwrap().kid,
        rotated.kid,
        "at once, on the node that made it"
    );
    assert!(ring.find(&old.kid).is_some());
    assert!(ring.jwks().contains(&rotated.kid) && ring.jwks().contains(&old.kid));
    assert_eq!(
        rotated.removed,
        Vec::<String>::new(),
        "its tokens may be good for a day"
    );
    // Another node hears of it.
    let other = load(&store).await.unwrap();
    assert_eq!(other.signing().unwrap().kid, rotated.kid);
    assert_eq!(other.jwks(), ring.jwks());
}

#[tokio::test(start_paused = true)]
async fn a_key_goes_when_the_last_token_that_it_signed_has_expired() {
    let clock = Arc::new(TokioClock::new());
    let made_at = clock.now();
    let (old, _) = two_keys().await;
    let store = StoredKeys::holding([StoredSigningKey {
        created_at: made_at,
        ..old.clone()
    }]);
    let ring = load_at(&store, clock.clone()).await.unwrap();
    let first = ring.rotate(Record::InHistory, OldKeys::Verify).await.unwrap();
    assert_eq!(
        store.retired_before.lock().unwrap().unwrap(),
        clock.now().minus(Duration::from_hours(25))
    );
    // The longest-lived token may have been signed at the moment of the rotation.
    tokio::time::sleep(MAX_PORTAL_TOKEN_LIFETIME).await;
    let second = ring.rotate(Record::InHistory, OldKeys::Verify).await.unwrap();
    assert_eq!(second.removed, Vec::<String>::new());
    assert!(ring.find(&old.kid).is_some());
    tokio::time::sleep(Duration::from_hours(1) + Duration::from_millis(1)).await;
    let third = ring.rotate(Record::InHistory, OldKeys::Verify).await.unwrap();
    assert_eq!(third.removed, [&*old.kid]);
    assert!(ring.find(&old.kid).is_none() && ring.find(&first.kid).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_compromised_key_goes_at_once_and_whoever_remembers_is_told() {
    let (old, _) = two_keys().await;
    let store = StoredKeys::holding([old.clone()]);
    let ring = load_at(&store, Arc::new(TokioClock::new())).await.unwrap();
    ring.rotate(Record::InHistory, OldKeys::Verify).await.unwrap();
    assert_eq!(ring.removals(), 0);
    let rotated = ring.rotate(Record::InHistory, OldKeys::DiscardAll).await.unwrap();
    assert_eq!(rotated.removed.len(), 2);
    assert!(ring.find(&old.kid).is_none() && ring.find(&rotated.kid).is_some());
    assert_eq!(ring.removals(), 1);
}

/// One of two keys was sealed with a master key that is gone.
#[tokio::test(start_paused = true)]
async fn a_key_that_does_not_open_goes_only_when_that_is_asked() {
    let (old, new) = two_keys().await;
    let lost = |key: &StoredSigningKey| StoredSigningKey {
        sealed_private_key: sealer(2).seal(&StoredSigningKey::seal_context(&key.kid), b"whatever"),
        ..key.clone()
    };
    for (stored, left) in [
        ([old.clone(), lost(&new)], vec![&*old.kid]),
        ([lost(&old), new.clone()], vec![&*new.kid]),
        ([lost(&old), lost(&new)], vec![]),
    ] {
        let store = StoredKeys::holding(stored);
        assert!(matches!(load(&store).await, Err(KeyRingError::Sealed { .. })));
        let clock = Arc::new(TestClock::at_seconds(3_000));
        let ring = KeyRing::load_readable(store.clone(), Arc::new(sealer(1)), clock);
        let ring = ring.await.unwrap();
        assert_eq!(
            ring.signing().map(|key| key.kid.clone()).as_deref(),
            left.first().copied()
        );
        assert_eq!(store.stored.lock().unwrap().len(), 2, "looking removes nothing");
        let kept = ring.rotate(Record::InHistory, OldKeys::Verify).await.unwrap();
        assert!(kept.removed.is_empty() && kept.unreadable.is_empty());
        assert!(load(&store).await.is_err(), "nor does an ordinary rotation");

        let rotated = ring.rotate(Record::InHistory, OldKeys::DiscardUnreadable).await;
        let rotated = rotated.unwrap();
        assert!(rotated.removed.is_empty(), "what opens verifies on");
        assert_eq!(rotated.unreadable.len(), 2 - left.len());
        assert!(!rotated.unreadable.iter().any(|kid| left.contains(&&**kid)));
        assert_eq!(ring.signing().unwrap().kid, rotated.kid);
        let served = load(&store).await.unwrap();
        assert_eq!(served.signing().unwrap().kid, rotated.kid);
        assert!(left.iter().all(|kid| served.find(kid).is_some()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_knows_when_another_took_its_place() {
    let (old, new) = two_keys().await;
    let store = StoredKeys::holding([old.clone(), new.clone()]);
    let ring = load_at(&store, Arc::new(TokioClock::new())).await.unwrap();
    assert_eq!(ring.find(&old.kid).unwrap().1, Some(new.created_at));
    assert_eq!(ring.find(&new.kid).unwrap().1, None);
}

#[tokio::test(start_paused = true)]
async fn the_new_key_is_the_newest_also_beside_a_clock_that_is_ahead() {
    let clock = Arc::new(TokioClock::new());
    let ahead = StoredSigningKey {
        created_at: clock.now().plus(Duration::from_mins(1)),
        ..two_keys().await.0
    };
    let store = StoredKeys::holding([ahead.clone()]);
    let ring = load_at(&store, clock).await.unwrap();
    let rotated = ring.rotate(Record::InHistory, OldKeys::Verify).await.unwrap();
    assert_ne!(rotated.kid, ahead.kid);
    assert_eq!(ring.signing().unwrap().kid, rotated.kid);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_cannot_be_stored_fails_and_changes_nothing() {
    let (store, ring, _) = behind().await;
    let known = ring.jwks();
    store.break_down(true);
    let error = ring.rotate(Record::InHistory, OldKeys::Verify).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Unavailable);
    assert_eq!(ring.jwks(), known);
    assert_eq!(store.stored.lock().unwrap().len(), 2);
}
