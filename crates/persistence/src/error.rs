//! What database errors mean to the application.

use std::fmt;

use postrider_application::ports::{StoreError, UniqueRule};
use sea_orm::{DbErr, RuntimeErr};
use sqlx::postgres::PgDatabaseError;
use thiserror::Error;

/// The locks by which nodes take turns on PostgreSQL. Numbers of our own choosing, one for each purpose, for ever.
pub(crate) mod advisory_lock {
    /// Held by whoever applies migrations.
    pub(crate) const MIGRATIONS: i64 = 0x706f_7374_0001;
    /// Held from appending events to the end of the transaction, so that position order is commit order.
    pub(crate) const EVENT_LOG: i64 = 0x706f_7374_0002;
    /// Held by whoever adds a signing key.
    pub(crate) const SIGNING_KEYS: i64 = 0x706f_7374_0003;
    /// Held by whoever erases a tenant.
    pub(crate) const ERASURE: i64 = 0x706f_7374_0004;
}

/// An error of the database, reduced to what may be shown in a trace: the server's detail, which quotes values of
/// rows, is left out.
#[derive(Debug)]
pub(crate) struct Fault {
    message: String,
    code: Option<String>,
    constraint: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(code) = &self.code {
            write!(f, " (code {code})")?;
        }
        if let Some(constraint) = &self.constraint {
            write!(f, " (constraint {constraint})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

impl From<&sqlx::Error> for Fault {
    fn from(error: &sqlx::Error) -> Self {
        match error.as_database_error() {
            Some(database) => Self {
                message: database.message().to_owned(),
                code: database.code().map(std::borrow::Cow::into_owned),
                constraint: database.constraint().map(str::to_owned),
            },
            None => Self::saying(error),
        }
    }
}

impl Fault {
    fn saying(what: impl fmt::Display) -> Self {
        Self {
            message: what.to_string(),
            code: None,
            constraint: None,
        }
    }
}

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

fn of_orm(error: &DbErr) -> StoreError {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(cause))
        | DbErr::Exec(RuntimeErr::SqlxError(cause))
        | DbErr::Query(RuntimeErr::SqlxError(cause)) => of_sqlx(cause),
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
    let fault = Box::new(Fault::from(error));
    if is_passing(error) {
        StoreError::Unavailable(fault)
    } else {
        StoreError::Internal(fault)
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
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            if database.try_downcast_ref::<PgDatabaseError>().is_some() {
                // Connection, transaction state, rollback, resources, prerequisite state, operator, system.
                ["08", "25", "40", "53", "55", "57", "58"]
                    .iter()
                    .any(|class| code.starts_with(class))
            } else {
                // The lower byte of SQLite's code is its kind: busy, locked, no memory, read-only, interrupted,
                // input or output, full, cannot open.
                matches!(
                    code.parse::<u32>().map(|code| code & 0xff),
                    Ok(5 | 6 | 7 | 8 | 9 | 10 | 13 | 14)
                )
            }
        }
        _ => false,
    }
}

/// Whether the connection was lost while a statement was under way, so that whether it was committed is open.
/// Not so if no connection was had in the first place.
pub(crate) fn lost_under_way(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause))) = error
    else {
        return false;
    };
    match &**cause {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
            true
        }
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            // The server was told to end the session; when it noticed, the commit may have been written.
            let ended = code.starts_with("08") || code == "57P01" || code == "57P02";
            ended && database.try_downcast_ref::<PgDatabaseError>().is_some()
        }
        _ => false,
    }
}

/// Whether the server gave the statement up because it took too long, waiting included.
pub(crate) fn timed_out(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause))) = error
    else {
        return false;
    };
    cause.as_database_error().is_some_and(|database| {
        let code = database.code().unwrap_or_default();
        code == "57014" && database.try_downcast_ref::<PgDatabaseError>().is_some()
    })
}

/// What a violated uniqueness constraint means.
#[derive(Clone, Copy)]
enum Violated {
    /// A rule that the caller may hear of.
    Rule(UniqueRule),
    /// A new aggregate under an id that is stored: what was read (nothing) is not what is there.
    Identity,
}

/// Each uniqueness constraint: its name, as PostgreSQL reports it; its columns, as SQLite does; its meaning.
/// Constraints that are not here are faults of ours.
const UNIQUE: [(&str, &str, Violated); 19] = [
    (
        "users_email_key",
        "users.email",
        Violated::Rule(UniqueRule::UserEmail),
    ),
    (
        "memberships_user_key",
        "memberships.tenant, memberships.user_id",
        Violated::Rule(UniqueRule::Membership),
    ),
    (
        "applications_uid_key",
        "applications.tenant, applications.uid",
        Violated::Rule(UniqueRule::ApplicationUid),
    ),
    (
        "endpoints_uid_key",
        "endpoints.tenant, endpoints.app, endpoints.uid",
        Violated::Rule(UniqueRule::EndpointUid),
    ),
    (
        "event_types_pkey",
        "event_types.tenant, event_types.name",
        Violated::Rule(UniqueRule::EventTypeName),
    ),
    (
        "invitations_email_key",
        "invitations.tenant, invitations.email",
        Violated::Rule(UniqueRule::Invitation),
    ),
    (
        "outbox_work_pending_delivery",
        "outbox_work.message, outbox_work.endpoint",
        Violated::Rule(UniqueRule::PendingDelivery),
    ),
    ("tenants_pkey", "tenants.id", Violated::Identity),
    ("users_pkey", "users.id", Violated::Identity),
    (
        "memberships_pkey",
        "memberships.tenant, memberships.id",
        Violated::Identity,
    ),
    (
        "invitations_pkey",
        "invitations.tenant, invitations.id",
        Violated::Identity,
    ),
    ("invitations_id_key", "invitations.id", Violated::Identity),
    (
        "sessions_pkey",
        "sessions.tenant, sessions.id",
        Violated::Identity,
    ),
    ("sessions_id_key", "sessions.id", Violated::Identity),
    (
        "api_keys_pkey",
        "api_keys.tenant, api_keys.id",
        Violated::Identity,
    ),
    ("api_keys_id_key", "api_keys.id", Violated::Identity),
    (
        "applications_pkey",
        "applications.tenant, applications.id",
        Violated::Identity,
    ),
    (
        "endpoints_pkey",
        "endpoints.tenant, endpoints.app, endpoints.id",
        Violated::Identity,
    ),
    ("outbox_work_pkey", "outbox_work.id", Violated::Identity),
];

fn violation(error: &sqlx::Error) -> Option<StoreError> {
    let database = error
        .as_database_error()
        .filter(|error| error.is_unique_violation())?;
    let reported = database.constraint().or_else(|| {
        // SQLite knows columns only: "UNIQUE constraint failed: table.column, table.column".
        database
            .message()
            .split_once("failed: ")
            .map(|(_, columns)| columns)
    })?;
    let known = UNIQUE
        .iter()
        .find(|(name, columns, _)| *name == reported || *columns == reported)?;
    Some(match known.2 {
        Violated::Rule(rule) => StoreError::Conflict(rule),
        Violated::Identity => StoreError::Stale,
    })
}
