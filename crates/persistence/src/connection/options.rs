use std::{io, path::PathBuf, time::Duration};

use postrider_application::ports::StoreError;
use secrecy::SecretString;
use thiserror::Error;

use crate::error::Fault;

/// Which database, and how it is used.
#[derive(Debug, Clone)]
pub enum DatabaseOptions {
    /// A file in a data directory of this process alone.
    Sqlite(SqliteOptions),
    /// A server, shared by any number of nodes.
    Postgres(PostgresOptions),
}

/// How SQLite is used.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// The data directory; created (0700) if it is not there.
    pub directory: PathBuf,
    /// The most connections that read at the same time. There is one that writes.
    pub max_readers: u32,
    /// How long a statement waits for a connection, and a writer for another process that reads or checkpoints.
    pub acquire_timeout: Duration,
    /// Whether another process may be serving from the directory: for commands that are run beside it. Whoever
    /// opens it so must not deliver, and finds the schema as it is.
    pub guest: bool,
}

impl SqliteOptions {
    /// The usual: 4 readers, 5 seconds.
    pub fn in_directory(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            max_readers: 4,
            acquire_timeout: Duration::from_secs(5),
            guest: false,
        }
    }
}

/// How PostgreSQL is used.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:port/database?...`: an ordinary login without rights of its own. It changes
    /// into Postrider's roles, which `admin_url` grants to it.
    pub url: SecretString,
    /// The same database under an account that may create roles, for migrations alone: a superuser, or one with
    /// CREATEROLE that owns the database. Without one, migrations are run by the login of `url`.
    pub admin_url: Option<SecretString>,
    /// The most connections of this node. Two fifths of them, one at least, are for requests of the API, the others
    /// are the engine's and the intake's, which keep their role for as long as they live.
    pub max_connections: u32,
    /// How long a statement waits for a connection, connecting included.
    pub acquire_timeout: Duration,
    /// How long the server works on one statement before it gives up. Migrations have no such limit.
    pub statement_timeout: Duration,
    /// How long we wait for the answer to a statement, before we take it that the server cannot be heard any more and
    /// close the connection. Longer than `statement_timeout`, so that the server says so itself if it can.
    pub answer_timeout: Duration,
    /// How long a migration waits for a lock, unless it says otherwise: whoever reads a table for long (a dump) holds it
    /// up, and everybody who comes after waits behind it. It fails then, and the next one begins where it was.
    pub migration_lock_timeout: Duration,
    /// A connection that was idle for this long is tried before it is used.
    pub test_after_idle: Duration,
}

impl PostgresOptions {
    /// The usual: 16 connections, 5 seconds to get one, 15 seconds a statement, 20 until its answer is here, 10 for a
    /// migration's lock, tried after 30 idle seconds.
    pub fn at(url: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            admin_url: None,
            max_connections: 16,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(15),
            answer_timeout: Duration::from_secs(20),
            migration_lock_timeout: Duration::from_secs(10),
            test_after_idle: Duration::from_secs(30),
        }
    }

    /// How many connections are for requests of the API.
    pub(super) fn login_connections(&self) -> u32 {
        (self.max_connections * 2 / 5).max(1)
    }

    /// How many connections are the engine's.
    pub(super) fn engine_connections(&self) -> u32 {
        self.max_connections
            .saturating_sub(self.login_connections())
            .max(1)
    }
}

/// Why the database could not be opened. Names no password.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The data directory cannot be made or written.
    #[error("the data directory {} cannot be used", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process uses the data directory.
    #[error("the data directory {} is in use by another process", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The URL is not one. It is not repeated here: it may hold a password.
    #[error("the database URL is not a valid postgres:// URL")]
    Url,
    /// The database did not answer, or refused us.
    #[error("the database cannot be opened")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The tables could not be looked at, or not be brought up to this version.
    #[error("the database's tables cannot be brought up to this version")]
    Migrations(#[source] StoreError),
    /// Another process serves from the data directory, and its schema is left as it is.
    #[error(
        "the data directory is in use by an older version, whose schema lacks {pending} migrations: stop it first"
    )]
    OlderHost {
        /// How many migrations the schema lacks.
        pending: usize,
    },
    /// There is nowhere to put tables.
    #[error("the database has no schema for Postrider's tables: the first of the search path must exist")]
    NoSchema,
    /// The account may not prepare the database.
    #[error(
        "the account that runs migrations may not prepare the database: name one that may create roles in \
         database.admin_url, or let such an account run, in this database, and start again:\n{sql}"
    )]
    NotPermitted {
        /// What is missing.
        sql: String,
    },
    /// The login for serving could do more than it should.
    #[error(
        "Postrider does not serve as the database login {login}, which {what}: row-level security would not bind it. \
         Name an ordinary login in database.url (CREATE ROLE postrider LOGIN NOINHERIT PASSWORD '...'), and a \
         superuser in database.admin_url for migrations"
    )]
    TooPowerful {
        /// The login.
        login: String,
        /// What it has too much.
        what: TooMuch,
    },
    /// The login for serving can do less than it must.
    #[error(
        "the database login {login} cannot become {role}: run `postrider migrate` with database.admin_url, which \
         creates Postrider's roles and grants them to it"
    )]
    NoRole {
        /// The login.
        login: String,
        /// The role.
        role: &'static str,
    },
}

impl ConnectError {
    /// Whether waiting may mend it: the server is away, starting or full. What it refused, it refuses again.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Database(cause) => cause.downcast_ref::<Fault>().is_some_and(Fault::is_passing),
            Self::Migrations(cause) => matches!(cause, StoreError::Unavailable(_)),
            _ => false,
        }
    }

    /// Whether the server did not let the login in: a wrong password, or a login or database that is not there.
    pub fn is_refused_login(&self) -> bool {
        match self {
            Self::Database(cause) => cause
                .downcast_ref::<Fault>()
                .and_then(Fault::code)
                .is_some_and(|code| code.starts_with("28") || code == "3D000"),
            _ => false,
        }
    }
}

/// What a login has that would make row-level security void.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TooMuch {
    /// It is a superuser.
    #[error("is a superuser")]
    Superuser,
    /// It has BYPASSRLS.
    #[error("has BYPASSRLS")]
    BypassesRowSecurity,
    /// It owns a table, itself or by a role that it inherits.
    #[error("owns the table {0}")]
    Owns(String),
    /// It has the rights of a role without having changed into it.
    #[error("inherits the role {0} (ALTER ROLE ... NOINHERIT, or GRANT ... WITH INHERIT FALSE)")]
    Inherits(&'static str),
}
