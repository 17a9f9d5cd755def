//! The pools, made by sqlx's own options: those of the ORM would show the URL in a trace, password and all.

use std::{path::Path, str::FromStr as _, time::Duration};

use opentelemetry::{KeyValue, global};
use postrider_migrations::roles;
use sea_orm::{DatabaseConnection, SqlxPostgresConnector, SqlxSqliteConnector};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{
    ConnectOptions as _, Connection as _, PgPool, Pool, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{ConnectError, PostgresOptions, SqliteOptions, patience::let_go};
use crate::error::Fault;

/// Waiting for a turn is how load is borne, and time-outs are told anyway; no line for each.
const ACQUIRE_SLOW: Duration = Duration::from_hours(1);

/// The connections of an open database.
pub(super) enum Pools {
    Sqlite {
        /// Where changes are made: one connection, so that writers take turns here, fairly, and not in SQLite's busy
        /// handler.
        writer: DatabaseConnection,
        /// Where is looked up.
        readers: DatabaseConnection,
    },
    Postgres {
        /// The login without a role: it may nothing but change into one, for a transaction.
        login: DatabaseConnection,
        /// The engine's role, for as long as the connection lives.
        engine: DatabaseConnection,
    },
}

impl Pools {
    /// Shows how many connections there are, and how many of them are used.
    pub(super) fn observe(&self) {
        match self {
            Self::Sqlite { writer, readers } => {
                observe("writer", writer.get_sqlite_connection_pool());
                observe("readers", readers.get_sqlite_connection_pool());
            }
            Self::Postgres { login, engine } => {
                observe("login", login.get_postgres_connection_pool());
                observe("engine", engine.get_postgres_connection_pool());
            }
        }
    }

    /// Both, the one for changes first.
    pub(super) fn both(&self) -> [&DatabaseConnection; 2] {
        match self {
            Self::Sqlite { writer, readers } => [writer, readers],
            Self::Postgres { login, engine } => [login, engine],
        }
    }
}

fn observe<D: sqlx::Database>(name: &'static str, pool: &Pool<D>) {
    let meter = global::meter("postrider");
    let named = || KeyValue::new("db.client.connection.pool.name", name);
    let with_state = |state| [named(), KeyValue::new("db.client.connection.state", state)];
    let (idle, used) = (with_state("idle"), with_state("used"));
    let of = pool.clone();
    meter
        .u64_observable_gauge("db.client.connection.count")
        .with_unit("{connection}")
        .with_description("Connections that are open, by pool and whether they are used")
        .with_callback(move |observer| {
            // Two looks, between which some may have been given back.
            let (all, free) = (u64::from(of.size()), of.num_idle() as u64);
            observer.observe(free, &idle);
            observer.observe(all.saturating_sub(free), &used);
        })
        .build();
    let (most, labels) = (u64::from(pool.options().get_max_connections()), [named()]);
    meter
        .u64_observable_gauge("db.client.connection.max")
        .with_unit("{connection}")
        .with_description("The most connections of a pool")
        .with_callback(move |observer| observer.observe(most, &labels))
        .build();
}

/// To how much the write-ahead log is cut when it begins anew: 64 MiB.
const LOG_KEPT: &str = "67108864";

/// One writer, some readers.
///
/// What remains: the log is carried over into the database by the writer itself, within the commit after which it has
/// grown to a thousand pages, so that now and then a commit takes longer. And it begins anew only when nobody reads what
/// is in it: for as long as a reader keeps an old snapshot it grows, whatever it is cut to afterwards.
pub(super) async fn sqlite(options: &SqliteOptions, file: &Path) -> Result<Pools, ConnectError> {
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
        .connect_with(connect.clone().pragma("journal_size_limit", LOG_KEPT))
        .await
        .map_err(|error| refused(&error))?;
    let readers = sqlite_pool(options.max_readers.max(1), options.acquire_timeout)
        .connect_with(connect.pragma("query_only", "ON"))
        .await
        .map_err(|error| refused(&error))?;
    let orm = |pool: SqlitePool| SqlxSqliteConnector::from_sqlx_sqlite_pool(pool);
    Ok(Pools::Sqlite {
        writer: orm(writer),
        readers: orm(readers),
    })
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

/// The pools for everything but migrations, for a login that was checked; `schema` is where the tables are.
pub(super) async fn postgres(options: &PostgresOptions, schema: &str) -> Result<Pools, ConnectError> {
    let millis = options.statement_timeout.as_millis().to_string();
    let login = postgres_connection(&options.url)?.options([
        ("statement_timeout", millis.as_str()),
        // A 202 means durable, whatever the server's default is.
        ("synchronous_commit", "on"),
        // A transaction waits for nothing but the database; if it stands still, its node has gone.
        ("idle_in_transaction_session_timeout", millis.as_str()),
        // The usual search path begins with the current user's name, and the user changes.
        ("search_path", schema),
    ]);
    // Part of connecting, so that there is no connection without it, and that a reset comes back to it.
    let engine = login.clone().options([
        ("role", roles::ENGINE),
        // The engine's statements are few, prepared, given arrays of any size, and at home on tables whose statistics
        // are always old. One plan is right for each of them whatever these say: everything is reached by an index.
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        // What must be scanned nevertheless looks dear enough to be compiled, which takes longer than the scan.
        ("jit", "off"),
    ]);
    let orm = |pool: PgPool| SqlxPostgresConnector::from_sqlx_postgres_pool(pool);
    Ok(Pools::Postgres {
        login: orm(postgres_pool(options, options.login_connections(), login).await?),
        engine: orm(postgres_pool(options, options.engine_connections(), engine).await?),
    })
}

async fn postgres_pool(
    options: &PostgresOptions,
    connections: u32,
    connect: PgConnectOptions,
) -> Result<PgPool, ConnectError> {
    let (test_after_idle, longest) = (options.test_after_idle, options.acquire_timeout);
    PgPoolOptions::new()
        .max_connections(connections)
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
        .after_release(move |connection, _| Box::pin(let_go(connection, longest)))
        .connect_with(connect)
        .await
        .map_err(|error| refused(&error))
}

/// One connection without a limit on statements, within the time that a pool would take.
pub(super) async fn postgres_alone(
    options: &PostgresOptions,
    connect: PgConnectOptions,
) -> Result<PgPool, ConnectError> {
    PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(options.acquire_timeout)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(connect)
        .await
        .map_err(|error| refused(&error))
}

/// How to reach the database that the URL names.
pub(super) fn postgres_connection(url: &SecretString) -> Result<PgConnectOptions, ConnectError> {
    let url = url.expose_secret();
    if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
        return Err(ConnectError::Url);
    }
    let connect = PgConnectOptions::from_str(url).map_err(|_| ConnectError::Url)?;
    Ok(connect.application_name("postrider").disable_statement_logging())
}

pub(super) fn refused(error: &sqlx::Error) -> ConnectError {
    ConnectError::Database(Box::new(Fault::from(error)))
}
