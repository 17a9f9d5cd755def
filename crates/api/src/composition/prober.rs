use std::{sync::Arc, time::Duration};

use postrider_application::ports::StoreError;
use postrider_engine::EngineHandle;
use postrider_persistence::{Database, SchemaState};
use tokio::time::{self, Instant};

use crate::{Health, Subject};

/// The pause between two rounds.
const PAUSE: Duration = Duration::from_secs(2);
/// How often the engine is looked at meanwhile. That asks nobody, and a node that has just got its lease should not wait
/// for the next round before it is sent requests.
const GLANCE: Duration = Duration::from_millis(50);
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
    late: u32,
}

impl Prober {
    pub(super) fn new(health: Arc<Health>, database: Database, engine: EngineHandle) -> Self {
        Self {
            health,
            database,
            engine,
            late: 0,
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
            let next_round = Instant::now() + PAUSE;
            while Instant::now() < next_round {
                time::sleep(GLANCE).await;
                self.engine();
            }
        }
    }

    /// Whether it answered now.
    async fn database(&mut self) -> bool {
        let answer = time::timeout(ANSWER_TIMEOUT, self.database.ping()).await;
        self.late = if answer.is_err() {
            self.late.saturating_add(1)
        } else {
            0
        };
        let (ready, detail) = match &answer {
            Ok(Ok(())) => (true, "answers"),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the database does not answer");
                (false, "does not answer")
            }
            Err(_) if self.late < LATE_ANSWERS => (self.was_ready(), "answers late"),
            Err(_) => (false, "does not answer in time"),
        };
        self.health.report(Subject::Database, ready, detail);
        matches!(answer, Ok(Ok(())))
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
