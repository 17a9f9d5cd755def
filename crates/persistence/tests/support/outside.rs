//! Looking and meddling from outside, past the store and all of its filters, in the same words on both databases.

use std::collections::BTreeMap;

use postrider_domain::TenantId;
use postrider_persistence::SqlStore;
use postrider_testkit::contract::Census;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{PostgresHarness, SqliteHarness};

/// A database that somebody else has access to.
pub(crate) trait Outside: Census<Store = SqlStore> {
    /// Runs a statement.
    async fn run(&self, sql: &str);

    /// The one column that is selected, of bytes.
    async fn bytes(&self, sql: &str) -> Vec<Vec<u8>>;

    /// The one column that is selected, of texts.
    async fn texts(&self, sql: &str) -> Vec<String>;

    /// An id as a literal.
    fn literal(id: Uuid) -> String;

    /// `rows` rows of `messages` of that tenant, between others' by their ids: every `step`th id from `first` on.
    fn messages(tenant: Uuid, first: u32, step: u32, rows: u32) -> String;
}

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
SELECT table_name::text FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'tenant'";
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
macro_rules! outside {
    ($harness:ty, $tables:ident, $literal:expr, $messages:expr) => {
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

        impl Outside for $harness {
            async fn run(&self, sql: &str) {
                sqlx::query(AssertSqlSafe(sql.to_owned()))
                    .execute(&self.outside)
                    .await
                    .unwrap();
            }

            async fn bytes(&self, sql: &str) -> Vec<Vec<u8>> {
                sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
                    .fetch_all(&self.outside)
                    .await
                    .unwrap()
            }

            async fn texts(&self, sql: &str) -> Vec<String> {
                sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
                    .fetch_all(&self.outside)
                    .await
                    .unwrap()
            }

            fn literal(id: Uuid) -> String {
                format!($literal, id.simple())
            }

            fn messages(tenant: Uuid, first: u32, step: u32, rows: u32) -> String {
                let tenant = Self::literal(tenant);
                format!($messages, tenant = tenant, first = first, step = step, rows = rows)
            }
        }
    };
}

outside!(
    PostgresHarness,
    TABLES_ON_POSTGRES,
    "'{}'::uuid",
    "INSERT INTO messages (id, tenant, app, event_type, channels, content_type, payload_bytes, created_at)
     SELECT lpad(to_hex({first} + n * {step}), 32, '0')::uuid, {tenant}, {tenant}, 'a', '[]', 'a', 0, 0
     FROM generate_series(0, {rows} - 1) AS n"
);
outside!(
    SqliteHarness,
    TABLES_ON_SQLITE,
    "x'{}'",
    "INSERT INTO messages (id, tenant, app, event_type, channels, content_type, payload_bytes, created_at)
     WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {rows} - 1)
     SELECT unhex(printf('%032x', {first} + n * {step})), {tenant}, {tenant}, 'a', '[]', 'a', 0, 0 FROM numbers"
);
