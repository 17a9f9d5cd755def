//! What uniqueness constraints mean, by name.

use postrider_application::ports::{StoreError, UniqueRule};

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

/// Which rule the statement broke, if it is a uniqueness that it broke.
pub(super) fn violation(error: &sqlx::Error) -> Option<StoreError> {
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
