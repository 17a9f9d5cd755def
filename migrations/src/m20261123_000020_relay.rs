//! Why: the log of events has subscribers that are the whole installation's, not a node's: each has a cursor, which one
//! node at a time moves. `owner` is that node's epoch; leases are the nodes', so that nothing is renewed here.
//!
//! `dead_letters` are the events that a subscriber could not take, and those after them of the same aggregate, which
//! wait (`attempts` is 0 then). Only their positions are kept, never their bodies, which stay in the log. `again` says
//! that the operator wants a refused one tried once more.
//!
//! `nodes.seen_pos` is how far a node has seen the log: whoever must know that no node begins anything by what was true
//! before waits for it. Null is a node of a release before this one, which does not say and is not waited for. On
//! PostgreSQL the column takes a moment's lock of `nodes`.

use sea_orm_migration::SchemaManager;

use crate::{
    ddl::is_postgres,
    grants::{EVERYTHING, May, declare, engine},
};

const TABLES: [&str; 5] = [
    "CREATE TABLE relay_cursors (
        subscriber @text NOT NULL CONSTRAINT relay_cursors_pkey PRIMARY KEY,
        position @big NOT NULL,
        owner @big NOT NULL DEFAULT 0,
        moved_at @time NOT NULL
    ) @keyed",
    "CREATE TABLE dead_letters (
        subscriber @text NOT NULL,
        position @big NOT NULL,
        tenant @uuid,
        aggregate @text NOT NULL,
        kind @text NOT NULL,
        attempts @int NOT NULL,
        error @text,
        again @bool NOT NULL DEFAULT @false,
        set_aside_at @time NOT NULL,
        CONSTRAINT dead_letters_pkey PRIMARY KEY (subscriber, position)
    ) @keyed",
    "CREATE INDEX dead_letters_aggregate ON dead_letters (subscriber, aggregate, position)",
    "CREATE INDEX dead_letters_tenant ON dead_letters (tenant)",
    "ALTER TABLE nodes ADD COLUMN seen_pos @big",
];

/// Who may do what.
const GRANTS: [(&str, &[May]); 2] = [
    ("relay_cursors", &[engine(EVERYTHING)]),
    ("dead_letters", &[engine(EVERYTHING)]),
];

crate::ddl::migration!(manager => statements(manager).iter().map(String::as_str).collect::<Vec<_>>());

fn statements(manager: &SchemaManager<'_>) -> Vec<String> {
    let mut statements: Vec<String> = TABLES.iter().map(|&statement| statement.to_owned()).collect();
    if is_postgres(manager) {
        statements.extend(GRANTS.iter().flat_map(|(table, grants)| declare(table, grants)));
    }
    statements
}
