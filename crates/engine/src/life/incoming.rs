//! What comes in: messages that the intake hands off, claims, and what dead nodes left behind. And what is given back.

use std::{sync::Arc, time::Duration};

use postrider_application::ports::{ClaimFrom, ClaimedWork, Epoch, StoreError, WorkRef};
use tokio::time;

use super::{
    Done, Life,
    jobs::{Job, Origin, Payload},
    reading::{Known, Loading},
};
use crate::{
    attempt::Subject,
    backoff::Backoff,
    budget::Permit,
    door::HandedOff,
    lanes::Arrival,
    store_calls::{bounded, warn},
};

/// How a claim ended.
pub(super) struct Claim {
    from: ClaimFrom,
    limit: usize,
    permit: Permit,
    rows: Result<Vec<ClaimedWork>, StoreError>,
    /// How long until the queue has more, if it had less than was asked for.
    next_due: Option<Duration>,
}

impl Life {
    /// A message that was committed for us.
    pub(super) fn take_over(&mut self, handed_off: HandedOff) {
        let HandedOff {
            work,
            message,
            mut permit,
        } = handed_off;
        if self.drain.is_some() {
            return; // it is ours, and goes back when this life leaves
        }
        if self.held.contains_key(&work.work.id) {
            return; // its commit took so long to be known that it was adopted
        }
        self.held.insert(work.work.id, work.work.claim);
        let payload = Arc::new(Payload {
            message,
            _bytes: permit.split_bytes(),
        });
        match Known::recall(&self.ports, work.tenant, work.application, work.endpoints_version) {
            Some(known) => self.fan_out(&work, &payload, &known, permit),
            None => self.must_read(Loading::of_message(work, Some(payload), permit)),
        }
    }

    /// Whether a claim may take anything.
    pub(super) fn has_room_to_claim(&self) -> bool {
        self.budget.free_rows() > 1
            && self.budget.has_bytes()
            && self.hungry.len() < self.options.claim_batch as usize
    }

    /// Claims as many rows as there is room for, if there is a reason to.
    pub(super) fn claim(&mut self, now: Duration) {
        if !self.has_room_to_claim() {
            if self.claims.has_more() {
                // Perhaps somebody else has room.
                self.ring(now);
            }
            return;
        }
        // Fan-outs need rows too.
        let limit = (self.budget.free_rows() / 2).min(self.options.claim_batch as usize);
        let Some(permit) = self.budget.take_rows(limit) else {
            return;
        };
        let Some(from) = self.claims.next(now) else { return };
        let (queue, epoch) = (Arc::clone(&self.ports.queue), self.lease.epoch);
        let timeout = self.options.store_timeout;
        let most = u32::try_from(limit).unwrap_or(u32::MAX);
        let low = match from {
            ClaimFrom::Queue { low } => low,
            _ => None,
        };
        self.calls.spawn(async move {
            let rows = bounded(timeout, queue.claim(epoch, from, most)).await;
            let short = rows.as_ref().is_ok_and(|rows| rows.len() < limit);
            let mut next_due = None;
            if short && matches!(from, ClaimFrom::Queue { .. }) {
                // Without an answer the net is when we look again.
                // What was due before the mark is looked at by a claim of its own.
                next_due = bounded(timeout, queue.next_due(low))
                    .await
                    .unwrap_or_else(|error| {
                        warn("cannot ask when the next row is due", &error);
                        None
                    });
            }
            Done::Claimed(Claim {
                from,
                limit,
                permit,
                rows,
                next_due,
            })
        });
    }

