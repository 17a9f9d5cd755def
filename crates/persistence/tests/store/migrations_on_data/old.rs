//! A database of a version before, with rows: those of the product as far as it had columns for them, and copies.

use std::{collections::BTreeMap, fmt::Write as _};

use postrider_migrations::Migrator;
use postrider_persistence::{DatabaseOptions, Schema, SqliteOptions};
use sea_orm_migration::MigratorTrait as _;
use sqlx::{AssertSqlSafe, Executor as _, PgPool, SqlitePool};
use tempfile::TempDir;

use super::Seed;
use crate::support::{PostgresHarness, SqliteHarness};

/// How many copies there are of a message, an endpoint, and so on.
pub(super) const MANY: usize = 10_000;

/// As many numbers `i`, from 1: the beginning of a statement.
fn with_numbers() -> String {
    format!("WITH RECURSIVE numbers (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {MANY})")
}

/// As the migrations' own table; what stands in it was applied.
const MIGRATIONS: &str =
    "CREATE TABLE seaql_migrations (version varchar NOT NULL PRIMARY KEY, applied_at bigint NOT NULL)";

/// The database, from outside.
pub(super) enum Old {
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

/// By table, its columns.
pub(super) type Columns = BTreeMap<String, Vec<String>>;

/// The migrations after this one.
fn after(last: &str) -> Vec<String> {
    let names = Migrator::migrations();
    let names = names.iter().map(|migration| migration.name().to_owned());
    let after: Vec<String> = names.filter(|name| name.as_str() > last).collect();
    assert!(after.len() < Migrator::migrations().len() && !after.is_empty());
    after
}

impl Old {
    /// A database that was migrated up to this one, and its name.
    pub(super) async fn postgres(last: &str) -> (Self, String) {
        let name = PostgresHarness::create(None).await;
        let old = Self::Postgres(PostgresHarness::outside(&name));
        old.pretend(last).await;
        old.run("ALTER TABLE seaql_migrations OWNER TO postrider_admin")
            .await;
        PostgresHarness::migrate(&name).await;
        old.forget(last).await;
        (old, name)
    }

    /// A database in this directory that was migrated up to this one.
    pub(super) async fn sqlite(directory: &TempDir, last: &str) -> Self {
        let options = || DatabaseOptions::Sqlite(SqliteOptions::in_directory(directory.path()));
        // Makes the file.
        Schema::open(options()).await.unwrap().close().await.unwrap();
        let old = Self::Sqlite(SqliteHarness::outside(directory).await);
        old.pretend(last).await;
        let schema = Schema::open(options()).await.unwrap();
        schema.migrate().await.unwrap();
        schema.close().await.unwrap();
        old.forget(last).await;
        old
    }

    async fn pretend(&self, last: &str) {
        self.run(MIGRATIONS).await;
        for name in after(last) {
            self.run(&format!("INSERT INTO seaql_migrations VALUES ('{name}', 0)"))
                .await;
        }
    }

    async fn forget(&self, last: &str) {
        self.run(&format!("DELETE FROM seaql_migrations WHERE version > '{last}'"))
            .await;
    }

    pub(super) async fn run(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        let done = match self {
            Self::Postgres(pool) => pool.execute(sql).await.map(drop),
            Self::Sqlite(pool) => pool.execute(sql).await.map(drop),
        };
        done.unwrap();
    }

