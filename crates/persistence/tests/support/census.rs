//! Counting rows from outside, past the store and all of its filters.

use std::collections::BTreeMap;

use postrider_domain::TenantId;
use postrider_testkit::contract::Census;
use sqlx::AssertSqlSafe;

use super::{PostgresHarness, SqliteHarness};

/// What says how many rows are nobody's, by table.
const NOBODYS: [(&str, &str); 6] = [
    ("users", ""),
    ("password_resets", ""),
    ("erasures", ""),
    ("signing_keys", ""),
    ("outbox_events", "WHERE tenant IS NULL"),
    ("audit_entries", "WHERE tenant IS NULL"),
];

const TABLES_ON_POSTGRES: &str = "
SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant'
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition";
const TABLES_ON_SQLITE: &str = "
SELECT t.name FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table' AND c.name = 'tenant'";

/// Which tables are counted, and under which condition.
fn counted(tables: &[String], of_a_tenant: bool) -> Vec<(&str, &'static str)> {
    if !of_a_tenant {
        return NOBODYS.to_vec();
    }
    let theirs = tables
        .iter()
        .map(String::as_str)
        .filter(|table| *table != "erasures");
    theirs
        .map(|table| (table, "WHERE tenant = $1"))
        .chain([("tenants", "WHERE id = $1")])
        .collect()
}

/// Written once for both, whose connections have nothing in common.
macro_rules! census {
    ($harness:ty, $tables:ident) => {
        impl Census for $harness {
            async fn rows(&self, of: Option<TenantId>) -> BTreeMap<String, u64> {
                let tables: Vec<String> = sqlx::query_scalar($tables)
                    .fetch_all(&self.outside)
                    .await
                    .unwrap();
                let mut rows = BTreeMap::new();
                for (table, condition) in counted(&tables, of.is_some()) {
                    let count = format!("SELECT count(*) FROM {table} {condition}");
                    let count = sqlx::query_scalar::<_, i64>(AssertSqlSafe(count));
                    let count = match of {
                        Some(tenant) => count.bind(tenant.as_uuid()),
                        None => count,
                    };
                    let count = count.fetch_one(&self.outside).await.unwrap();
                    if count > 0 {
                        rows.insert(table.to_owned(), u64::try_from(count).unwrap());
                    }
                }
                rows
            }
        }
    };
}

census!(PostgresHarness, TABLES_ON_POSTGRES);
census!(SqliteHarness, TABLES_ON_SQLITE);
