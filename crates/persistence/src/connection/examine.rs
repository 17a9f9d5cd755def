//! Looking at a database without changing anything: whether it can be reached, whether it is of this version, whether
//! its tables are guarded.

use std::{collections::HashSet, time::Duration};

use postrider_application::ports::StoreError;
use postrider_domain::Timestamp;
use postrider_migrations::{
    Migrator,
    roles::{ADMIN, ALL, MIGRATIONS_TABLE},
};
use sea_orm::ConnectionTrait as _;
use sea_orm_migration::MigratorTrait as _;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use tokio::time::timeout;

use super::{
    ConnectError, Database, Dialect, PostgresOptions, Scope,
    pools::{postgres_connection, refused},
};
use crate::{
    codec::timestamp,
    error::{Fault, OrStoreError as _},
};

/// Of which version the tables are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaState {
    /// Of this one.
    Current,
    /// Of an older one: so many migrations are lacking.
    Older(usize),
    /// Of a newer one: they know of migrations that this version does not.
    Newer,
}

impl SchemaState {
    fn of(applied: &HashSet<String>) -> Self {
        let known: HashSet<String> = Migrator::migrations()
            .iter()
            .map(|migration| migration.name().to_owned())
            .collect();
        match known.difference(applied).count() {
            0 if applied.is_subset(&known) => Self::Current,
            0 => Self::Newer,
            lacking => Self::Older(lacking),
        }
    }
}

/// What a first conversation with PostgreSQL told.
#[derive(Debug, Clone)]
pub struct Reached {
    /// The login.
    pub login: String,
    /// The server's version, as it says it.
    pub version: String,
    /// How long connecting took, the login included.
    pub connected_in: Duration,
    /// How long one round trip took, the quickest of some.
    pub round_trip: Duration,
    /// The server's clock, as of the middle of the round trip that asked it.
    pub clock: Timestamp,
    /// That moment, by the monotonic clock that was given.
    pub asked_at: Duration,
    /// How long that round trip took: the clock is known no better.
    pub asked_in: Duration,
}

/// The round trips that are measured.
const ROUND_TRIPS: usize = 5;

/// Connects to PostgreSQL once, without a pool and without trying again, so that the answer says what is the matter.
/// As the account that migrates, if there is one and `as_admin`.
pub async fn reach(
    options: &PostgresOptions,
    as_admin: bool,
    monotonic: impl Fn() -> Duration + Send,
) -> Result<Reached, ConnectError> {
    let admin = options.admin_url.as_ref().filter(|_| as_admin);
    let connect = postgres_connection(admin.unwrap_or(&options.url))?;
    let limit = options.acquire_timeout;
    let late = || ConnectError::Database(Box::new(Fault::late(format!("no answer within {limit:?}"))));
    let began = monotonic();
    let mut connection = timeout(limit, connect.connect())
        .await
        .map_err(|_| late())?
        .map_err(|error| refused(&error))?;
    let connected_in = monotonic().saturating_sub(began);
    let told = timeout(limit, ask(&mut connection, monotonic)).await;
    // Whatever it answers: the connection was only for this.
    let _ = timeout(limit, connection.close()).await;
    let reached = told.map_err(|_| late())?.map_err(|error| refused(&error))?;
    Ok(Reached {
        connected_in,
        ..reached
    })
}