    pub(super) async fn texts(&self, sql: &str) -> Vec<String> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Postgres(pool) => sqlx::query_scalar(sql).fetch_all(pool).await.unwrap(),
            Self::Sqlite(pool) => sqlx::query_scalar(sql).fetch_all(pool).await.unwrap(),
        }
    }

    pub(super) async fn close(self) {
        match self {
            Self::Postgres(pool) => pool.close().await,
            Self::Sqlite(pool) => pool.close().await,
        }
    }

    pub(super) async fn all_columns(&self) -> Columns {
        let tables = match self {
            Self::Postgres(_) => {
                "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
                 AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'seaql_migrations'"
            }
            Self::Sqlite(_) => {
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
                 AND name <> 'seaql_migrations'"
            }
        };
        let mut all = Columns::new();
        for table in self.texts(tables).await {
            let columns = match self {
                Self::Postgres(_) => format!(
                    "SELECT attname::text FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0
                     AND NOT attisdropped ORDER BY attnum"
                ),
                Self::Sqlite(_) => format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid"),
            };
            all.insert(table, self.texts(&columns).await);
        }
        all
    }

    pub(super) async fn rows(&self) -> BTreeMap<String, Vec<String>> {
        self.rows_of(&self.all_columns().await).await
    }

    /// Each table's rows as text, of these columns.
    pub(super) async fn rows_of(&self, columns: &Columns) -> BTreeMap<String, Vec<String>> {
        let mut rows = BTreeMap::new();
        for (table, columns) in columns {
            let row = match self {
                Self::Postgres(_) => format!("row({})::text", columns.join(", ")),
                Self::Sqlite(_) => {
                    let quoted: Vec<_> = columns.iter().map(|column| format!("quote({column})")).collect();
                    quoted.join(" || ',' || ")
                }
            };
            rows.insert(
                table.clone(),
                self.texts(&format!("SELECT {row} FROM {table} ORDER BY 1")).await,
            );
        }
        rows
    }

    /// SQLite: takes over what is in this file, in the columns that there are.
    pub(super) async fn take_from_file(&self, file: &str) {
        let mut all = format!("PRAGMA foreign_keys = OFF; ATTACH '{file}' AS source; ");
        for (table, columns) in self.all_columns().await {
            let columns = columns.join(", ");
            if table != "audit_entries" {
                write!(all, "DELETE FROM main.{table}; ").unwrap();
            }
            write!(
                all,
                "INSERT INTO main.{table} ({columns}) SELECT {columns} FROM source.{table}; "
            )
            .unwrap();
        }
        all.push_str("DETACH source");
        self.run(&all).await;
    }

    /// PostgreSQL: takes over what is in that database, in the columns that there are.
    pub(super) async fn take_from_server(&self, source: &PgPool) {
        for (table, columns) in self.all_columns().await {
            let rows = format!("SELECT coalesce(json_agg(t), '[]')::text FROM {table} t");
            let rows: String = sqlx::query_scalar(AssertSqlSafe(rows))
                .fetch_one(source)
                .await
                .unwrap();
            let columns = columns.join(", ");
            self.run(&format!(
                "SET session_replication_role = replica; DELETE FROM {table};
                 INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE
                 SELECT {columns} FROM json_populate_recordset(NULL::{table}, $rows${rows}$rows$);
                 RESET session_replication_role"
            ))
            .await;
        }
        for sequence in self
            .texts(
                "SELECT format('SELECT setval(%L, coalesce((SELECT max(%I) FROM %I), 0) + 1)::text',
                    pg_get_serial_sequence(c.relname, a.attname), a.attname, c.relname)
                 FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
                 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
                     AND pg_get_serial_sequence(c.relname, a.attname) IS NOT NULL",
            )
            .await
        {
            self.texts(&sequence).await;
        }
    }

    /// An id that ends with the number `i`, instead of that one.
    fn id(&self, id: &str) -> String {
        match self {
            Self::Postgres(_) => {
                format!("(left({id}::text, 24) || lpad(to_hex(i + 1048576), 12, '0'))::uuid")
            }
            Self::Sqlite(_) => format!("unhex(substr(hex({id}), 1, 20) || printf('%012x', i + 1048576))"),
        }
    }

    fn uuid(&self, id: uuid::Uuid) -> String {
        match self {
            Self::Postgres(_) => format!("'{id}'::uuid"),
            Self::Sqlite(_) => format!("x'{}'", id.simple()),
        }
    }

    /// Copies of one row for which the condition holds, numbered `i`, with other values in these columns.
    async fn copy(&self, table: &str, condition: &str, others: &[(&str, String)]) {
        self.copy_some(table, condition, "i > 0", others).await;
    }

    /// As [`Self::copy`], but only those with certain numbers.
    async fn copy_some(&self, table: &str, condition: &str, numbers: &str, others: &[(&str, String)]) {
        let columns = self.all_columns().await.remove(table).unwrap();
        let mut names: Vec<String> = Vec::new();
        let mut values: Vec<String> = Vec::new();
        for column in columns {
            let other = others.iter().find(|(name, _)| *name == column);
            if column == "seq" && matches!(self, Self::Postgres(_)) {
                continue;
            }
            values.push(other.map_or_else(|| format!("x.{column}"), |(_, value)| value.clone()));
            names.push(column);
        }
        let (names, values) = (names.join(", "), values.join(", "));
        self.run(&format!(
            "{}, x AS (SELECT * FROM {table} WHERE {condition} ORDER BY 1 LIMIT 1)
             INSERT INTO {table} ({names}) SELECT {values} FROM x, numbers WHERE {numbers}",
            with_numbers()
        ))
        .await;
    }

    /// Ten thousand of each.
    pub(super) async fn fill(&self, seed: &Seed) {
        self.fill_configuration().await;
        self.fill_history(seed).await;
        self.fill_queue(seed).await;
        self.fill_facts(seed).await;
    }

    async fn fill_configuration(&self) {
        let id = ("id", self.id("x.id"));
        let text = |name: &str| format!("'{name}.copy-' || i");
        let applications = [id.clone(), ("uid", text("customer"))];
        self.copy("applications", "uid IS NOT NULL", &applications).await;
        let event_types = [("name", text("invoice.paid"))];
        self.copy("event_types", "name IS NOT NULL", &event_types).await;
        let endpoints = [id, ("uid", text("endpoint"))];
        self.copy("endpoints", "id IS NOT NULL", &endpoints).await;
    }

    async fn fill_history(&self, seed: &Seed) {
        let message = self.uuid(seed.message.as_uuid());
        let (this, of_this) = (format!("id = {message}"), format!("message = {message}"));
        self.copy("messages", &this, &[("id", self.id("x.id"))]).await;
        let own = ("message", self.id("x.message"));
        self.copy("payloads", &of_this, std::slice::from_ref(&own)).await;
        // A quarter each: delivered, failed, cancelled, and pending.
        let status = "CASE i % 4 WHEN 0 THEN 'delivered' WHEN 1 THEN 'failed' WHEN 2 THEN 'cancelled' ELSE 'pending' END";
        let reason = "CASE i % 4 WHEN 1 THEN 'exhausted' WHEN 2 THEN 'endpoint_disabled' END";
        let due = "CASE i % 4 WHEN 3 THEN x.updated_at END";
        let deliveries = [
            own.clone(),
            ("status", status.to_owned()),
            ("reason", reason.to_owned()),
            ("due_at", due.to_owned()),
        ];
        self.copy("deliveries", &of_this, &deliveries).await;
        self.copy("attempts", &of_this, &[own]).await;
    }

    /// The pending ones.
    async fn fill_queue(&self, seed: &Seed) {
        let queued = [
            ("id", self.id("x.id")),
            ("message", self.id(&self.uuid(seed.message.as_uuid()))),
            ("endpoint", self.uuid(seed.endpoint.as_uuid())),
            // Nobody takes them in this test.
            ("due_at", "x.due_at + 100000000000000".to_owned()),
            ("owner", "0".to_owned()),
            ("seq", "x.seq + i".to_owned()),
        ];
        self.copy_some("outbox_work", "id IS NOT NULL", "i % 4 = 3", &queued)
            .await;
        if matches!(self, Self::Sqlite(_)) {
            self.run("UPDATE outbox_work_seq SET last = (SELECT max(seq) FROM outbox_work)")
                .await;
        }
    }

    /// Keys that were used, and endpoints that fail.
    async fn fill_facts(&self, seed: &Seed) {
        let hash = match self {
            Self::Postgres(_) => "sha256(i::text::bytea)",
            Self::Sqlite(_) => "randomblob(32)",
        };
        let [message, tenant, app] = [
            seed.message.as_uuid(),
            seed.tenant.id.as_uuid(),
            seed.customer.id.as_uuid(),
        ]
        .map(|id| self.uuid(id));
        self.run(&format!(
            "{} INSERT INTO dedup (tenant, app, key_hash, body_hash, message, expires_at)
             SELECT {tenant}, {app}, {hash}, {hash}, {message}, i FROM numbers",
            with_numbers()
        ))
        .await;
        let endpoint = self.id(&self.uuid(seed.endpoint.as_uuid()));
        self.run(&format!(
            "{} INSERT INTO endpoint_failures (endpoint, tenant, app, since, last_at)
             SELECT {endpoint}, {tenant}, {app}, i, i FROM numbers",
            with_numbers()
        ))
        .await;
    }
}
