//! Looking and meddling from outside, past the store and all of its filters, in the same words on both databases.

use postrider_persistence::SqlStore;
use postrider_testkit::contract::Census;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::support::{PostgresHarness, SqliteHarness};

/// A database, reached by another way than through the store.
pub(crate) trait Outside: Census<Store = SqlStore> {
    /// Whether it is PostgreSQL.
    const IS_POSTGRES: bool;

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

/// Written once for both, whose connections have nothing in common.
macro_rules! outside {
    ($harness:ty, $postgres:literal, $literal:expr, $messages:expr) => {
        impl Outside for $harness {
            const IS_POSTGRES: bool = $postgres;

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
                format!(
                    $messages,
                    tenant = tenant,
                    first = first,
                    step = step,
                    rows = rows
                )
            }
        }
    };
}

outside!(
    PostgresHarness,
    true,
    "'{}'::uuid",
    "INSERT INTO messages (id, tenant, app, event_type, channels, content_type, payload_bytes, created_at)
     SELECT lpad(to_hex({first} + n * {step}), 32, '0')::uuid, {tenant}, {tenant}, 'a', '[]', 'a', 0, 0
     FROM generate_series(0, {rows} - 1) AS n"
);
outside!(
    SqliteHarness,
    false,
    "x'{}'",
    "INSERT INTO messages (id, tenant, app, event_type, channels, content_type, payload_bytes, created_at)
     WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {rows} - 1)
     SELECT unhex(printf('%032x', {first} + n * {step})), {tenant}, {tenant}, 'a', '[]', 'a', 0, 0 FROM numbers"
);

/// Makes two tests of each: one a database.
#[macro_export]
macro_rules! on_both {
    ($($case:ident;)+) => {
        mod on_sqlite {
            use postrider_testkit::contract::Harness as _;
            $(
                #[tokio::test]
                async fn $case() {
                    let harness = super::SqliteHarness::new().await;
                    super::$case(&harness).await;
                    harness.finish().await;
                }
            )+
        }
        mod on_postgres {
            use postrider_testkit::contract::Harness as _;
            $(
                #[tokio::test]
                async fn $case() {
                    let harness = super::PostgresHarness::new().await;
                    super::$case(&harness).await;
                    harness.finish().await;
                }
            )+
        }
    };
}
