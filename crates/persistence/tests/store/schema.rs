//! The two databases hold the same tables.

use std::collections::BTreeSet;

use postrider_testkit::contract::Harness as _;

use crate::support::{PostgresHarness, SqliteHarness};

/// What is on one of them only: SQLite's counter in place of an identity, and the migrator's own table.
const BESIDES: [&str; 2] = ["outbox_work_seq", "seaql_migrations"];

/// Table, column, whether it may be null.
type Columns = BTreeSet<(String, String, bool)>;
/// Table, columns in their order.
type Unique = BTreeSet<(String, String)>;

fn ours(table: &str) -> bool {
    !BESIDES.contains(&table)
}

async fn of_sqlite(harness: &SqliteHarness) -> (Columns, Unique) {
    let columns: Vec<(String, String, bool)> = sqlx::query_as(
        "SELECT t.name, c.name, c.\"notnull\" = 0 AND c.pk = 0 FROM sqlite_schema t, pragma_table_info(t.name) c
         WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'",
    )
    .fetch_all(&harness.outside)
    .await
    .unwrap();
    let unique: Vec<(String, String)> = sqlx::query_as(
        "SELECT t.name, (SELECT group_concat(name, ',') FROM (SELECT name FROM pragma_index_info(i.name) ORDER BY seqno))
         FROM sqlite_schema t, pragma_index_list(t.name) i
         WHERE t.type = 'table' AND i.\"unique\" = 1
         UNION SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c
         WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND c.type = 'INTEGER' AND c.pk = 1",
    )
    .fetch_all(&harness.outside)
    .await
    .unwrap();
    (
        columns.into_iter().filter(|(table, ..)| ours(table)).collect(),
        unique.into_iter().filter(|(table, _)| ours(table)).collect(),
    )
}

async fn of_postgres(harness: &PostgresHarness) -> (Columns, Unique) {
    let columns: Vec<(String, String, bool)> = sqlx::query_as(
        "SELECT table_name::text, column_name::text, is_nullable = 'YES' FROM information_schema.columns
         WHERE table_schema = 'public' AND NOT EXISTS (SELECT FROM pg_class p WHERE p.relispartition
             AND p.relname = table_name AND p.relnamespace = 'public'::regnamespace)",
    )
    .fetch_all(&harness.outside)
    .await
    .unwrap();
    let unique: Vec<(String, String)> = sqlx::query_as(
        "SELECT c.relname::text, string_agg(a.attname, ',' ORDER BY k.place)
         FROM pg_index i
         JOIN pg_class c ON c.oid = i.indrelid AND c.relnamespace = 'public'::regnamespace
         CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k(attnum, place)
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
         WHERE i.indisunique AND NOT c.relispartition GROUP BY c.relname, i.indexrelid",
    )
    .fetch_all(&harness.outside)
    .await
    .unwrap();
    (
        columns.into_iter().filter(|(table, ..)| ours(table)).collect(),
        unique.into_iter().filter(|(table, _)| ours(table)).collect(),
    )
}

#[tokio::test]
async fn both_databases_have_the_same_columns_and_uniqueness_rules() {
    let (sqlite, postgres) = (SqliteHarness::new().await, PostgresHarness::new().await);
    let (left, right) = (of_sqlite(&sqlite).await, of_postgres(&postgres).await);
    assert!(
        left.0.len() > 80 && left.1.len() > 15,
        "something was found: {} {}",
        left.0.len(),
        left.1.len()
    );
    assert_eq!(left, right);
    sqlite.finish().await;
    postgres.finish().await;
}
