//! How a life ends in order: nothing new, what is under way to its end, the rest back to the queue.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time;

use super::{End, Life};
use crate::{backoff::Backoff, store_calls::warn};

/// How long leaving may be tried; if it fails, the lease runs out by itself.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

pub(super) struct Drain {
    until: Duration,
    attempts_stopped: bool,
}

impl Drain {
    /// When time alone changes something.
    pub(super) const fn wakes_at(&self) -> Duration {
        self.until
    }
}

impl Life {
    /// Takes nothing more in. What has not begun and has a row of its own goes back at once, the rest when this life
    /// leaves.
    pub(super) fn begin_drain(&mut self) {
        self.drain = Some(Drain {
            until: self.now() + self.options.drain_timeout,
            attempts_stopped: false,
        });
        self.shared.draining.store(true, Ordering::Relaxed);
        self.shared.door.close();
        self.settling.hurry();
        let mut rows = Vec::new();
        for id in self.lanes.dismiss_waiting() {
            // A part stays, so that the explosion makes it a row.
            let row = self.jobs.get(id).and_then(|job| match job.origin {
                super::jobs::Origin::Row(row) => Some(row),
                _ => None,
            });
            if let Some(row) = row {
                self.jobs.remove(id);
                rows.push(row);
            }
        }
        self.hand_back(rows);
        self.hungry.clear();
        drop((self.loading.take_all(), self.loading.take_set_aside()));
        self.explode_all();
    }

    /// Whether everything has come to its end. When the time for that is over, attempts are stopped; what they
    /// had in hand goes back when this life leaves. Outcomes still to be written get a little longer.
    pub(super) async fn drained(&mut self, now: Duration) -> Option<End> {
        let drain = self.drain.as_mut()?;
        if now >= drain.until {
            if drain.attempts_stopped {
                tracing::warn!(
                    "outcomes could not be written before the end; their attempts will be repeated"
                );
                return Some(End::Shutdown);
            }
            drain.attempts_stopped = true;
            drain.until = now + self.options.store_timeout;
            tracing::warn!(
                attempts = self.attempts.len(),
                "attempts did not end in time; they will be repeated"
            );
            self.attempts.shutdown().await;
        }
        let quiet = self.attempts.is_empty() && self.settling.is_idle() && self.calls.is_empty();
        quiet.then_some(End::Shutdown)
    }

    /// Says goodbye, so that others need not wait for the lease to run out, and rings for them.
    pub(super) async fn leave(&self) {
        let leaving = async {
            let mut backoff = Backoff::default();
            while let Err(error) = self.ports.nodes.leave(self.lease.epoch).await {
                warn("cannot leave", &error);
                time::sleep(backoff.next()).await;
            }
            if let Err(error) = self.ports.bell.ring().await {
                warn("cannot ring the bell", &error);
            }
        };
        if time::timeout(LEAVE_WITHIN, leaving).await.is_err() {
            tracing::warn!(
                epoch = %self.lease.epoch,
                "could not leave in time; others take over what it held, when its lease has run out at the latest"
            );
        }
    }
}
