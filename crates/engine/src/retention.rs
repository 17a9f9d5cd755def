use std::{sync::Arc, time::Duration};

use postrider_application::ports::{Clock, EventReaders, Removed, Retention, RetentionPolicy, StoreError};
use tokio::time;
use tokio_util::sync::CancellationToken;

use crate::{
    chore_notes::ChoreNotes,
    store_calls::{bounded, warn},
};

/// The chore's name.
const CHORE: &str = "retention";

/// How long one batch may take: a partition is detached when those who read it are done, which takes its time; what takes
/// longer than this has a connection that fell silent.
const CALL_TIMEOUT: Duration = Duration::from_mins(10);

/// After so many rounds in a row in which the same table's days could not be dropped, it is no matter of one long reader
/// any more: an hour, at the usual interval.
const REFUSED_TOO_OFTEN: u32 = 6;

/// In how many rounds on end days could not be dropped.
#[derive(Debug, Default)]
struct Refusals {
    table: Option<&'static str>,
    rounds: u32,
}

impl Refusals {
    /// A round has ended. Whether days are refused too often by now.
    fn after(&mut self, refused: Option<&'static str>) -> bool {
        self.rounds = match refused {
            Some(_) if refused == self.table => self.rounds.saturating_add(1),
            Some(_) => 1,
            None => 0,
        };
        self.table = refused;
        self.rounds >= REFUSED_TOO_OFTEN
    }
}

/// How retention is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionOptions {
    /// What is kept for how long. Default: all of it, for ever.
    pub policy: RetentionPolicy,
    /// How often there is a round. Default 10 minutes.
    pub interval: Duration,
    /// The most rows of a table that are removed at a time. Default 1,000.
    pub batch: u32,
    /// The pause between two batches of a round, so that the database has time for others. Default 100 ms.
    pub pause: Duration,
    /// The most batches of a round. Default 1,000.
    pub batches: u32,
}

impl Default for RetentionOptions {
    fn default() -> Self {
        Self {
            policy: RetentionPolicy::default(),
            interval: Duration::from_mins(10),
            batch: 1_000,
            pause: Duration::from_millis(100),
            batches: 1_000,
        }
    }
}

/// Everything of the outside that retention uses.
#[derive(Clone)]
pub struct RetentionPorts {
    /// Removes.
    pub retention: Arc<dyn Retention>,
    /// Knows which events somebody has still to read.
    pub readers: Arc<dyn EventReaders>,
    /// Time, to be noted.
    pub clock: Arc<dyn Clock>,
}

/// Removes what is old enough, a bounded piece at a time. Every node does it; they pass over what another is at.
pub struct RetentionChore {
    ports: RetentionPorts,
    options: RetentionOptions,
    notes: ChoreNotes,
}

impl RetentionChore {
    /// Removes over these ports.
    pub fn new(ports: RetentionPorts, options: RetentionOptions) -> Self {
        let notes = ChoreNotes::of(&[CHORE], &ports.clock);
        Self {
            ports,
            options,
            notes,
        }
    }

    /// Removes what is old until `shutdown`. What fails is tried again in the next round.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut refusals = Refusals::default();
        let rounds = async {
            loop {
                time::sleep(self.options.interval).await;
                let well = tell(self.round().await, &mut refusals);
                self.notes.ended(CHORE, well);
            }
        };
        let _ = shutdown.run_until_cancelled(rounds).await;
    }

    async fn round(&self) -> Result<Removed, StoreError> {
        let mut all = Removed::default();
        for _ in 0..self.options.batches {
            // Asked first: who begins to read now begins after it.
            let needed = bounded(CALL_TIMEOUT, self.ports.readers.least_needed()).await?;
            let (policy, batch) = (&self.options.policy, self.options.batch);
            let removed = self.ports.retention.remove_old(policy, needed, batch);
            let removed = bounded(CALL_TIMEOUT, removed).await?;
            all.partitions += removed.partitions;
            all.rows += removed.rows;
            all.refused = removed.refused;
            if !removed.more {
                break;
            }
            time::sleep(self.options.pause).await;
        }
        Ok(all)
    }
}

