use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use postrider_application::ports::{Epoch, NodeRegistry, StoreError};

use super::{
    hot::{NOBODY, Node},
    store::MemoryStore,
};

#[async_trait]
impl NodeRegistry for MemoryStore {
    async fn join(&self, ttl: Duration) -> Result<Epoch, StoreError> {
        let (mut state, now) = (self.state(), self.now());
        let nodes = &mut state.hot.nodes;
        // Nodes are never removed, so the next epoch was never used.
        let epoch = Epoch(nodes.keys().next_back().map_or(0, |last| last.0) + 1);
        let node = Node {
            lease_until: now.plus(ttl),
            dead: false,
            joined_at: now,
            seen: Some(0),
        };
        nodes.insert(epoch, node);
        Ok(epoch)
    }

    async fn beat(&self, node: Epoch, ttl: Duration) -> Result<bool, StoreError> {
        let (mut state, now) = (self.state(), self.now());
        let alive = state.hot.nodes.get_mut(&node).filter(|node| !node.dead);
        Ok(alive.map(|node| node.lease_until = now.plus(ttl)).is_some())
    }

    async fn bury(&self) -> Result<Vec<Epoch>, StoreError> {
        let (mut state, now) = (self.state(), self.now());
        let hot = &mut state.hot;
        for node in hot.nodes.values_mut() {
            node.dead |= node.lease_until <= now;
        }
        let owners: BTreeSet<i64> = hot.work.values().map(|row| row.owner).collect();
        let nodes = owners.into_iter().filter(|owner| *owner > NOBODY).map(Epoch);
        Ok(nodes.filter(|epoch| hot.is_dead(*epoch)).collect())
    }

    async fn leave(&self, node: Epoch) -> Result<(), StoreError> {
        let mut state = self.state();
        for row in state.hot.work.values_mut() {
            if row.owner == node.0 {
                row.owner = NOBODY;
            }
        }
        if let Some(node) = state.hot.nodes.get_mut(&node) {
            node.dead = true;
        }
        Ok(())
    }
}
