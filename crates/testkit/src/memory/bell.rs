use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use postrider_application::ports::{StoreError, WorkBell};
use tokio::sync::watch;

use super::store::MemoryStore;

/// A bell that is shared with its clones; each of them hears every ring, as nodes would.
#[derive(Debug)]
pub(super) struct Bell {
    rings: Arc<watch::Sender<u64>>,
    /// How many rings were heard here.
    heard: AtomicU64,
}

impl Bell {
    pub(super) fn new() -> Self {
        Self {
            rings: Arc::new(watch::Sender::new(0)),
            heard: AtomicU64::new(0),
        }
    }

    pub(super) fn ring(&self) {
        self.rings.send_modify(|rings| *rings += 1);
    }

    pub(super) async fn rung(&self) {
        let heard = self.heard.load(Ordering::SeqCst);
        let mut rings = self.rings.subscribe();
        // It fails only if the sender is gone, and `self` holds one.
        if let Ok(rings) = rings.wait_for(|rings| *rings > heard).await {
            self.heard.fetch_max(*rings, Ordering::SeqCst);
        }
    }
}

impl Clone for Bell {
    /// Another node: what was rung before, it has not missed.
    fn clone(&self) -> Self {
        let heard = *self.rings.borrow();
        Self {
            rings: self.rings.clone(),
            heard: AtomicU64::new(heard),
        }
    }
}

#[async_trait]
impl WorkBell for MemoryStore {
    async fn ring(&self) -> Result<(), StoreError> {
        self.bell.ring();
        Ok(())
    }

    async fn rung(&self) -> Result<(), StoreError> {
        self.bell.rung().await;
        Ok(())
    }
}
