//! The pools, made by sqlx's own options: those of the ORM would show the URL in a trace, password and all.

use std::{path::Path, str::FromStr as _, time::Duration};

use sea_orm::{DatabaseConnection, SqlxPostgresConnector, SqlxSqliteConnector};
use secrecy::ExposeSecret as _;
use sqlx::{
    ConnectOptions as _, Connection as _, PgPool, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{ConnectError, PostgresOptions, SqliteOptions};
use crate::error::Fault;

/// Waiting for a turn is how load is borne, and time-outs are told anyway; no line for each.
const ACQUIRE_SLOW: Duration = Duration::from_hours(1);

/// One writer, some readers.
pub(super) async fn sqlite(
    options: &SqliteOptions,
    file: &Path,
) -> Result<(DatabaseConnection, DatabaseConnection), ConnectError> {
    let connect = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        // What was answered must survive a power cut: the log is synced at every commit.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(options.acquire_timeout)
        .foreign_keys(true)
        .disable_statement_logging();
    // The writer comes first: it turns the log on, which a connection that only reads cannot do.
    let writer = sqlite_pool(1, options.acquire_timeout)
        .connect_with(connect.clone())
        .await
        .map_err(|error| refused(&error))?;
    let readers = sqlite_pool(options.max_readers.max(1), options.acquire_timeout)
        .connect_with(connect.pragma("query_only", "ON"))
        .await
        .map_err(|error| refused(&error))?;
    let orm = |pool: SqlitePool| SqlxSqliteConnector::from_sqlx_sqlite_pool(pool);
    Ok((orm(writer), orm(readers)))
}

/// Connections to a file cost nothing to keep and prepared statements to renew, so they stay.
fn sqlite_pool(connections: u32, acquire_timeout: Duration) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(acquire_timeout)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .acquire_slow_threshold(ACQUIRE_SLOW)
        // SQLite ends a transaction by itself when a commit meets a full disk or a failing one. The driver goes on
        // believing that it is open, and would make every later transaction a savepoint of one that is never
        // committed. Such a connection is closed. The ping waits for a rollback that is still queued.
        .after_release(|connection, _| {
            Box::pin(async move {
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        })
}

/// The pool for everything but migrations.
pub(super) async fn postgres(options: &PostgresOptions) -> Result<DatabaseConnection, ConnectError> {
    let millis = options.statement_timeout.as_millis().to_string();
    let connect = postgres_connection(options)?.options([
        ("statement_timeout", millis.as_str()),
        // A 202 means durable, whatever the server's default is.
        ("synchronous_commit", "on"),
        // A transaction waits for nothing but the database; if it stands still, its node has gone.
        ("idle_in_transaction_session_timeout", millis.as_str()),
    ]);
    let test_after_idle = options.test_after_idle;
    let pool = PgPoolOptions::new()
        .max_connections(options.max_connections.max(1))
        .acquire_timeout(options.acquire_timeout)
        .acquire_slow_threshold(ACQUIRE_SLOW)
        // A round trip before every statement is too much; one before a connection that slept is cheap.
        .test_before_acquire(false)
        .before_acquire(move |connection, meta| {
            Box::pin(async move {
                if meta.idle_for >= test_after_idle {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_with(connect)
        .await
        .map_err(|error| refused(&error))?;
    Ok(SqlxPostgresConnector::from_sqlx_postgres_pool(pool))
}

/// Two connections without a limit on statements: one works, the other holds the migrations' lock.
pub(super) async fn postgres_for_migrations(options: &PostgresOptions) -> Result<PgPool, ConnectError> {
    PgPoolOptions::new()
        .max_connections(2)
        .acquire_timeout(options.acquire_timeout)
        .connect_with(postgres_connection(options)?)
        .await
        .map_err(|error| refused(&error))
}

fn postgres_connection(options: &PostgresOptions) -> Result<PgConnectOptions, ConnectError> {
    let url = options.url.expose_secret();
    if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
        return Err(ConnectError::Url);
    }
    let connect = PgConnectOptions::from_str(url).map_err(|_| ConnectError::Url)?;
    Ok(connect.application_name("postrider").disable_statement_logging())
}

fn refused(error: &sqlx::Error) -> ConnectError {
    ConnectError::Database(Box::new(Fault::from(error)))
}
