//! Why: on PostgreSQL the database itself keeps tenants apart, whatever a statement forgets to say. Every table has
//! forced row-level security and belongs to `postrider_admin`; what each other role may do, and with which rows, is
//! [`TABLES`], and nothing else is allowed. The login has no rights of its own.
//!
//! The roles exist already: who may create them is not who runs migrations. SQLite has no roles: there every
//! statement of a tenant must name it, which the connection sees to.
//!
//! Identities draw from their sequences without a right of their own, and foreign keys are checked in the name of
//! the table's owner, so neither is granted here.

use sea_orm_migration::SchemaManager;

use crate::{
    ddl::is_postgres,
    grants::{
        ALL, APPEND,
        Command::{Delete, Insert, Select, Update},
        EVERYTHING, ITSELF, MEMBERS, May, TENANTS, TENANTS_AND_OWN, TENANTS_OR_OWN, THEIR_OWN, THEMSELVES,
        api, declare, engine, identity,
    },
    roles::MIGRATIONS_TABLE,
};

/// Who may do what. The owner, `postrider_admin`, may do everything everywhere.
const TABLES: [(&str, &[May]); 23] = [
    (
        "tenants",
        &[
            api(&[Select, Update], ITSELF),
            identity(&[Select], ALL),
            engine(&[Select]),
        ],
    ),
    // A tenant sees its members, and nobody's password.
    (
        "users",
        &[
            api(&[Select], MEMBERS).only("id, email, name, created_at, version"),
            identity(&[Select], ALL),
            identity(&[Insert, Update], THEMSELVES),
        ],
    ),
    (
        "password_resets",
        &[identity(&[Select], ALL), identity(&[Delete], THEIR_OWN)],
    ),
    (
        "memberships",
        &[
            api(EVERYTHING, TENANTS),
            identity(&[Select], ALL),
            identity(&[Insert], TENANTS_AND_OWN),
        ],
    ),
    (
        "invitations",
        &[
            api(EVERYTHING, TENANTS),
            identity(&[Select], ALL),
            identity(&[Delete], TENANTS),
        ],
    ),
    (
        "sessions",
        &[
            api(EVERYTHING, TENANTS),
            identity(&[Select], ALL),
            identity(&[Insert, Update], TENANTS_AND_OWN),
            identity(&[Delete], TENANTS_OR_OWN),
        ],
    ),
    // The engine notes when a key was last used.
    (
        "api_keys",
        &[
            api(EVERYTHING, TENANTS),
            identity(&[Select], ALL),
            engine(&[Select]).only("tenant, id, last_used_at"),
            engine(&[Update]).only("last_used_at"),
        ],
    ),
    (
        "applications",
        &[
            api(EVERYTHING, TENANTS),
            identity(&[Select], ALL).only("tenant, id, tokens_valid_after"),
            engine(&[Select]),
        ],
    ),
    ("event_types", &[api(EVERYTHING, TENANTS)]),
    ("endpoints", &[api(EVERYTHING, TENANTS), engine(&[Select])]),
    // History is written by the engine. A tenant reads it, and asks for a delivery once more.
    ("messages", &[api(&[Select], TENANTS), engine(EVERYTHING)]),
    ("payloads", &[api(&[Select], TENANTS), engine(EVERYTHING)]),
    (
        "deliveries",
        &[api(&[Select, Insert, Update], TENANTS), engine(EVERYTHING)],
    ),
    ("attempts", &[api(&[Select], TENANTS), engine(EVERYTHING)]),
    (
        "outbox_work",
        &[api(&[Select, Insert], TENANTS), engine(EVERYTHING)],
    ),
    ("dedup", &[engine(EVERYTHING)]),
    // An event of a person has no tenant, and leaving everywhere is told of in several.
    (
        "outbox_events",
        &[api(APPEND, TENANTS), identity(&[Insert], ALL), engine(APPEND)],
    ),
    (
        "audit_entries",
        &[api(APPEND, TENANTS), identity(&[Insert], ALL), engine(&[Insert])],
    ),
    ("erasures", &[]),
    ("nodes", &[engine(EVERYTHING)]),
    ("signing_keys", &[]),
    ("installation", &[]),
    (MIGRATIONS_TABLE, &[]),
];

crate::ddl::migration!(manager => statements(manager).iter().map(String::as_str).collect::<Vec<_>>());

fn statements(manager: &SchemaManager<'_>) -> Vec<String> {
    if !is_postgres(manager) {
        return Vec::new();
    }
    TABLES
        .iter()
        .flat_map(|(table, grants)| declare(table, grants))
        .collect()
}
