//! A store that falls silent.

use std::{collections::BTreeMap, sync::Mutex};

use async_trait::async_trait;
use postrider_application::{
    audit::AuditEntry,
    ports::{FailingEndpoint, NewMessage, WriteError, Written},
};
use postrider_domain::{ApiKeyId, TenantId, Timestamp};

use super::{
    tests::{MINUTE, idle_ports, run_with},
    *,
};

/// Never answers the first call of a kind; counts them.
#[derive(Default)]
struct SilentAtFirst(Mutex<BTreeMap<&'static str, u32>>);

impl SilentAtFirst {
    async fn asked<T>(&self, kind: &'static str, answer: T) -> Result<T, StoreError> {
        let count = {
            let mut asked = self.0.lock().unwrap();
            let count = asked.entry(kind).or_default();
            *count += 1;
            *count
        };
        if count == 1 {
            std::future::pending::<()>().await;
        }
        Ok(answer)
    }
}

#[async_trait]
impl MessageWriter for SilentAtFirst {
    async fn write(&self, _: &[NewMessage]) -> Result<Vec<Written>, WriteError> {
        unreachable!("no chore writes messages")
    }

    async fn write_all(&self, _: &[NewMessage]) -> Result<Vec<Written>, WriteError> {
        unreachable!("no chore writes messages")
    }

    async fn forget_expired_keys(&self, _: u32) -> Result<u32, StoreError> {
        self.asked(KEYS, 0).await
    }
}

#[async_trait]
impl Housekeeping for SilentAtFirst {
    async fn forget_expired(&self, _: u32) -> Result<u32, StoreError> {
        self.asked(EXPIRED, 0).await
    }

    async fn erase(&self, _: u32, _: Duration) -> Result<ErasureStep, StoreError> {
        self.asked(ERASE, ErasureStep::Nothing).await
    }

    async fn record_key_uses(&self, _: &[(TenantId, ApiKeyId, Timestamp)]) -> Result<(), StoreError> {
        unreachable!("no chore records uses")
    }

    async fn append_audit(&self, _: &[AuditEntry]) -> Result<(), StoreError> {
        unreachable!("no chore writes the audit log")
    }
}

#[async_trait]
impl Partitions for SilentAtFirst {
    async fn make_ahead(&self, _: Duration) -> Result<u32, StoreError> {
        self.asked(PARTITIONS, 0).await
    }
}

#[async_trait]
impl EndpointHealth for SilentAtFirst {
    async fn failing_for(&self, _: Duration, _: u32) -> Result<Vec<FailingEndpoint>, StoreError> {
        self.asked(FAILING, Vec::new()).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_never_answered_is_given_up_and_the_chore_done_again() {
    let (store, done) = (Arc::new(SilentAtFirst::default()), CancellationToken::new());
    let ports = ChoresPorts {
        writer: store.clone(),
        housekeeping: store.clone(),
        partitions: store.clone(),
        health: store.clone(),
        ..idle_ports()
    };
    let end = done.clone();
    tokio::join!(run_with(ports, ChoresOptions::default(), done), async move {
        time::sleep(CALL_TIMEOUT * 2 + MINUTE * 5).await;
        end.cancel();
    });
    let asked = store.0.lock().unwrap().clone();
    for chore in [KEYS, EXPIRED, PARTITIONS, ERASE, FAILING] {
        assert!(asked[chore] > 1, "{chore}: {asked:?}");
    }
}
