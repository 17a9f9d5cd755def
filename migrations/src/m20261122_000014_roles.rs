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
    roles::{ADMIN, API, ENGINE, IDENTITY, MIGRATIONS_TABLE},
};

/// What is done with rows.
#[derive(Clone, Copy)]
enum Command {
    Select,
    Insert,
    Update,
    Delete,
}
use Command::{Delete, Insert, Select, Update};

/// With which rows, as a condition. `current_setting` is empty, not null, on a connection that was used before.
#[derive(Clone, Copy)]
struct Rows(&'static str);

macro_rules! tenant_is {
    ($column:literal) => {
        concat!(
            $column,
            " = NULLIF(current_setting('app.tenant_id', true), '')::uuid"
        )
    };
}
/// All.
const ALL: Rows = Rows("true");
/// Those of the transaction's tenant.
const TENANTS: Rows = Rows(tenant_is!("tenant"));
/// The transaction's tenant itself.
const ITSELF: Rows = Rows(tenant_is!("id"));
/// People with a place in the transaction's tenant.
const MEMBERS: Rows = Rows(concat!(
    "id IN (SELECT user_id FROM memberships WHERE ",
    tenant_is!("tenant"),
    ")"
));
macro_rules! person_is {
    ($column:literal) => {
        concat!(
            $column,
            " = NULLIF(current_setting('app.user_id', true), '')::uuid"
        )
    };
}
/// The transaction's person.
const THEMSELVES: Rows = Rows(person_is!("id"));
/// What is the transaction's person's.
const THEIR_OWN: Rows = Rows(person_is!("user_id"));
/// The transaction's person's in its tenant.
const TENANTS_AND_OWN: Rows = Rows(concat!(tenant_is!("tenant"), " AND ", person_is!("user_id")));
/// Those of the transaction's tenant, or of its person.
const TENANTS_OR_OWN: Rows = Rows(concat!(tenant_is!("tenant"), " OR ", person_is!("user_id")));

/// What a role may do with which rows of a table, and with which columns if not with all.
struct May {
    role: &'static str,
    commands: &'static [Command],
    columns: &'static str,
    rows: Rows,
}

impl May {
    const fn only(self, columns: &'static str) -> Self {
        Self { columns, ..self }
    }
}

const fn may(role: &'static str, commands: &'static [Command], rows: Rows) -> May {
    May {
        role,
        commands,
        columns: "",
        rows,
    }
}
const fn api(commands: &'static [Command], rows: Rows) -> May {
    may(API, commands, rows)
}
const fn identity(commands: &'static [Command], rows: Rows) -> May {
    may(IDENTITY, commands, rows)
}
const fn engine(commands: &'static [Command]) -> May {
    may(ENGINE, commands, ALL)
}

const EVERYTHING: &[Command] = &[Select, Insert, Update, Delete];
/// A log is written and read, never changed.
const APPEND: &[Command] = &[Select, Insert];

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
    let table = |(table, grants): &(&str, &[May])| {
        let mut statements = vec![
            format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"),
            // For its owner as well.
            format!("ALTER TABLE {table} FORCE ROW LEVEL SECURITY"),
            format!("CREATE POLICY {ADMIN} ON {table} TO {ADMIN} USING (true) WITH CHECK (true)"),
        ];
        for may in *grants {
            statements.extend(
                may.commands
                    .iter()
                    .flat_map(|command| allow(table, may, *command)),
            );
        }
        statements
    };
    TABLES.iter().flat_map(table).collect()
}

/// The right to the command, and the policy that says to which rows.
fn allow(table: &str, may: &May, command: Command) -> [String; 2] {
    let (role, rows) = (may.role, may.rows.0);
    let (name, word) = match command {
        Select => ("select", "SELECT"),
        Insert => ("insert", "INSERT"),
        Update => ("update", "UPDATE"),
        Delete => ("delete", "DELETE"),
    };
    let condition = match command {
        Select | Delete => format!("USING ({rows})"),
        Insert => format!("WITH CHECK ({rows})"),
        Update => format!("USING ({rows}) WITH CHECK ({rows})"),
    };
    let columns = match may.columns {
        "" => String::new(),
        columns => format!(" ({columns})"),
    };
    [
        format!("GRANT {word}{columns} ON {table} TO {role}"),
        format!("CREATE POLICY {role}_{name} ON {table} FOR {word} TO {role} {condition}"),
    ]
}
