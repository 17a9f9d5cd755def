//! Bringing the database's tables up to this version.

use postrider_migrations::{
    Migrator,
    roles::{ADMIN, MIGRATIONS_TABLE},
};
use sea_orm::{DatabaseConnection, SqlxPostgresConnector};
use sea_orm_migration::MigratorTrait as _;
use sqlx::{PgConnection, PgPool};

use super::{
    ConnectError, Database, DatabaseOptions, PostgresOptions,
    pools::{Pools, postgres_alone, postgres_connection, refused},
    roles,
};
use crate::{advisory_lock, error::OrStoreError as _};

/// A database before it is used: what its tables lack can be asked and applied. On SQLite it holds the data
/// directory's lock.
///
/// On PostgreSQL this is done by the account of [`PostgresOptions::admin_url`], if there is one, and nothing is asked
/// of the login that will serve until [`Schema::into_database`].
#[derive(Debug)]
pub struct Schema(Target);

#[derive(Debug)]
enum Target {
    Sqlite(Database),
    Postgres(PostgresOptions),
}

impl Schema {
    /// The database of these options. On SQLite the data directory is made and locked; PostgreSQL is not reached yet.
    pub async fn open(options: DatabaseOptions) -> Result<Self, ConnectError> {
        Ok(Self(match options {
            DatabaseOptions::Sqlite(options) => Target::Sqlite(Database::open_sqlite(options).await?),
            DatabaseOptions::Postgres(options) => Target::Postgres(options),
        }))
    }

    /// The migrations that the database lacks, by name, in order. Writes nothing. `Err` too if it has one that
    /// this version does not know: it belongs to a newer one.
    pub async fn pending(&self) -> Result<Vec<String>, ConnectError> {
        match &self.0 {
            Target::Sqlite(database) => database.pending_migrations().await,
            Target::Postgres(options) => pending_on_postgres(options).await,
        }
    }

    /// Applies what the database lacks, each migration whole or not at all. Of several nodes that start at once
    /// one does it and the others wait.
    ///
    /// On PostgreSQL the roles are made first, and granted to the login that will serve last. What the account may
    /// not do and is not done already is an error that names the statements.
    pub async fn migrate(&self) -> Result<(), ConnectError> {
        match &self.0 {
            Target::Sqlite(database) => database.migrate().await,
            Target::Postgres(options) => migrate_postgres(options).await,
        }
    }

    /// The same database, to be used; see [`Database::open`].
    pub async fn into_database(self) -> Result<Database, ConnectError> {
        match self.0 {
            Target::Sqlite(database) => Ok(database),
            Target::Postgres(options) => Database::open_postgres(options).await,
        }
    }

    /// Lets it be without having used it.
    pub async fn close(self) -> Result<(), ConnectError> {
        match self.0 {
            Target::Sqlite(database) => database.close().await.map_err(ConnectError::Migrations),
            Target::Postgres(_) => Ok(()),
        }
    }
}

impl Database {
    /// As [`Schema::pending`].
    pub async fn pending_migrations(&self) -> Result<Vec<String>, ConnectError> {
        match (&self.inner.pools, &self.inner.options) {
            (Pools::Postgres { .. }, DatabaseOptions::Postgres(options)) => {
                pending_on_postgres(options).await
            }
            (pools, _) => lacking(pools.both()[1]).await,
        }
    }

    /// As [`Schema::migrate`].
    pub async fn migrate(&self) -> Result<(), ConnectError> {
        match (&self.inner.pools, &self.inner.options) {
            (Pools::Postgres { .. }, DatabaseOptions::Postgres(options)) => migrate_postgres(options).await,
            _ if self.is_guest() => self.refuse_older_host().await,
            (pools, _) => apply(pools.both()[0]).await,
        }
    }

    /// Beside another process the schema is left as it is, and must be this version's already.
    async fn refuse_older_host(&self) -> Result<(), ConnectError> {
        match self.pending_migrations().await?.len() {
            0 => Ok(()),
            pending => Err(ConnectError::OlderHost { pending }),
        }
    }
}

async fn lacking(connection: &DatabaseConnection) -> Result<Vec<String>, ConnectError> {
    let pending = Migrator::get_pending_migrations_read_only(connection)
        .await
        .or_store_error()
        .map_err(ConnectError::Migrations)?;
    Ok(pending
        .iter()
        .map(|migration| migration.name().to_owned())
        .collect())
}

