use std::time::Duration;

use async_trait::async_trait;
use postrider_application::ports::{Backlog, Backlogs, Epoch, QueueBacklog, StoreError, SubscriberBacklog};
use postrider_domain::Timestamp;

use super::{
    hot::{NOBODY, PARKED, Work},
    state::State,
    store::MemoryStore,
};

impl State {
    /// Whether nobody who lives holds the row.
    fn is_free(&self, row: &Work) -> bool {
        row.owner == NOBODY || (row.owner > NOBODY && self.hot.is_dead(Epoch(row.owner)))
    }

    fn queue_backlog(&self, now: Timestamp, most: usize) -> QueueBacklog {
        let due = || {
            let rows = self.hot.work.values();
            rows.filter(|row| self.is_free(row) && (row.owner != NOBODY || row.due_at <= now))
        };
        let count =
            |counts: &dyn Fn(&&Work) -> bool| self.hot.work.values().filter(counts).take(most).count() as u64;
        let oldest = due().map(|row| row.due_at).min();
        QueueBacklog {
            due: due().take(most).count() as u64,
            scheduled: count(&|row| row.owner == NOBODY && row.due_at > now),
            parked: count(&|row| row.owner == PARKED),
            oldest_due: oldest.map_or(Duration::ZERO, |at| now.since(at)),
        }
    }
}

#[async_trait]
impl Backlogs for MemoryStore {
    async fn backlog(&self, most: u32) -> Result<Backlog, StoreError> {
        let (state, now, most) = (self.state(), self.now(), most as usize);
        let running = state.configuration.replays.values();
        let running = running.filter(|row| !row.state.status.is_finished());
        Ok(Backlog {
            queue: state.queue_backlog(now, most),
            subscribers: state.subscriber_backlogs(now, most),
            replays: running.take(most).count() as u64,
        })
    }
}

impl State {
    fn subscriber_backlogs(&self, now: Timestamp, most: usize) -> Vec<SubscriberBacklog> {
        let backlog = |name: &str, position: i64| {
            let mut ahead = self.events.iter().filter(|event| event.position > position);
            SubscriberBacklog {
                subscriber: name.to_owned(),
                lag: (self.head() - position).max(0).unsigned_abs(),
                age: ahead
                    .next()
                    .map_or(Duration::ZERO, |event| now.since(event.recorded_at)),
                dead_letters: self.relayed.refused(name).take(most).count() as u64,
            }
        };
        let cursors = self.relayed.positions();
        cursors.map(|(name, position)| backlog(name, position)).collect()
    }
}
