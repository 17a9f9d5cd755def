use super::*;
use crate::composition::test_support::{Use, Written};
use tokio::task::JoinSet;
use uuid::Uuid;

const TENANT: TenantId = TenantId::from_uuid(Uuid::from_u128(1));

fn key(number: u128) -> ApiKeyId {
    ApiKeyId::from_uuid(Uuid::from_u128(number))
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// Notes, runs for `time`, stops, and answers each batch that was written.
async fn run(noted: &NotedKeyUses, store: Arc<Written>, time: Duration) -> Vec<Vec<Use>> {
    let (shutdown, mut tasks) = (CancellationToken::new(), JoinSet::new());
    tasks.spawn(KeyUseWriter::new(noted, store.clone()).run(shutdown.clone()));
    time::sleep(time).await;
    shutdown.cancel();
    assert!(tasks.join_next().await.unwrap().is_ok());
    store.uses.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn only_the_last_use_of_each_key_is_written() {
    let noted = NotedKeyUses::default();
    for (number, micros) in [(1, 5), (2, 1), (1, 9), (1, 7)] {
        noted.used(TENANT, key(number), at(micros));
    }
    let written = run(&noted, Arc::default(), INTERVAL + Duration::from_secs(1)).await;
    let [mut batch] = <[_; 1]>::try_from(written).unwrap();
    batch.sort_unstable();
    assert_eq!(batch, [(TENANT, key(1), at(9)), (TENANT, key(2), at(1))]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_writes_what_is_left() {
    let noted = NotedKeyUses::default();
    noted.used(TENANT, key(1), at(1));
    let written = run(&noted, Arc::default(), Duration::from_millis(1)).await;
    assert_eq!(written, [[(TENANT, key(1), at(1))]]);
}

#[tokio::test(start_paused = true)]
async fn the_keys_between_two_writes_are_bounded_and_written_in_batches() {
    let noted = NotedKeyUses::default();
    for number in 0..2 * MAX_KEYS {
        noted.used(TENANT, key(number as u128), at(1));
    }
    noted.used(TENANT, key(0), at(2));
    let written = run(&noted, Arc::default(), Duration::from_millis(1)).await;
    assert!(written.iter().all(|batch| batch.len() <= BATCH));
    let all = written.concat();
    assert_eq!(all.len(), MAX_KEYS);
    assert!(
        all.contains(&(TENANT, key(0), at(2))),
        "what is known is still noted"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_survived() {
    let noted = NotedKeyUses::default();
    noted.used(TENANT, key(1), at(1));
    let store = Written::failing(1);
    let written = run(&noted, store.clone(), INTERVAL + Duration::from_secs(1)).await;
    assert!(written.is_empty());
    noted.used(TENANT, key(2), at(2));
    let written = run(&noted, store, Duration::from_millis(1)).await;
    assert_eq!(written, [[(TENANT, key(2), at(2))]]);
}