async fn apply(connection: &DatabaseConnection) -> Result<(), ConnectError> {
    Migrator::up(connection, None)
        .await
        .or_store_error()
        .map_err(ConnectError::Migrations)
}

/// A connection of the account that migrates.
async fn account(options: &PostgresOptions) -> Result<PgPool, ConnectError> {
    let url = options.admin_url.as_ref().unwrap_or(&options.url);
    postgres_alone(options, postgres_connection(url)?).await
}

/// The owner of the tables, in the schema that the account means: the usual search path begins with the current
/// user's name, and the user changes.
async fn owner(options: &PostgresOptions, schema: &str) -> Result<DatabaseConnection, ConnectError> {
    let url = options.admin_url.as_ref().unwrap_or(&options.url);
    let lock_timeout = options.migration_lock_timeout.as_millis().to_string();
    let connect = postgres_connection(url)?.options([
        ("role", ADMIN),
        ("search_path", schema),
        ("lock_timeout", &lock_timeout),
    ]);
    let pool = postgres_alone(options, connect).await?;
    Ok(SqlxPostgresConnector::from_sqlx_postgres_pool(pool))
}

async fn pending_on_postgres(options: &PostgresOptions) -> Result<Vec<String>, ConnectError> {
    let pool = account(options).await?;
    let found = async {
        let mut connection = pool.acquire().await.map_err(|error| refused(&error))?;
        let schema = roles::schema(&mut connection).await?;
        Ok((is_the_owners(&mut connection).await?, schema))
    };
    let found = found.await;
    let (owned, schema) = match found {
        Ok(found) => found,
        Err(error) => {
            pool.close().await;
            return Err(error);
        }
    };
    let connection = if owned {
        pool.close().await;
        owner(options, &schema).await?
    } else {
        // Made by a version without roles, or empty.
        SqlxPostgresConnector::from_sqlx_postgres_pool(pool)
    };
    let pending = lacking(&connection).await;
    connection.get_postgres_connection_pool().close().await;
    pending
}

/// Whether the migrations' table belongs to the role that owns the tables, which the account then must become.
async fn is_the_owners(connection: &mut PgConnection) -> Result<bool, ConnectError> {
    let owner: Option<(String, bool)> = sqlx::query_as(
        "SELECT current_user::text, pg_has_role(relowner, 'MEMBER') FROM pg_class
         WHERE relname = $1 AND relnamespace = current_schema()::regnamespace AND pg_get_userbyid(relowner) = $2",
    )
    .bind(MIGRATIONS_TABLE)
    .bind(ADMIN)
    .fetch_optional(connection)
    .await
    .map_err(|error| refused(&error))?;
    match owner {
        Some((login, false)) => Err(ConnectError::NoRole { login, role: ADMIN }),
        owner => Ok(owner.is_some()),
    }
}

/// How long until the lock is asked for again.
const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

/// The lock is a session's, not a transaction's, so that a later migration may run outside of one. Closing the
/// connection gives it up, however this ends.
async fn migrate_postgres(options: &PostgresOptions) -> Result<(), ConnectError> {
    let pool = account(options).await?;
    let mut holder = pool.acquire().await.map_err(|error| refused(&error))?;
    let done = migrate_holding(options, &mut holder).await;
    // Ends the session, and with it the lock.
    let closed = holder.close().await.map_err(|error| refused(&error));
    pool.close().await;
    done.and(closed)
}

async fn migrate_holding(options: &PostgresOptions, holder: &mut PgConnection) -> Result<(), ConnectError> {
    // Asked again and again, not waited for: whoever waits holds a snapshot, for which an index that is built
    // concurrently by the one who has the lock would wait, for ever.
    loop {
        let mine: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
            .bind(advisory_lock::MIGRATIONS)
            .fetch_one(&mut *holder)
            .await
            .map_err(|error| refused(&error))?;
        if mine {
            break;
        }
        tokio::time::sleep(LOCK_PAUSE).await;
    }
    let schema = roles::prepare(holder).await?;
    let owner = owner(options, &schema).await?;
    let applied = apply(&owner).await;
    owner.get_postgres_connection_pool().close().await;
    applied?;
    roles::grant_to_login(holder, postgres_connection(&options.url)?.get_username()).await
}
