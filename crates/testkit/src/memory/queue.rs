use std::time::Duration;

use async_trait::async_trait;
use postrider_application::ports::{
    ClaimFrom, ClaimedWork, DeliveryQueue, Epoch, Settlement, StoreError, WorkRef,
};
use postrider_domain::{Timestamp, WorkId};

use super::{
    hot::{Hot, NOBODY},
    store::MemoryStore,
};

#[async_trait]
impl DeliveryQueue for MemoryStore {
    async fn claim(&self, node: Epoch, from: ClaimFrom, limit: u32) -> Result<Vec<ClaimedWork>, StoreError> {
        let (mut state, now) = (self.state(), self.now());
        let hot = &mut state.hot;
        let owner = match from {
            ClaimFrom::Queue => NOBODY,
            ClaimFrom::Dead(epoch) if hot.nodes.get(&epoch).is_some_and(|node| node.dead) => {
                hot.release_what_is_not_due(epoch, now);
                epoch.0
            }
            // Who lives keeps what it holds.
            ClaimFrom::Dead(_) => return Ok(Vec::new()),
        };
        Ok(hot.claim(node, owner, now, limit))
    }

    async fn settle(&self, node: Epoch, batch: Vec<Settlement>) -> Result<Vec<WorkId>, StoreError> {
        let (mut state, now) = (self.state(), self.now());
        state.hot.settle(node, batch, now)
    }

    async fn hand_back(&self, node: Epoch, rows: Vec<WorkRef>) -> Result<(), StoreError> {
        let mut state = self.state();
        for work in rows {
            if let Some(row) = state.hot.work.get_mut(&work.id)
                && row.is_held(node, work)
            {
                row.owner = NOBODY;
            }
        }
        Ok(())
    }

    async fn still_held(&self, node: Epoch, rows: &[WorkRef]) -> Result<Vec<WorkId>, StoreError> {
        let state = self.state();
        let held = |work: &&WorkRef| {
            let row = state.hot.work.get(&work.id);
            row.is_some_and(|row| row.is_held(node, **work) && state.configuration.is_there(row.tenant))
        };
        Ok(rows.iter().filter(held).map(|work| work.id).collect())
    }

    async fn next_due(&self) -> Result<Option<Duration>, StoreError> {
        let (state, now) = (self.state(), self.now());
        let free = state.hot.work.values().filter(|row| row.owner == NOBODY);
        Ok(free.map(|row| row.due_at).min().map(|due_at| due_at.since(now)))
    }
}

impl Hot {
    fn claim(&mut self, node: Epoch, owner: i64, now: Timestamp, limit: u32) -> Vec<ClaimedWork> {
        let mut due: Vec<_> = self
            .work
            .iter_mut()
            .filter(|(_, row)| row.owner == owner && row.due_at <= now)
            .collect();
        due.sort_by_key(|(_, row)| (row.due_at, row.seq));
        due.into_iter()
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .map(|(id, row)| {
                row.owner = node.0;
                row.claim += 1;
                row.claimed(*id)
            })
            .collect()
    }

    fn release_what_is_not_due(&mut self, dead: Epoch, now: Timestamp) {
        for row in self.work.values_mut() {
            if row.owner == dead.0 && row.due_at > now {
                row.owner = NOBODY;
            }
        }
    }
}
