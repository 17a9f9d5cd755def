//! What database errors mean to the application.

use std::fmt;

use postrider_application::ports::{StoreError, UniqueRule, WriteError};
use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};
use sqlx::postgres::{PgDatabaseError, PgSeverity};
use thiserror::Error;

use crate::connection::FailureKind;

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
    /// Held by whoever makes partitions.
    pub(crate) const PARTITIONS: i64 = 0x706f_7374_0005;
    /// Held by whoever takes a step of a replay.
    pub(crate) const REPLAYS: i64 = 0x706f_7374_0019;
    /// Held by whoever adds to the figures of endpoints.
    pub(crate) const FIGURES: i64 = 0x706f_7374_001a;
    /// Held by whoever removes history that is old enough.
    pub(crate) const RETENTION: i64 = 0x706f_7374_001b;
}

/// An error of the database, reduced to what may be shown in a trace: the server's detail, which quotes values of
/// rows, is left out.
#[derive(Debug)]
pub(crate) struct Fault {
    message: String,
    code: Option<String>,
    constraint: Option<String>,
    /// Whether the same may succeed later.
    passing: bool,
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
                passing: is_passing(error),
            },
            None => Self {
                passing: is_passing(error),
                ..Self::saying(error)
            },
        }
    }
}

impl Fault {
    /// No answer came in time; later one may.
    pub(crate) fn late(what: impl fmt::Display) -> Self {
        Self {
            passing: true,
            ..Self::saying(what)
        }
    }

    /// Whether the same may succeed later.
    pub(crate) fn is_passing(&self) -> bool {
        self.passing
    }

    /// The SQLSTATE, if the server said one.
    pub(crate) fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    fn saying(what: impl fmt::Display) -> Self {
        Self {
            message: what.to_string(),
            code: None,
            constraint: None,
            passing: false,
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

/// Whether the server gave the statement up because it took too long, waiting included.
pub(crate) fn timed_out(error: &DbErr) -> bool {
    let postgres = cause(error).and_then(of_postgres);
    postgres.is_some_and(|(_, code)| code == "57014")
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
