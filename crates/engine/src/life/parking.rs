//! Rows that wait in the database because their endpoint's lane is full: they are parked once, by endpoint, and fetched
//! when the lane has drained, by whichever node has room.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use postrider_application::ports::{ClaimFrom, ClaimedWork, StoreError, WorkRef};
use postrider_domain::EndpointId;
use tokio::time;

use super::{Done, Life};
use crate::{
    backoff::Backoff,
    budget::Permit,
    ports::{bounded, warn},
};

/// How many endpoints with parked rows are asked for at once.
const ENDPOINTS_AT_ONCE: u32 = 500;

/// Which endpoints have parked rows, as far as this node knows, and which of them to fetch for. Pure.
pub(super) struct Parking {
    /// A lane is fetched for when no more than this wait in it.
    low: usize,
    known: HashSet<EndpointId>,
    /// Those of them whose lanes may have room; each once.
    ready: VecDeque<EndpointId>,
    queued: HashSet<EndpointId>,
    fetching: bool,
    looks_at: Option<Duration>,
    after: Option<EndpointId>,
}

impl Parking {
    pub(super) fn new(low: usize, now: Duration) -> Self {
        Self {
            low,
            known: HashSet::new(),
            ready: VecDeque::new(),
            queued: HashSet::new(),
            fetching: false,
            looks_at: Some(now),
            after: None,
        }
    }

    /// Whether rows of `endpoint` are parked.
    pub(super) fn has(&self, endpoint: EndpointId) -> bool {
        self.known.contains(&endpoint)
    }

    /// Rows of `endpoint` are parked.
    pub(super) fn note(&mut self, endpoint: EndpointId) {
        self.known.insert(endpoint);
        self.make_ready(endpoint);
    }

    fn make_ready(&mut self, endpoint: EndpointId) {
        if self.queued.insert(endpoint) {
            self.ready.push_back(endpoint);
        }
    }

    /// `waiting` jobs are left in the lane of `endpoint`.
    pub(super) fn drained_to(&mut self, endpoint: EndpointId, waiting: usize) {
        if waiting <= self.low && self.has(endpoint) {
            self.make_ready(endpoint);
        }
    }

    /// An endpoint to fetch for, given how many wait in its lane.
    fn next(&mut self, waiting_at: impl Fn(EndpointId) -> usize) -> Option<EndpointId> {
        while let Some(endpoint) = self.ready.pop_front() {
            self.queued.remove(&endpoint);
            // Else it is ready again when its lane has drained.
            if self.has(endpoint) && waiting_at(endpoint) <= self.low {
                return Some(endpoint);
            }
        }
        None
    }

    /// Whether there is something to fetch, and nobody does.
    pub(super) fn waits_for_room(&self) -> bool {
        !self.fetching && !self.ready.is_empty()
    }

    /// No row of it is parked any more.
    fn forget(&mut self, endpoint: EndpointId) {
        self.known.remove(&endpoint);
    }
}

/// How a fetch ended.
pub(super) struct Refill {
    endpoint: EndpointId,
    limit: usize,
    permit: Permit,
    rows: Result<Vec<ClaimedWork>, StoreError>,
}

impl Life {
    /// Fetches parked rows for a lane that has drained.
    pub(super) fn refill(&mut self) {
        if self.parking.fetching {
            return;
        }
        let lanes = &self.lanes;
        let Some(endpoint) = self.parking.next(|endpoint| lanes.waiting_at(endpoint)) else {
            return;
        };
        let room = self.lanes.room_in_lane(endpoint).min(self.budget.free_rows() / 2);
        let limit = room.min(self.options.claim_batch as usize);
        let permit = if limit > 0 {
            self.budget.take_rows(limit)
        } else {
            None
        };
        let Some(permit) = permit else {
            // When something ends there is room.
            return self.parking.make_ready(endpoint);
        };
        self.parking.fetching = true;
        let (queue, epoch) = (Arc::clone(&self.ports.queue), self.lease.epoch);
        let timeout = self.options.store_timeout;
        let rows = u32::try_from(limit).unwrap_or(u32::MAX);
        self.calls.spawn(async move {
            let claim = queue.claim(epoch, ClaimFrom::Parked(endpoint), rows);
            let rows = bounded(timeout, claim).await;
            Done::Refilled(Refill {
                endpoint,
                limit,
                permit,
                rows,
            })
        });
    }

    pub(super) fn refilled(&mut self, refill: Refill) {
        self.parking.fetching = false;
        let Refill {
            endpoint,
            limit,
            mut permit,
            rows,
        } = refill;
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => {
                warn("parked rows could not be fetched", &error);
                let now = self.now();
                self.adoption.suspect(now);
                // The next look at parked endpoints finds it again.
                return self.parking.forget(endpoint);
            }
        };
        if rows.len() < limit {
            self.parking.forget(endpoint);
        } else {
            self.parking.make_ready(endpoint);
        }
        let mut surplus = Vec::new();
        for work in rows {
            match permit.split_row() {
                Some(permit) if self.drain.is_none() => self.fetched(&work, permit),
                _ => surplus.push(work.work),
            }
        }
        self.hand_back(surplus);
    }

    /// Looks for endpoints with rows that somebody else parked, if it is time.
    pub(super) fn look_for_parked(&mut self, now: Duration) {
        if self.parking.looks_at.take_if(|at| *at <= now).is_none() {
            return;
        }
        let (queue, timeout) = (Arc::clone(&self.ports.queue), self.options.store_timeout);
        let after = self.parking.after;
        self.calls.spawn(async move {
            let endpoints = queue.parked_endpoints(after, ENDPOINTS_AT_ONCE);
            Done::Parked(bounded(timeout, endpoints).await)
        });
    }

    pub(super) fn found_parked(&mut self, endpoints: Result<Vec<EndpointId>, StoreError>) {
        self.parking.looks_at = Some(self.now() + self.options.dead_sweep_interval);
        match endpoints {
            Ok(endpoints) => {
                let full = endpoints.len() == ENDPOINTS_AT_ONCE as usize;
                self.parking.after = endpoints.last().copied().filter(|_| full);
                for endpoint in endpoints {
                    self.parking.note(endpoint);
                }
            }
            Err(error) => warn("cannot look for parked rows", &error),
        }
    }

    /// When to look for them next.
    pub(super) const fn looks_for_parked_at(&self) -> Option<Duration> {
        self.parking.looks_at
    }

    /// Parks rows, again and again until the store has done it, as for [`Self::hand_back`].
    pub(super) fn park(&mut self, rows: Vec<WorkRef>) {
        if rows.is_empty() {
            return;
        }
        let (queue, epoch) = (Arc::clone(&self.ports.queue), self.lease.epoch);
        let (timeout, limit) = (self.options.store_timeout, self.options.settle_batch);
        self.calls.spawn(async move {
            for batch in rows.chunks(limit) {
                let mut backoff = Backoff::default();
                while let Err(error) = bounded(timeout, queue.park(epoch, batch.to_vec())).await {
                    warn("cannot park rows", &error);
                    time::sleep(backoff.next()).await;
                }
            }
            Done::Released(rows)
        });
    }
}