/// Says what a round did; whether it ended well.
fn tell(removed: Result<Removed, StoreError>, refusals: &mut Refusals) -> bool {
    let removed = match removed {
        Ok(removed) => removed,
        Err(error) => {
            warn("what is old enough could not be removed", &error);
            return false;
        }
    };
    let Removed { partitions, rows, .. } = removed;
    if (partitions, rows) != (0, 0) {
        tracing::info!(partitions, rows, "what was old enough was removed");
    }
    let too_often = refusals.after(removed.refused);
    if too_often {
        let (table, rounds) = (removed.refused, refusals.rounds);
        tracing::warn!(
            table,
            rounds,
            "days of history could not be dropped, round after round: somebody is in the way (at info: why)"
        );
    }
    !too_often
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use tokio::task::JoinSet;

    use super::*;

    /// Answers what was prepared, then that there is nothing; and notes which position it was told. Never answers where
    /// nothing was prepared.
    struct Scripted(Mutex<(Answers, Vec<Option<i64>>)>);
    type Answers = Vec<Option<Result<Removed, StoreError>>>;

    #[async_trait]
    impl Retention for Scripted {
        async fn remove_old(
            &self,
            _: &RetentionPolicy,
            needed: Option<i64>,
            _: u32,
        ) -> Result<Removed, StoreError> {
            let next = {
                let mut script = self.0.lock().unwrap();
                script.1.push(needed);
                script.0.pop().unwrap_or(Some(Ok(Removed::default())))
            };
            match next {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        }
    }

    struct ReadUpTo(i64);

    #[async_trait]
    impl EventReaders for ReadUpTo {
        async fn least_needed(&self) -> Result<Option<i64>, StoreError> {
            Ok(Some(self.0))
        }
    }

    #[test]
    fn one_table_refused_for_an_hour_is_too_much() {
        let mut refusals = Refusals::default();
        for round in 1..REFUSED_TOO_OFTEN {
            assert!(!refusals.after(Some("attempts")), "{round}");
        }
        assert!(!refusals.after(Some("messages")), "another one");
        for _ in 1..REFUSED_TOO_OFTEN - 1 {
            assert!(!refusals.after(Some("messages")));
        }
        assert!(refusals.after(Some("messages")));
        assert!(refusals.after(Some("messages")), "and it stays so");
        assert!(!refusals.after(None), "until it goes");
        assert!(!refusals.after(Some("messages")));
    }

    /// A round that drops nothing, time and again, is not one that ended well: so the alerts on chores tell of it.
    #[test]
    fn a_chore_that_is_refused_too_often_has_not_ended_well() {
        let (mut refusals, refused) = (Refusals::default(), || {
            Ok(Removed {
                refused: Some("attempts"),
                ..Removed::default()
            })
        });
        let ended: Vec<bool> = (0..=REFUSED_TOO_OFTEN)
            .map(|_| tell(refused(), &mut refusals))
            .collect();
        assert_eq!(ended, [true, true, true, true, true, false, false]);
        assert!(tell(Ok(Removed::default()), &mut refusals));
        assert!(!tell(Err(StoreError::Stale), &mut refusals));
    }

    #[tokio::test(start_paused = true)]
    async fn a_round_goes_on_while_there_is_more() {
        let more = Removed {
            rows: 1_000,
            more: true,
            ..Removed::default()
        };
        let script = vec![
            None,
            Some(Ok(more)),
            Some(Err(StoreError::Stale)),
            Some(Ok(more)),
            Some(Ok(more)),
        ];
        let retention = Arc::new(Scripted(Mutex::new((script, Vec::new()))));
        let ports = RetentionPorts {
            retention: retention.clone(),
            readers: Arc::new(ReadUpTo(7)),
            clock: Arc::new(postrider_testkit::memory::TestClock::new()),
        };
        let (shutdown, mut running) = (CancellationToken::new(), JoinSet::new());
        running.spawn(RetentionChore::new(ports, RetentionOptions::default()).run(shutdown.clone()));
        let asked = || retention.0.lock().unwrap().1.len();
        time::sleep(Duration::from_secs(605)).await;
        assert_eq!(asked(), 3, "two batches, and the one that failed");
        time::sleep(Duration::from_mins(10)).await;
        assert_eq!(asked(), 5, "one more, and one that is never answered");
        time::sleep(CALL_TIMEOUT + Duration::from_mins(11)).await;
        assert_eq!(asked(), 6, "it was given up, and there is another round");
        assert!(
            retention
                .0
                .lock()
                .unwrap()
                .1
                .iter()
                .all(|needed| *needed == Some(7))
        );
        shutdown.cancel();
        running.join_next().await.unwrap().unwrap();
    }
}