async fn ask(
    connection: &mut PgConnection,
    monotonic: impl Fn() -> Duration + Send,
) -> Result<Reached, sqlx::Error> {
    let (login, version): (String, String) =
        sqlx::query_as("SELECT session_user::text, current_setting('server_version')")
            .fetch_one(&mut *connection)
            .await?;
    let mut round_trip = Duration::MAX;
    let (mut clock, mut asked_at, mut asked_in) = (0, Duration::ZERO, Duration::MAX);
    for _ in 0..ROUND_TRIPS {
        let began = monotonic();
        let now: i64 = sqlx::query_scalar("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
            .fetch_one(&mut *connection)
            .await?;
        asked_in = monotonic().saturating_sub(began);
        round_trip = round_trip.min(asked_in);
        asked_at = began + asked_in / 2;
        clock = now;
    }
    Ok(Reached {
        login,
        version,
        connected_in: Duration::ZERO,
        round_trip,
        clock: timestamp(clock),
        asked_at,
        asked_in,
    })
}

impl PostgresOptions {
    /// Which server and database, and as whom: `user@host:port/database`, never with a password. None: the URL is not
    /// one.
    pub fn target(&self) -> Option<String> {
        let connect = postgres_connection(&self.url).ok()?;
        let database = connect.get_database().unwrap_or(connect.get_username());
        Some(format!(
            "{}@{}:{}/{database}",
            connect.get_username(),
            connect.get_host(),
            connect.get_port(),
        ))
    }

    /// The server's host and port; none: the URL is not one, or names a socket.
    pub fn host(&self) -> Option<(String, u16)> {
        let connect = postgres_connection(&self.url).ok()?;
        if connect.get_socket().is_some() || connect.get_host().starts_with('/') {
            return None;
        }
        Some((connect.get_host().to_owned(), connect.get_port()))
    }
}

impl Database {
    /// Of which version the tables are: one short query, for whoever asks again and again.
    pub async fn schema_state(&self) -> Result<SchemaState, StoreError> {
        let statement = self
            .dialect()
            .exactly(format!("SELECT version FROM {MIGRATIONS_TABLE}"), []);
        let rows = self
            .read(Scope::Operator)
            .await?
            .query_all_raw(statement)
            .await
            .or_store_error()?;
        let applied = rows
            .iter()
            .map(|row| row.try_get("", "version").or_store_error())
            .collect::<Result<HashSet<String>, _>>()?;
        Ok(SchemaState::of(&applied))
    }

    /// What is known to the installation under `name`, if anything is; writes nothing.
    pub async fn known_fact(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let statement = self
            .dialect()
            .exactly("SELECT value FROM installation WHERE name = $1", [name.into()]);
        let row = self
            .read(Scope::Operator)
            .await?
            .query_one_raw(statement)
            .await
            .or_store_error()?;
        row.map(|row| row.try_get("", "value").or_store_error())
            .transpose()
    }

    /// How many endpoints that are not disabled have a time-out of their own that is longer; counted up to 1,000.
    pub async fn endpoints_slower_than(&self, timeout: Duration) -> Result<u64, StoreError> {
        let timeout = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
        let statement = self.dialect().exactly(
            "SELECT count(*) AS slow FROM (
                SELECT 1 FROM endpoints WHERE timeout_ms > $1 AND disabled_at IS NULL LIMIT 1000
            ) AS slower",
            [timeout.into()],
        );
        let row = self
            .read(Scope::Engine)
            .await?
            .query_one_raw(statement)
            .await
            .or_store_error()?;
        let slow = row.map(|row| row.try_get::<i64>("", "slow")).transpose();
        Ok(slow.or_store_error()?.unwrap_or(0).unsigned_abs())
    }

    /// The tables that PostgreSQL does not guard as it should: without forced row-level security, without its policies,
    /// or not owned by the role that owns them all. On SQLite, which has one process and no roles, there are none.
    pub async fn unguarded_tables(&self) -> Result<Vec<String>, StoreError> {
        if self.dialect() == Dialect::Sqlite {
            return Ok(Vec::new());
        }
        sqlx::query_scalar(
            "SELECT relname::text FROM pg_class
             WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
                AND NOT (relrowsecurity AND relforcerowsecurity AND pg_get_userbyid(relowner) = $1
                    AND (relispartition OR EXISTS (SELECT FROM pg_policy WHERE polrelid = pg_class.oid)))
             ORDER BY relname LIMIT 100",
        )
        .bind(ADMIN)
        .fetch_all(self.login_pool()?)
        .await
        .or_store_error()
    }

    /// The roles that may not enter the schema of the tables.
    pub async fn roles_without_schema(&self) -> Result<Vec<String>, StoreError> {
        if self.dialect() == Dialect::Sqlite {
            return Ok(Vec::new());
        }
        sqlx::query_scalar(
            "SELECT rolname::text FROM pg_roles
             WHERE rolname = ANY ($1) AND NOT has_schema_privilege(oid, current_schema()::regnamespace, 'USAGE')
             ORDER BY rolname",
        )
        .bind(ALL.as_slice())
        .fetch_all(self.login_pool()?)
        .await
        .or_store_error()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(change: impl FnOnce(&mut HashSet<String>)) -> SchemaState {
        let mut applied = Migrator::migrations()
            .iter()
            .map(|migration| migration.name().to_owned())
            .collect();
        change(&mut applied);
        SchemaState::of(&applied)
    }

    #[test]
    fn a_schema_is_of_this_an_older_or_a_newer_version() {
        assert_eq!(of(|_| {}), SchemaState::Current);
        assert_eq!(
            of(|applied| {
                applied.insert("m99999999_of_tomorrow".to_owned());
            }),
            SchemaState::Newer
        );
        assert_eq!(
            of(|applied| {
                let one = applied.iter().next().unwrap().clone();
                applied.remove(&one);
            }),
            SchemaState::Older(1)
        );
        assert!(matches!(
            SchemaState::of(&HashSet::new()),
            SchemaState::Older(20..)
        ));
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_may_come() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let options = PostgresOptions::at(format!("postgres://rider:s3cret@127.0.0.1:{port}/mail"));
        let away = reach(&options, false, || Duration::ZERO).await.unwrap_err();
        assert!(away.is_passing() && !away.is_refused_login(), "{away:?}");
        assert!(!format!("{away:?}").contains("s3cret"));
        let nonsense = reach(&PostgresOptions::at("nonsense"), false, || Duration::ZERO).await;
        assert!(!nonsense.unwrap_err().is_passing());
    }

    #[test]
    fn a_target_names_no_password() {
        let options = PostgresOptions::at("postgres://rider:s3cret@db.example:6543/mail");
        assert_eq!(options.target().unwrap(), "rider@db.example:6543/mail");
        assert_eq!(options.host().unwrap(), ("db.example".to_owned(), 6543));
        assert_eq!(PostgresOptions::at("mysql://x").target(), None);
    }
}
