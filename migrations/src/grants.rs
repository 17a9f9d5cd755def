//! Who may do what with which rows of a table, on PostgreSQL: rights and row-level security in one declaration.
//!
//! Released migrations are made of what is here, and must say what they said when they were released: it may be added
//! to, not changed.

use crate::roles::{ADMIN, API, ENGINE, IDENTITY};

/// What is done with rows.
#[derive(Clone, Copy)]
pub(crate) enum Command {
    Select,
    Insert,
    Update,
    Delete,
}
use Command::{Delete, Insert, Select, Update};

/// With which rows, as a condition. `current_setting` is empty, not null, on a connection that was used before.
#[derive(Clone, Copy)]
pub(crate) struct Rows(&'static str);

macro_rules! tenant_is {
    ($column:literal) => {
        concat!(
            $column,
            " = NULLIF(current_setting('app.tenant_id', true), '')::uuid"
        )
    };
}
/// All.
pub(crate) const ALL: Rows = Rows("true");
/// Those of the transaction's tenant.
pub(crate) const TENANTS: Rows = Rows(tenant_is!("tenant"));
/// The transaction's tenant itself.
pub(crate) const ITSELF: Rows = Rows(tenant_is!("id"));
/// People with a place in the transaction's tenant.
pub(crate) const MEMBERS: Rows = Rows(concat!(
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
pub(crate) const THEMSELVES: Rows = Rows(person_is!("id"));
/// What is the transaction's person's.
pub(crate) const THEIR_OWN: Rows = Rows(person_is!("user_id"));
/// The transaction's person's in its tenant.
pub(crate) const TENANTS_AND_OWN: Rows = Rows(concat!(tenant_is!("tenant"), " AND ", person_is!("user_id")));
/// Those of the transaction's tenant, or of its person.
pub(crate) const TENANTS_OR_OWN: Rows = Rows(concat!(tenant_is!("tenant"), " OR ", person_is!("user_id")));

/// What a role may do with which rows of a table, and with which columns if not with all.
pub(crate) struct May {
    role: &'static str,
    commands: &'static [Command],
    columns: &'static str,
    rows: Rows,
}

impl May {
    pub(crate) const fn only(self, columns: &'static str) -> Self {
        Self { columns, ..self }
    }
}

pub(crate) const fn may(role: &'static str, commands: &'static [Command], rows: Rows) -> May {
    May {
        role,
        commands,
        columns: "",
        rows,
    }
}
pub(crate) const fn api(commands: &'static [Command], rows: Rows) -> May {
    may(API, commands, rows)
}
pub(crate) const fn identity(commands: &'static [Command], rows: Rows) -> May {
    may(IDENTITY, commands, rows)
}
pub(crate) const fn engine(commands: &'static [Command]) -> May {
    may(ENGINE, commands, ALL)
}

pub(crate) const EVERYTHING: &[Command] = &[Select, Insert, Update, Delete];
/// A log is written and read, never changed.
pub(crate) const APPEND: &[Command] = &[Select, Insert];

/// The table's row-level security, for its owner as well, and what each role may do. The owner, `postrider_admin`, may
/// do everything.
pub(crate) fn declare(table: &str, grants: &[May]) -> Vec<String> {
    let mut statements = vec![
        format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"),
        format!("ALTER TABLE {table} FORCE ROW LEVEL SECURITY"),
        format!("CREATE POLICY {ADMIN} ON {table} TO {ADMIN} USING (true) WITH CHECK (true)"),
    ];
    for may in grants {
        statements.extend(
            may.commands
                .iter()
                .flat_map(|command| allow(table, may, *command)),
        );
    }
    statements
}

/// What a role may do besides with a table that was declared before.
pub(crate) fn extend(table: &str, grants: &[May]) -> Vec<String> {
    let of = |may: &May| {
        let commands = may.commands.iter();
        commands
            .flat_map(|command| allow(table, may, *command))
            .collect::<Vec<_>>()
    };
    grants.iter().flat_map(of).collect()
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
