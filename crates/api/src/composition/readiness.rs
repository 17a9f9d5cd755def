use std::time::Duration;

use async_trait::async_trait;
use postrider_engine::EngineHandle;
use postrider_persistence::Database;

use crate::{Check, Readiness};

/// How long the database may take to answer a ping before the node counts as not ready.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// This node can serve if its database answers and its engine holds a lease and is not about to end: whoever balances
/// load learns of a shutdown while the node still answers.
pub(super) struct PlatformReadiness {
    database: Database,
    engine: EngineHandle,
}

impl PlatformReadiness {
    pub(super) fn new(database: Database, engine: EngineHandle) -> Self {
        Self { database, engine }
    }

    async fn database(&self) -> Check {
        let (ready, detail) = match tokio::time::timeout(PING_TIMEOUT, self.database.ping()).await {
            Ok(Ok(())) => (true, "answers"),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the database does not answer");
                (false, "does not answer")
            }
            Err(_) => (false, "does not answer in time"),
        };
        Check {
            name: "database",
            ready,
            detail: detail.to_owned(),
        }
    }

    fn engine(&self) -> Check {
        let status = self.engine.status();
        let ready = status.lease_held && !status.draining;
        let detail = if ready {
            "holds its lease"
        } else {
            "holds no lease: starting, draining or cut off"
        };
        Check {
            name: "engine",
            ready,
            detail: detail.to_owned(),
        }
    }
}

#[async_trait]
impl Readiness for PlatformReadiness {
    async fn checks(&self) -> Vec<Check> {
        vec![self.database().await, self.engine()]
    }
}
