//! How far nodes have seen the log.

use async_trait::async_trait;
use postrider_application::ports::{Epoch, NodeSight, StoreError, Unseen};
use sea_orm::{ConnectionTrait as _, FromQueryResult};

use crate::{
    SqlStore,
    codec::read_count,
    connection::{Dialect, Scope},
    error::{OrStoreError as _, fault},
};

const NOTE: &str = "UPDATE nodes SET seen_pos = $2 WHERE epoch = $1 AND (seen_pos IS NULL OR seen_pos < $2)";
/// The same, and tells whoever waits for it: one round trip.
const NOTE_AND_TELL: &str = concat!(
    "WITH noted AS (UPDATE nodes SET seen_pos = $2 WHERE epoch = $1 AND (seen_pos IS NULL OR seen_pos < $2)
        RETURNING epoch)
     SELECT pg_notify(",
    super::events_channel!(),
    ", 'seen') FROM noted"
);

/// A node that does not say what it has seen is of a release before this one, and is not waited for.
const UNSEEN: &str = "
WITH wanted AS (SELECT coalesce($1, (SELECT max(pos) FROM outbox_events), 0) AS position)
SELECT w.position, CAST(count(n.epoch) AS integer) AS nodes FROM wanted w
LEFT JOIN nodes n ON NOT n.dead AND {lives} AND n.seen_pos < w.position
GROUP BY w.position";

#[derive(FromQueryResult)]
struct UnseenRow {
    position: i64,
    nodes: i32,
}

#[async_trait]
impl NodeSight for SqlStore {
    async fn note_seen(&self, node: Epoch, position: i64) -> Result<(), StoreError> {
        let dialect = self.database.dialect();
        let statement = dialect.exactly(
            dialect.choose(NOTE_AND_TELL, NOTE),
            [node.0.into(), position.into()],
        );
        let engine = self.database.engine();
        match dialect {
            Dialect::Postgres => engine.query_all_raw(statement).await.or_store_error().map(drop),
            Dialect::Sqlite => engine.execute_raw(statement).await.or_store_error().map(drop),
        }
    }

    async fn unseen(&self, position: Option<i64>) -> Result<Unseen, StoreError> {
        let dialect = self.database.dialect();
        // A node that is the only one there can be goes on when its lease has run out.
        let lives = dialect.choose("n.lease_until > {now}", "true");
        let unseen = dialect.statement(&UNSEEN.replace("{lives}", lives), [position.into()]);
        let row = self
            .database
            .read(Scope::Engine)
            .await?
            .query_one_raw(unseen)
            .await
            .or_store_error()?;
        let row = row.ok_or_else(|| fault("a count has no row"))?;
        let row = UnseenRow::from_query_result(&row, "").or_store_error()?;
        Ok(Unseen {
            position: row.position,
            nodes: read_count("count of nodes", row.nodes)?,
        })
    }
}
