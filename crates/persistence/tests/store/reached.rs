//! What the server counted of how rows were reached.

use std::collections::BTreeMap;

use crate::{support::PostgresHarness, until::until};

/// How often a table was walked through, and how many of its rows were reached by an index.
pub(crate) type Reached = BTreeMap<String, (i64, i64)>;

/// What the server counted so far of the tables of such names, partitions included.
pub(crate) async fn reached(harness: &PostgresHarness, tables: &str) -> Reached {
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(
        "SELECT relname::text, coalesce(seq_scan, 0), coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables
         WHERE relname ~ $1",
    )
    .bind(tables)
    .fetch_all(&harness.outside)
    .await
    .unwrap();
    rows.into_iter()
        .map(|(table, walks, rows)| (table, (walks, rows)))
        .collect()
}

/// Waits until all stores' sessions have ended: only then they tell what they did.
pub(crate) async fn all_have_ended(harness: &PostgresHarness) {
    const SESSIONS: &str = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND usename <> current_user AND backend_type = 'client backend'";
    until(async || {
        let sessions = sqlx::query_scalar::<_, i64>(SESSIONS);
        sessions.fetch_one(&harness.outside).await.unwrap() == 0
    })
    .await;
}