    pub(super) fn claimed(&mut self, claim: Claim) {
        let now = self.now();
        let Claim {
            from,
            limit,
            mut permit,
            rows,
            next_due,
        } = claim;
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => {
                warn("a claim failed", &error);
                self.adoption.suspect(now);
                return self.claims.failed(now);
            }
        };
        let latest = rows.iter().map(|row| row.due_at).max();
        self.claims
            .found(from, (rows.len(), limit), latest, next_due, now);
        let mut surplus = Vec::new();
        for work in rows {
            match permit.split_row() {
                Some(permit) if self.drain.is_none() => self.admit(&work, permit),
                _ => surplus.push(work.work),
            }
        }
        self.hand_back(surplus);
        self.park_full();
    }

    /// A row that is ours comes into memory.
    pub(super) fn admit(&mut self, work: &ClaimedWork, permit: Permit) {
        let Some((subject, job)) = self.job_of(work, permit) else {
            return;
        };
        let (tenant, endpoint) = (subject.tenant, subject.endpoint);
        let id = self.jobs.new_id();
        match self
            .lanes
            .arrive(tenant, endpoint, job.weighed(id), self.parking.has(endpoint))
        {
            Arrival::Begins => {
                self.jobs.insert(id, job);
                self.begin(id);
            }
            Arrival::Waits => self.jobs.insert(id, job),
            Arrival::Parks => {
                self.full.push((work.work, endpoint));
            }
        }
    }

    /// A row that was fetched for its lane.
    pub(super) fn fetched(&mut self, work: &ClaimedWork, permit: Permit) {
        let Some((subject, job)) = self.job_of(work, permit) else {
            return;
        };
        let (tenant, endpoint) = (subject.tenant, subject.endpoint);
        let id = self.jobs.new_id();
        let weighed = job.weighed(id);
        let arrival = self.lanes.arrive(tenant, endpoint, weighed, false);
        self.jobs.insert(id, job);
        match arrival {
            Arrival::Begins => self.begin(id),
            Arrival::Waits => {}
            Arrival::Parks => self.lanes.wait(tenant, endpoint, weighed),
        }
    }

    /// The job of a delivery's row. A message's row is read first, as it is not known who wants it.
    fn job_of(&mut self, work: &ClaimedWork, permit: Permit) -> Option<(Subject, Job)> {
        self.held.insert(work.work.id, work.work.claim);
        let Some(endpoint) = work.endpoint else {
            self.hungry
                .push_back(Loading::of_message(work.clone(), None, permit));
            return None;
        };
        let subject = Subject {
            tenant: work.tenant,
            application: work.application,
            message: work.message,
            endpoint,
            attempts: work.attempts,
            failures: work.failures,
            asked_for: work.asked_for,
        };
        let job = Job {
            subject,
            origin: Origin::Row(work.work),
            version: work.endpoints_version,
            asked_in: work.asked_in.clone(),
            payload: None,
            payload_bytes: work.payload_bytes,
            without_turn: false,
            permit,
        };
        Some((subject, job))
    }

    /// Parks what found its lane full.
    pub(super) fn park_full(&mut self) {
        if !self.parks && !self.full.is_empty() {
            self.parks = true;
            let full = std::mem::take(&mut self.full);
            self.park(full);
        }
    }

    /// Lets those begin whose turn it is.
    pub(super) fn call_waiting(&mut self) {
        while self.budget.has_bytes() {
            let Some((endpoint, job)) = self.lanes.call_next() else {
                return;
            };
            self.parking.drained_to(endpoint, self.lanes.waiting_at(endpoint));
            self.begin(job);
        }
    }

    /// Looks for dead nodes and for parked rows, if it is time.
    pub(super) fn sweep(&mut self, now: Duration) {
        self.look_for_parked(now);
        if !self.claims.sweep(now) {
            return;
        }
        let (nodes, timeout) = (Arc::clone(&self.ports.nodes), self.options.store_timeout);
        self.calls
            .spawn(async move { Done::Swept(bounded(timeout, nodes.bury()).await) });
    }

    pub(super) fn swept(&mut self, dead: Result<Vec<Epoch>, StoreError>) {
        let mut dead = dead.unwrap_or_else(|error| {
            warn("cannot look for dead nodes", &error);
            Vec::new()
        });
        // If it is us who are dead, the next beat says so.
        dead.retain(|epoch| *epoch != self.lease.epoch);
        if !dead.is_empty() {
            tracing::info!(?dead, "taking over from dead nodes");
        }
        self.claims.swept(dead, self.now());
    }

    /// Gives rows back, again and again until the store has them: a row that is ours and that we do not hold
    /// would be lost until it is adopted.
    pub(super) fn hand_back(&mut self, rows: Vec<WorkRef>) {
        if rows.is_empty() {
            return;
        }
        let (queue, epoch) = (Arc::clone(&self.ports.queue), self.lease.epoch);
        let (timeout, limit) = (self.options.store_timeout, self.options.settle_batch);
        self.calls.spawn(async move {
            for batch in rows.chunks(limit) {
                let mut backoff = Backoff::default();
                while let Err(error) = bounded(timeout, queue.hand_back(epoch, batch.to_vec())).await {
                    warn("cannot hand rows back", &error);
                    time::sleep(backoff.next()).await;
                }
            }
            Done::Released(rows)
        });
    }
}
