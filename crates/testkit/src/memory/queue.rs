use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use postrider_application::ports::{
    ClaimFrom, ClaimedWork, DeliveryQueue, Epoch, Settlement, StoreError, WorkRef,
};
use postrider_domain::{EndpointId, Timestamp, WorkId};

use super::{
    hot::{Hot, NOBODY, PARKED, Work},
    state::State,
    store::MemoryStore,
};

#[async_trait]
impl DeliveryQueue for MemoryStore {
    async fn claim(&self, node: Epoch, from: ClaimFrom, limit: u32) -> Result<Vec<ClaimedWork>, StoreError> {
        let (mut state, now) = (self.state(), self.now());
        let claimed = match from {
            ClaimFrom::Queue { low } => state.claim(node, limit, now, |row| {
                row.owner == NOBODY && Some(row.due_at) >= low
            }),
            ClaimFrom::Parked { endpoint, low } => state.claim(node, limit, now, |row| {
                row.owner == PARKED && row.endpoint == Some(endpoint) && Some(row.due_at) >= low
            }),
            ClaimFrom::Dead(epoch) if state.hot.is_dead(epoch) => {
                state.hot.release_what_is_not_due(epoch, now);
                state.claim(node, limit, now, |row| row.owner == epoch.0)
            }
            // Who lives keeps what it holds.
            ClaimFrom::Dead(_) => Vec::new(),
        };
        Ok(claimed)
    }

    async fn settle(&self, node: Epoch, batch: Vec<Settlement>) -> Result<Vec<WorkId>, StoreError> {
        let (mut state, now) = (self.state(), self.now());
        let settled = state.hot.settle(node, batch, now)?;
        if state.log_failed(now) {
            self.event_bells.events.ring();
        }
        Ok(settled)
    }

    async fn hand_back(&self, node: Epoch, rows: Vec<WorkRef>) -> Result<(), StoreError> {
        self.state().hot.let_go(node, &rows, NOBODY);
        Ok(())
    }

    async fn park(&self, node: Epoch, rows: Vec<WorkRef>) -> Result<(), StoreError> {
        self.state().hot.let_go(node, &rows, PARKED);
        Ok(())
    }

    async fn parked_endpoints(
        &self,
        after: Option<EndpointId>,
        limit: u32,
    ) -> Result<Vec<EndpointId>, StoreError> {
        let state = self.state();
        let parked = state.hot.work.values().filter(|row| row.owner == PARKED);
        let endpoints: BTreeSet<_> = parked.filter_map(|row| row.endpoint).collect();
        let later = endpoints.into_iter().filter(|endpoint| Some(*endpoint) > after);
        Ok(later.take(limit as usize).collect())
    }

    async fn owned(
        &self,
        node: Epoch,
        age: Duration,
        after: Option<(Timestamp, WorkId)>,
        limit: u32,
    ) -> Result<Vec<ClaimedWork>, StoreError> {
        let (state, now) = (self.state(), self.now());
        let mut rows: Vec<_> = state
            .hot
            .work
            .iter()
            .filter(|(_, row)| row.owner == node.0 && row.due_at.plus(age) <= now)
            .filter(|(id, row)| after.is_none_or(|after| (row.due_at, **id) > after))
            .collect();
        rows.sort_by_key(|(id, row)| (row.due_at, **id));
        let claimed = |(id, row): (&WorkId, &Work)| {
            let version = state.configuration.endpoints_version(row.tenant, row.application);
            row.claimed(*id, version)
        };
        Ok(rows.into_iter().take(limit as usize).map(claimed).collect())
    }

    async fn still_held(&self, node: Epoch, rows: &[WorkRef]) -> Result<Vec<WorkId>, StoreError> {
        let state = self.state();
        let held = |work: &&WorkRef| {
            let row = state.hot.work.get(&work.id);
            row.is_some_and(|row| row.is_held(node, **work) && state.configuration.is_there(row.tenant))
        };
        Ok(rows.iter().filter(held).map(|work| work.id).collect())
    }

    async fn next_due(&self, low: Option<Timestamp>) -> Result<Option<Duration>, StoreError> {
        let (state, now) = (self.state(), self.now());
        let work = state.hot.work.values();
        let free = work.filter(|row| row.owner == NOBODY && Some(row.due_at) >= low);
        Ok(free.map(|row| row.due_at).min().map(|due_at| due_at.since(now)))
    }
}

impl State {
    fn claim(
        &mut self,
        node: Epoch,
        limit: u32,
        now: Timestamp,
        wanted: impl Fn(&Work) -> bool,
    ) -> Vec<ClaimedWork> {
        let Self {
            configuration, hot, ..
        } = self;
        let mut due: Vec<_> = hot
            .work
            .iter_mut()
            .filter(|(_, row)| row.due_at <= now && wanted(row))
            .collect();
        due.sort_by_key(|(_, row)| (row.due_at, row.seq));
        due.into_iter()
            .take(limit as usize)
            .map(|(id, row)| {
                row.owner = node.0;
                row.claim += 1;
                let version = configuration.endpoints_version(row.tenant, row.application);
                row.claimed(*id, version)
            })
            .collect()
    }
}

impl Hot {
    /// Gives what `node` holds of `rows` to another owner.
    fn let_go(&mut self, node: Epoch, rows: &[WorkRef], owner: i64) {
        for work in rows {
            if let Some(row) = self.work.get_mut(&work.id)
                && row.is_held(node, *work)
            {
                row.owner = owner;
            }
        }
    }

    fn release_what_is_not_due(&mut self, dead: Epoch, now: Timestamp) {
        for row in self.work.values_mut() {
            if row.owner == dead.0 && row.due_at > now {
                row.owner = NOBODY;
            }
        }
    }
}
