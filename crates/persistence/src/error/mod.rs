//! What database errors mean to the application.

mod batches;
mod fault;
mod unique;

use std::fmt;

use postrider_application::ports::StoreError;
use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};
use sqlx::postgres::PgDatabaseError;
use thiserror::Error;

use self::unique::violation;
pub(crate) use self::{
    batches::{commit_failed, not_had, settle_failed, step_failed, write_failed},
    fault::Fault,
};
use crate::connection::FailureKind;

/// A stored value that no longer is what the domain allows. Names the column, never the value.
#[derive(Debug, Error)]
#[error("the stored {what} is not valid: {why}")]
struct Corrupt {
    what: &'static str,
    why: String,
}

/// A stored value that cannot be, with the reason, which must not quote it.
pub(crate) fn corrupt(what: &'static str, why: impl fmt::Display) -> StoreError {
    StoreError::Internal(Box::new(Corrupt {
        what,
        why: why.to_string(),
    }))
}

/// A fault of the caller's code.
pub(crate) fn fault(what: &'static str) -> StoreError {
    StoreError::Internal(what.into())
}

/// Answers of the database's libraries as answers of the store.
pub(crate) trait OrStoreError<T> {
    /// The value, or what its error means to the application.
    fn or_store_error(self) -> Result<T, StoreError>;
}

impl<T> OrStoreError<T> for Result<T, DbErr> {
    fn or_store_error(self) -> Result<T, StoreError> {
        self.map_err(|error| of_orm(&error))
    }
}

impl<T> OrStoreError<T> for Result<T, sqlx::Error> {
    fn or_store_error(self) -> Result<T, StoreError> {
        self.map_err(|error| of_sqlx(&error))
    }
}

/// What the database's library said, if the ORM only passes it on.
fn cause(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(cause))
        | DbErr::Exec(RuntimeErr::SqlxError(cause))
        | DbErr::Query(RuntimeErr::SqlxError(cause)) => Some(cause),
        _ => None,
    }
}

fn of_orm(error: &DbErr) -> StoreError {
    if let Some(cause) = cause(error) {
        return of_sqlx(cause);
    }
    match error {
        DbErr::ConnectionAcquire(ConnAcquireErr::Timeout) => FailureKind::PoolTimeout,
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => FailureKind::Connection,
        _ => FailureKind::Other,
    }
    .count();
    match error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => {
            StoreError::Unavailable(Box::new(Fault::saying(error)))
        }
        _ => StoreError::Internal(Box::new(Fault::saying(error))),
    }
}

fn of_sqlx(error: &sqlx::Error) -> StoreError {
    if let Some(violated) = violation(error) {
        return violated;
    }
    kind(error).count();
    let fault = Box::new(Fault::from(error));
    if lacks_partition(error) {
        tracing::error!(%fault, "history has no partition for this time: nothing can be written to it until there is one");
        StoreError::Unavailable(fault)
    } else if is_passing(error) {
        StoreError::Unavailable(fault)
    } else {
        StoreError::Internal(fault)
    }
}

/// What went wrong, to be counted.
fn kind(error: &sqlx::Error) -> FailureKind {
    match error {
        sqlx::Error::PoolTimedOut => FailureKind::PoolTimeout,
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => FailureKind::Connection,
        sqlx::Error::Database(_) => match of_postgres(error) {
            // Given up by a time-out of the server's, of statements or of locks.
            Some((_, "57014" | "55P03")) => FailureKind::Timeout,
            Some((_, code)) => match code.get(..2) {
                Some("08" | "57") => FailureKind::Connection,
                Some("40") => FailureKind::Contention,
                Some("53" | "58") => FailureKind::Resources,
                _ => FailureKind::Other,
            },
            None => match of_sqlite(error) {
                Some(5 | 6) => FailureKind::Contention,
                Some(7 | 10 | 13 | 14) => FailureKind::Resources,
                _ => FailureKind::Other,
            },
        },
        _ => FailureKind::Other,
    }
}

/// Whether the same statement may succeed later: the connection, or the state of the server, not the statement.
fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        sqlx::Error::Database(_) => match of_postgres(error) {
            // Connection, transaction state, rollback, resources, prerequisite state, operator, system.
            Some((_, code)) => ["08", "25", "40", "53", "55", "57", "58"]
                .iter()
                .any(|class| code.starts_with(class)),
            // Busy, locked, no memory, read-only, interrupted, input or output, full, cannot open.
            None => matches!(of_sqlite(error), Some(5 | 6 | 7 | 8 | 9 | 10 | 13 | 14)),
        },
        _ => false,
    }
}

/// PostgreSQL's error, and its SQLSTATE.
fn of_postgres(error: &sqlx::Error) -> Option<(&PgDatabaseError, &str)> {
    let database = error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?;
    Some((database, database.code()))
}

/// The kind of SQLite's error: the lower byte of its code.
fn of_sqlite(error: &sqlx::Error) -> Option<u32> {
    let database = error.as_database_error()?;
    if database.try_downcast_ref::<PgDatabaseError>().is_some() {
        return None;
    }
    Some(database.code()?.parse::<u32>().ok()? & 0xff)
}

/// Whether a row belongs to a partition that is not there. The SQLSTATE is that of a violated CHECK, which has a name.
fn lacks_partition(error: &sqlx::Error) -> bool {
    of_postgres(error).is_some_and(|(database, code)| code == "23514" && database.constraint().is_none())
}

/// Whether the server gave the statement up because it took too long, waiting included.
pub(crate) fn timed_out(error: &DbErr) -> bool {
    let postgres = cause(error).and_then(of_postgres);
    postgres.is_some_and(|(_, code)| code == "57014")
}
