use async_trait::async_trait;
use postrider_application::ports::{Epoch, EventBell, Heard, NodeSight, StoreError, Unseen};

use super::super::store::MemoryStore;

#[async_trait]
impl NodeSight for MemoryStore {
    async fn note_seen(&self, node: Epoch, position: i64) -> Result<(), StoreError> {
        let further = {
            let mut state = self.state();
            let node = state.hot.nodes.get_mut(&node);
            node.is_some_and(|node| {
                let further = node.seen < Some(position);
                node.seen = node.seen.max(Some(position));
                further
            })
        };
        if further {
            self.event_bells.seen.ring();
        }
        Ok(())
    }

    async fn unseen(&self, position: Option<i64>) -> Result<Unseen, StoreError> {
        let (state, now) = (self.state(), self.now());
        let position = position.unwrap_or_else(|| state.head());
        let behind = state.hot.nodes.values().filter(|node| {
            let lives = !node.dead && node.lease_until > now;
            lives && node.seen.is_some_and(|seen| seen < position)
        });
        Ok(Unseen {
            position,
            nodes: u32::try_from(behind.count()).unwrap_or(u32::MAX),
        })
    }
}

#[async_trait]
impl EventBell for MemoryStore {
    async fn heard(&self) -> Result<Heard, StoreError> {
        tokio::select! {
            biased;
            () = self.event_bells.events.rung() => Ok(Heard::Events),
            () = self.event_bells.seen.rung() => Ok(Heard::Seen),
        }
    }
}
