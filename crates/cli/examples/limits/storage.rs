//! The rows of an accepted message, by plain SQL on either database.

use std::{str::FromStr as _, sync::Arc, time::Duration};

use secrecy::ExposeSecret as _;
use sqlx::{
    ConnectOptions as _, PgPool, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use uuid::Uuid;

use crate::{Failure, configuration::DatabaseConfig};

const EVENT_TYPE: &str = "bench.sent";
/// Far ahead: no engine is to deliver these.
const DELAY_US: i64 = 86_400_000_000;
const FILE: &str = "postrider.sqlite3";

/// What is stored of a message.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) id: Uuid,
    pub(crate) tenant: Uuid,
    pub(crate) application: Uuid,
    /// In microseconds since 1970.
    pub(crate) created_at: i64,
    pub(crate) body: Arc<[u8]>,
}

/// A pool, set up like the product's own.
pub(crate) enum Storage {
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

const MESSAGE_ON_POSTGRES: &str = "INSERT INTO messages
    (id, tenant, app, event_type, channels, content_type, payload_bytes, created_at)
    VALUES ($1, $2, $3, $4, '[]', 'application/json', $5, $6)";
const MESSAGE_ON_SQLITE: &str = "INSERT INTO messages
    (id, tenant, app, event_type, channels, content_type, payload_bytes, created_at)
    VALUES ($1, $2, $3, $4, '[]', 'application/json', $5, $6)";
const PAYLOAD: &str = "INSERT INTO payloads (message, tenant, body) VALUES ($1, $2, $3)";
const WORK_ON_POSTGRES: &str = "INSERT INTO outbox_work
    (id, tenant, app, message, due_at, owner, claim, attempts, failures, payload_bytes)
    VALUES ($1, $2, $3, $1, $4, 0, 0, 0, 0, $5::bigint)";
const NEXT_ON_SQLITE: &str = "UPDATE outbox_work_seq SET last = last + 1";
const WORK_ON_SQLITE: &str = "INSERT INTO outbox_work
    (id, tenant, app, message, due_at, owner, claim, attempts, failures, payload_bytes, seq)
    SELECT $1, $2, $3, $1, $4, 0, 0, 0, 0, $5, last FROM outbox_work_seq";
const BATCH_ON_POSTGRES: &str = "WITH r AS MATERIALIZED (
        SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bytea[])
            AS r (id, tenant, app, created_at, body)),
    m AS (INSERT INTO messages (id, tenant, app, event_type, channels, content_type, payload_bytes, created_at)
        SELECT id, tenant, app, $6, '[]', 'application/json', length(body), created_at FROM r),
    p AS (INSERT INTO payloads (message, tenant, body) SELECT id, tenant, body FROM r)
    INSERT INTO outbox_work (id, tenant, app, message, due_at, owner, claim, attempts, failures, payload_bytes)
    SELECT id, tenant, app, id, created_at + $7, 0, 0, 0, 0, length(body) FROM r";

impl Storage {
    /// As many connections as the product's engine has.
    pub(crate) const ENGINE: u32 = 12;

    /// Opens the database of this configuration; PostgreSQL with so many connections.
    pub(crate) async fn open(config: &DatabaseConfig, connections: u32) -> Result<Self, Failure> {
        let patience = Duration::from_secs(30);
        let Some(url) = &config.url else {
            let connect = SqliteConnectOptions::new()
                .filename(config.directory.join(FILE))
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(patience)
                .disable_statement_logging();
            let pool = SqlitePoolOptions::new()
                .max_connections(1)
                .acquire_timeout(patience);
            return Ok(Self::Sqlite(pool.connect_with(connect).await?));
        };
        let connect = PgConnectOptions::from_str(url.expose_secret())?
            .options([("role", "postrider_engine"), ("synchronous_commit", "on")])
            .disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(patience)
            .test_before_acquire(false);
        Ok(Self::Postgres(pool.connect_with(connect).await?))
    }

    /// Stores one message by a transaction of its own.
    pub(crate) async fn insert_one(&self, row: &Row) -> Result<(), sqlx::Error> {
        match self {
            Self::Postgres(pool) => insert_one_on_postgres(pool, row).await,
            Self::Sqlite(pool) => insert_on_sqlite(pool, std::slice::from_ref(row)).await,
        }
    }

    /// Stores a batch by one transaction.
    pub(crate) async fn insert_batch(&self, rows: &[Row]) -> Result<(), sqlx::Error> {
        match self {
            Self::Postgres(pool) => insert_batch_on_postgres(pool, rows).await,
            Self::Sqlite(pool) => insert_on_sqlite(pool, rows).await,
        }
    }

    /// Runs statements as they stand, one after the other.
    pub(crate) async fn run(&self, statements: String) -> Result<(), sqlx::Error> {
        let statements = sqlx::AssertSqlSafe(statements);
        match self {
            Self::Postgres(pool) => sqlx::raw_sql(statements).execute(pool).await.map(drop),
            Self::Sqlite(pool) => sqlx::raw_sql(statements).execute(pool).await.map(drop),
        }
    }
}

async fn insert_one_on_postgres(pool: &PgPool, row: &Row) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    sqlx::query(MESSAGE_ON_POSTGRES)
        .bind(row.id)
        .bind(row.tenant)
        .bind(row.application)
        .bind(EVENT_TYPE)
        .bind(length(row))
        .bind(row.created_at)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(PAYLOAD)
        .bind(row.id)
        .bind(row.tenant)
        .bind(&*row.body)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(WORK_ON_POSTGRES)
        .bind(row.id)
        .bind(row.tenant)
        .bind(row.application)
        .bind(row.created_at + DELAY_US)
        .bind(length(row))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

async fn insert_batch_on_postgres(pool: &PgPool, rows: &[Row]) -> Result<(), sqlx::Error> {
    let column = |of: fn(&Row) -> Uuid| rows.iter().map(of).collect::<Vec<_>>();
    sqlx::query(BATCH_ON_POSTGRES)
        .bind(column(|row| row.id))
        .bind(column(|row| row.tenant))
        .bind(column(|row| row.application))
        .bind(rows.iter().map(|row| row.created_at).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.body.to_vec()).collect::<Vec<_>>())
        .bind(EVENT_TYPE)
        .bind(DELAY_US)
        .execute(pool)
        .await
        .map(drop)
}

async fn insert_on_sqlite(pool: &SqlitePool, rows: &[Row]) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    for row in rows {
        sqlx::query(MESSAGE_ON_SQLITE)
            .bind(row.id)
            .bind(row.tenant)
            .bind(row.application)
            .bind(EVENT_TYPE)
            .bind(length(row))
            .bind(row.created_at)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(PAYLOAD)
            .bind(row.id)
            .bind(row.tenant)
            .bind(&*row.body)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(NEXT_ON_SQLITE).execute(&mut *transaction).await?;
        sqlx::query(WORK_ON_SQLITE)
            .bind(row.id)
            .bind(row.tenant)
            .bind(row.application)
            .bind(row.created_at + DELAY_US)
            .bind(length(row))
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

fn length(row: &Row) -> i64 {
    i64::try_from(row.body.len()).unwrap_or(i64::MAX)
}
