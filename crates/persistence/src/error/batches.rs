//! What the failure of a batch means to whoever writes it: refused, nothing written, or not known.

use postrider_application::ports::{StoreError, WriteError};
use sea_orm::DbErr;
use sqlx::postgres::PgSeverity;

use super::{Fault, cause, lacks_partition, of_orm, of_postgres, of_sqlite, of_sqlx};

/// No connection was had for a batch, so nothing was written.
pub(crate) fn not_had(error: &sqlx::Error) -> WriteError {
    WriteError::Unavailable(match of_sqlx(error) {
        error @ StoreError::Unavailable(_) => error,
        // Refused at the door, whatever the reason.
        _ => StoreError::Unavailable(Box::new(Fault::from(error))),
    })
}

/// What the failure of the statement means that writes a batch on PostgreSQL, and is its own transaction.
pub(crate) fn write_failed(error: &sqlx::Error) -> WriteError {
    let store = of_sqlx(error);
    match (error, of_postgres(error)) {
        (_, Some((database, code))) => {
            // The server ended the session; when it noticed that it was to, the commit may have been written.
            let ended = matches!(database.severity(), PgSeverity::Fatal | PgSeverity::Panic)
                || code.starts_with("08")
                || code == "57P01"
                || code == "57P02";
            // Data, constraint; a key that is there twice.
            let of_a_row = ["21", "22", "23"].iter().any(|class| code.starts_with(class));
            if ended {
                WriteError::Unknown(store)
            } else if of_a_row && !lacks_partition(error) {
                WriteError::Refused(store)
            } else {
                WriteError::Unavailable(store)
            }
        }
        // It did not get as far as the wire.
        (sqlx::Error::Encode(_), None) => WriteError::Refused(store),
        // Lost under way, or an answer that cannot be read.
        _ => WriteError::Unknown(store),
    }
}

/// What the failure of the statement means that settles a batch on PostgreSQL. A row whose time has no partition is one
/// row's fault here: the others must not wait for it, as messages that come in do, and some of them may be of other
/// times.
pub(crate) fn settle_failed(error: &sqlx::Error) -> StoreError {
    match of_sqlx(error) {
        StoreError::Unavailable(cause) if lacks_partition(error) => StoreError::Internal(cause),
        error => error,
    }
}

/// What the failure of a statement means that writes a batch on SQLite, before COMMIT.
pub(crate) fn step_failed(error: &DbErr) -> WriteError {
    // Too big, constraint, mismatch.
    match cause(error).and_then(of_sqlite) {
        Some(18..=20) => WriteError::Refused(of_orm(error)),
        _ => WriteError::Unavailable(of_orm(error)),
    }
}

/// What the failure of COMMIT means on SQLite.
pub(crate) fn commit_failed(error: &DbErr) -> WriteError {
    // Busy, full: the end of the transaction is not in the log. If the log could not be synced, it may be.
    match cause(error).and_then(of_sqlite) {
        Some(5 | 13) => WriteError::Unavailable(of_orm(error)),
        _ => WriteError::Unknown(of_orm(error)),
    }
}
