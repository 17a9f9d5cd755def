//! What comes in: claims, and what dead nodes left behind. And what is given back.

use std::{sync::Arc, time::Duration};

use postrider_application::ports::{ClaimFrom, ClaimedWork, Epoch, StoreError, WorkRef};
use tokio::time;

use super::{Done, Life, warn, work::Held};
use crate::{backoff::Backoff, ports::bounded, rooms::Admission};

/// How a claim ended.
pub(super) struct Claim {
    from: ClaimFrom,
    limit: u32,
    rows: Result<Vec<ClaimedWork>, StoreError>,
    /// How long until the queue has more, if it had less than was asked for.
    next_due: Option<Duration>,
}

impl Life {
    /// Claims as many rows as there is room for, if there is a reason to.
    pub(super) fn claim(&mut self, now: Duration) {
        let room = u32::try_from(self.rooms.room()).unwrap_or(u32::MAX);
        let limit = room.min(self.options.claim_batch);
        if limit == 0 {
            return;
        }
        let Some(from) = self.claims.next(now) else { return };
        self.rooms.reserve(limit as usize);
        let (queue, epoch) = (Arc::clone(&self.ports.queue), self.lease.epoch);
        let timeout = self.options.store_timeout;
        self.calls.spawn(async move {
            let rows = bounded(timeout, queue.claim(epoch, from, limit)).await;
            let short = rows.as_ref().is_ok_and(|rows| rows.len() < limit as usize);
            let mut next_due = None;
            if short && from == ClaimFrom::Queue {
                // Without an answer the net is when we look again.
                next_due = bounded(timeout, queue.next_due()).await.unwrap_or_else(|error| {
                    warn("cannot ask when the next row is due", &error);
                    None
                });
            }
            Done::Claimed(Claim {
                from,
                limit,
                rows,
                next_due,
            })
        });
    }

    pub(super) fn claimed(&mut self, claim: Claim) {
        let now = self.now();
        self.rooms.unreserve(claim.limit as usize);
        let rows = match claim.rows {
            Ok(rows) => rows,
            Err(error) => {
                warn("a claim failed", &error);
                return self.claims.failed(now);
            }
        };
        self.claims
            .found(claim.from, rows.len(), claim.limit as usize, claim.next_due, now);
        let mut refused = Vec::new();
        for work in rows {
            if self.drain.is_some() {
                refused.push(work.work);
                continue;
            }
            match self.rooms.admit(work) {
                Admission::Enters(work) => self.loading.push(Held {
                    turn: work.endpoint,
                    work,
                }),
                Admission::Waits => {}
                Admission::Refused(work) => refused.push(work.work),
            }
        }
        self.hand_back(refused);
    }

    /// Lets those in who waited for a turn that is free now.
    pub(super) fn call_waiting(&mut self) {
        while let Some((endpoint, work)) = self.rooms.call_next() {
            self.loading.push(Held {
                turn: Some(endpoint),
                work,
            });
        }
    }

    /// Looks for dead nodes, if it is time.
    pub(super) fn sweep(&mut self, now: Duration) {
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
    /// would be lost until this life ends.
    pub(super) fn hand_back(&mut self, rows: Vec<WorkRef>) {
        if rows.is_empty() {
            return;
        }
        let (queue, lease) = (Arc::clone(&self.ports.queue), Arc::clone(&self.lease));
        let (timeout, limit) = (self.options.store_timeout, self.options.settle_batch);
        self.calls.spawn(async move {
            for batch in rows.chunks(limit) {
                let mut backoff = Backoff::default();
                while let Err(error) = bounded(timeout, queue.hand_back(lease.epoch, batch.to_vec())).await {
                    warn("cannot hand rows back", &error);
                    time::sleep(backoff.next()).await;
                }
            }
            Done::HandedBack
        });
    }
}
