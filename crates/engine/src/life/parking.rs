//! Rows that wait in the database because their endpoint's lane is full: they are parked once, by endpoint, and fetched
//! when the lane has drained, by whichever node has room.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use postrider_application::ports::{ClaimFrom, ClaimedWork, StoreError, WorkRef};
use postrider_domain::{EndpointId, Timestamp};
use tokio::time;

use super::{Done, Life};
use crate::{
    backoff::Backoff,
    budget::Permit,
    claims::{LOW_WATER_FOR, LOW_WATER_MARGIN},
    lanes::Lanes,
    store_calls::{bounded, warn},
};

/// How long to wait before looking again whether a lane has room.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(10);
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
    /// The endpoint that is being fetched for, and whether rows of it were parked meanwhile.
    fetching: Option<(EndpointId, bool)>,
    /// Nothing had room: not looked at again before.
    fetches_from: Duration,
    /// What was due before this was fetched already, and when rows before it were looked for last.
    fetched_to: HashMap<EndpointId, (Timestamp, Duration)>,
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
            fetching: None,
            fetches_from: Duration::ZERO,
            fetched_to: HashMap::new(),
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
        if let Some((fetched, again)) = &mut self.fetching {
            *again |= *fetched == endpoint;
        }
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

    /// An endpoint to fetch for, and how many rows, given how many wait in its lane and how many more may.
    fn next(&mut self, lanes: &Lanes) -> Option<(EndpointId, usize)> {
        for _ in 0..self.ready.len() {
            let endpoint = self.ready.pop_front()?;
            self.queued.remove(&endpoint);
            // Else it is ready again when its lane has drained.
            if !self.has(endpoint) || lanes.waiting_at(endpoint) > self.low {
                continue;
            }
            match lanes.room_in_lane(endpoint) {
                // Its tenant has its share.
                0 => self.make_ready(endpoint),
                room => return Some((endpoint, room)),
            }
        }
        None
    }

    /// Whether there is something to fetch, and nobody does.
    pub(super) fn waits_for_room(&self) -> bool {
        self.fetching.is_none() && !self.ready.is_empty()
    }

    /// The low-water mark of `endpoint`, as of [`Claims`](crate::claims::Claims): so that rows that are gone, but kept by
    /// an old snapshot, are not walked over at each fetch.
    fn low_of(&mut self, endpoint: EndpointId, now: Duration) -> Option<Timestamp> {
        let (low, since) = *self.fetched_to.get(&endpoint)?;
        if now >= since + LOW_WATER_FOR {
            self.fetched_to.remove(&endpoint);
            return None;
        }
        Some(low)
    }

    /// A fetch found as much as it asked for, the latest of it due at `latest`.
    fn fetched_up_to(&mut self, endpoint: EndpointId, latest: Option<Timestamp>, now: Duration) {
        if let Some(latest) = latest {
            let since = self.fetched_to.get(&endpoint).map_or(now, |(_, since)| *since);
            let low = latest.minus(LOW_WATER_MARGIN);
            self.fetched_to.insert(endpoint, (low, since));
        }
    }

    /// No row of it is parked any more.
    fn forget(&mut self, endpoint: EndpointId) {
        self.known.remove(&endpoint);
        self.fetched_to.remove(&endpoint);
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
        let now = self.now();
        if self.parking.fetching.is_some() || now < self.parking.fetches_from {
            return;
        }
        let Some((endpoint, room)) = self.parking.next(&self.lanes) else {
            self.parking.fetches_from = now + NO_ROOM_PAUSE;
            return;
        };
        let room = room.min(self.budget.free_rows() / 2);
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
        self.parking.fetching = Some((endpoint, false));
        let low = self.parking.low_of(endpoint, now);
        let (queue, epoch) = (Arc::clone(&self.ports.queue), self.lease.epoch);
        let timeout = self.options.store_timeout;
        let rows = u32::try_from(limit).unwrap_or(u32::MAX);
        self.calls.spawn(async move {
            let claim = queue.claim(epoch, ClaimFrom::Parked { endpoint, low }, rows);
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
        let parked_meanwhile = self.parking.fetching.take().is_some_and(|(_, again)| again);
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
        let now = self.now();
        let latest = rows.iter().map(|row| row.due_at).max();
        if rows.len() >= limit {
            self.parking.fetched_up_to(endpoint, latest, now);
            self.parking.make_ready(endpoint);
        } else if parked_meanwhile || self.parking.fetched_to.remove(&endpoint).is_some() {
            // Rows before the mark are still to be looked for.
            self.parking.make_ready(endpoint);
        } else {
            self.parking.forget(endpoint);
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
    pub(super) fn park(&mut self, rows: Vec<(WorkRef, EndpointId)>) {
        let (queue, epoch) = (Arc::clone(&self.ports.queue), self.lease.epoch);
        let (timeout, limit) = (self.options.store_timeout, self.options.settle_batch);
        self.calls.spawn(async move {
            for batch in rows.chunks(limit) {
                let mut backoff = Backoff::default();
                let batch: Vec<WorkRef> = batch.iter().map(|(row, _)| *row).collect();
                while let Err(error) = bounded(timeout, queue.park(epoch, batch.clone())).await {
                    warn("cannot park rows", &error);
                    time::sleep(backoff.next()).await;
                }
            }
            Done::ParkedFull(rows)
        });
    }

    /// Rows are parked now, and can be fetched.
    pub(super) fn parked(&mut self, rows: &[(WorkRef, EndpointId)]) {
        self.parks = false;
        for (row, endpoint) in rows {
            self.forget_row(*row);
            self.parking.note(*endpoint);
        }
        self.park_full();
    }
}
