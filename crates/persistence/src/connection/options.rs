use std::{io, path::PathBuf, time::Duration};

use secrecy::SecretString;
use thiserror::Error;

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
}

impl SqliteOptions {
    /// The usual: 4 readers, 5 seconds.
    pub fn in_directory(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            max_readers: 4,
            acquire_timeout: Duration::from_secs(5),
        }
    }
}

/// How PostgreSQL is used.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:port/database?...`.
    pub url: SecretString,
    /// The most connections of this node.
    pub max_connections: u32,
    /// How long a statement waits for a connection, connecting included.
    pub acquire_timeout: Duration,
    /// How long the server works on one statement before it gives up. Migrations have no such limit.
    pub statement_timeout: Duration,
    /// A connection that was idle for this long is tried before it is used.
    pub test_after_idle: Duration,
}

impl PostgresOptions {
    /// The usual: 16 connections, 5 seconds to get one, 15 seconds a statement, tried after 30 idle seconds.
    pub fn at(url: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            max_connections: 16,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(15),
            test_after_idle: Duration::from_secs(30),
        }
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
}
