use std::{sync::Arc, time::Duration};

use postrider_application::ports::StoreError;
use postrider_engine::EngineHandle;
use postrider_persistence::{Database, SchemaState};
use tokio::time;

use crate::{Health, Subject};

/// The engine is looked at as often as this. That asks nobody, and a node that has just got its lease should not wait
/// for the next round before it is sent requests.
const GLANCE: Duration = Duration::from_millis(50);
/// So many times between two rounds: 2 s.
const GLANCES: u32 = 40;
/// How long the database may take for one answer: longer than requests wait for a connection, so that a node which serves
/// them late is not the first to go.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(6);
/// How many answers in a row may be late before the node counts as not ready: under load every node waits for a
/// connection now and then, and if all of them went away for that, nobody would be left.
const LATE_ANSWERS: u32 = 2;
/// The tables are looked at in one round of so many.
const ROUNDS_PER_LOOK: u32 = 8;

/// Looks again and again whether this node can serve, one question at a time, each with a time-out, and reports it.
pub(super) struct Prober {
    health: Arc<Health>,
    database: Database,
    engine: EngineHandle,
    answers: Answers,
}

/// What one question to the database came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Good,
    Bad,
    Late,
}

/// The database's answers, as far as they decide of the next one.
#[derive(Debug, Default)]
struct Answers {
    /// Those in a row that were late.
    late: u32,
}

impl Answers {
    /// Whether the database counts as ready after this one, and why; it `was_ready` before.
    fn judge(&mut self, answer: Answer, was_ready: bool) -> (bool, &'static str) {
        self.late = match answer {
            Answer::Late => self.late.saturating_add(1),
            Answer::Good | Answer::Bad => 0,
        };
        match answer {
            Answer::Good => (true, "answers"),
            Answer::Bad => (false, "does not answer"),
            Answer::Late if self.late < LATE_ANSWERS => (was_ready, "answers late"),
            Answer::Late => (false, "does not answer in time"),
        }
    }
}

impl Prober {
    pub(super) fn new(health: Arc<Health>, database: Database, engine: EngineHandle) -> Self {
        Self {
            health,
            database,
            engine,
            answers: Answers::default(),
        }
    }

    /// Never ends by itself.
    pub(super) async fn run(mut self) {
        let mut rounds = ROUNDS_PER_LOOK;
        loop {
            self.engine();
            let answers = self.database().await;
            self.engine();
            rounds += 1;
            // In the first round that is answered, once a look is due.
            if answers && rounds >= ROUNDS_PER_LOOK && self.migrations().await {
                rounds = 0;
            }
            for _ in 0..GLANCES {
                time::sleep(GLANCE).await;
                self.engine();
            }
        }
    }

    /// Whether it answered now.
    async fn database(&mut self) -> bool {
        let answer = match time::timeout(ANSWER_TIMEOUT, self.database.ping()).await {
            Ok(Ok(())) => Answer::Good,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the database does not answer");
                Answer::Bad
            }
            Err(_) => Answer::Late,
        };
        let (ready, detail) = self.answers.judge(answer, self.was_ready());
        self.health.report(Subject::Database, ready, detail);
        answer == Answer::Good
    }

    fn was_ready(&self) -> bool {
        let checks = self.health.checks();
        checks
            .iter()
            .any(|check| check.name == Subject::Database.name() && check.ready)
    }

    /// While the database does not answer, what was known of its tables stays known.
    ///
    /// Answers whether they could be looked at.
    async fn migrations(&self) -> bool {
        let state = time::timeout(ANSWER_TIMEOUT, self.database.schema_state()).await;
        let (ready, detail) = match state {
            Ok(Ok(SchemaState::Current)) => (true, "are of this version"),
            // As while nodes of the next version are started beside this one.
            Ok(Ok(SchemaState::Newer)) => (true, "are of a newer version, which this one can work with"),
            Ok(Ok(SchemaState::Older(_))) => (false, "are of an older version: run `postrider migrate`"),
            Ok(Err(StoreError::Internal(error))) => {
                tracing::warn!(%error, "the tables' version cannot be read");
                (false, "cannot be read")
            }
            Ok(Err(_)) | Err(_) => return false,
        };
        self.health.report(Subject::Migrations, ready, detail);
        true
    }

    fn engine(&self) {
        let status = self.engine.status();
        let (ready, detail) = match (status.lease_held, status.draining) {
            (_, true) => (false, "drains"),
            (true, false) => (true, "holds its lease"),
            (false, false) => (false, "holds no lease: starting, or cut off from the database"),
        };
        self.health.report(Subject::Engine, ready, detail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_late_answers_in_a_row_make_a_node_not_ready_and_one_does_not() {
        let mut answers = Answers::default();
        let mut ready = false;
        let mut judged = |answer| {
            ready = answers.judge(answer, ready).0;
            ready
        };
        assert!(
            !judged(Answer::Late),
            "one late answer does not make it ready either"
        );
        assert!(judged(Answer::Good));
        assert!(judged(Answer::Late), "one");
        assert!(judged(Answer::Good));
        assert!(judged(Answer::Late), "one again, not two in a row");
        assert!(!judged(Answer::Late), "two");
        assert!(!judged(Answer::Late));
        assert!(judged(Answer::Good));
        assert!(!judged(Answer::Bad), "one refusal is enough");
        assert!(!judged(Answer::Late), "what is not ready stays so");
    }
}
