//! How a life ends in order: nothing new, what is under way to its end, the rest back to the queue.

use std::time::Duration;

use tokio::time;

use super::{End, Life, warn};
use crate::backoff::Backoff;

/// How long leaving may be tried; if it fails, the lease runs out by itself.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

pub(super) struct Drain {
    end: End,
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
    pub(super) fn is_ending_for(&self, end: End) -> bool {
        self.drain.as_ref().is_some_and(|drain| drain.end == end)
    }

    /// Takes nothing more in and gives back what has not begun. A life that is ending already goes on ending, for
    /// this reason.
    pub(super) fn begin_drain(&mut self, end: End) {
        if let Some(drain) = &mut self.drain {
            drain.end = end;
            return;
        }
        self.drain = Some(Drain {
            end,
            until: self.now() + self.options.drain_timeout,
            attempts_stopped: false,
        });
        let waiting = self.rooms.dismiss_waiting();
        self.hand_back(waiting);
        let unread = self.loading.take_all();
        self.give_up(&unread);
        let refused = self.loading.take_set_aside();
        self.rooms.dismiss_set_aside(refused.len());
        self.hand_back(refused.iter().map(|held| held.work.work).collect());
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
                return Some(drain.end);
            }
            drain.attempts_stopped = true;
            drain.until = now + self.options.store_timeout;
            tracing::warn!(
                attempts = self.attempts.len(),
                "attempts did not end in time; they will be repeated"
            );
            self.attempts.shutdown().await;
        }
        // The beat is the one call that does not end.
        let quiet = self.attempts.is_empty() && self.settling.is_idle() && self.calls.len() <= 1;
        quiet.then_some(drain.end)
    }

    /// Says goodbye, so that others need not wait for the lease to run out.
    pub(super) async fn leave(&self) {
        let leaving = async {
            let mut backoff = Backoff::default();
            while let Err(error) = self.ports.nodes.leave(self.lease.epoch).await {
                warn("cannot leave", &error);
                time::sleep(backoff.next()).await;
            }
        };
        if time::timeout(LEAVE_WITHIN, leaving).await.is_err() {
            tracing::warn!(epoch = %self.lease.epoch, "could not leave; the lease will run out");
        }
    }
}
