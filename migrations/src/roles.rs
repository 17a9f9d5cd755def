//! The roles of PostgreSQL under which Postrider works. They belong to the whole server, not to one database, and
//! nobody can log in as one of them: a login changes into one, for a transaction or for a session.

/// What is done for one tenant: its rows and no other's.
pub const API: &str = "postrider_api";
/// What is done before a tenant is known, and a person's own affairs.
pub const IDENTITY: &str = "postrider_identity";
/// The engine's and the intake's: queue, history and nodes, across tenants.
pub const ENGINE: &str = "postrider_engine";
/// Owns the tables: migrations, chores, the operator.
pub const ADMIN: &str = "postrider_admin";

/// All of them.
pub const ALL: [&str; 4] = [API, IDENTITY, ENGINE, ADMIN];

/// The tables of the versions before there were roles, and the migrator's own: whoever made them hands them over to
/// [`ADMIN`]. Later ones are made under that role.
pub const HANDED_OVER: [&str; 19] = [
    "tenants",
    "users",
    "memberships",
    "sessions",
    "api_keys",
    "applications",
    "event_types",
    "endpoints",
    "messages",
    "payloads",
    "deliveries",
    "attempts",
    "outbox_work",
    "dedup",
    "outbox_events",
    "nodes",
    "signing_keys",
    "installation",
    MIGRATIONS_TABLE,
];

/// Where the migrator keeps what it has applied.
pub const MIGRATIONS_TABLE: &str = "seaql_migrations";
