//! Why: applications and endpoints that change and go.
//!
//! `endpoints`: which kind of secret it is (`secret_kind`; null is a symmetric one, as all were before, and as nodes of
//! before read it), the secrets of before that still sign (`sealed_old_secrets`), and headers of the tenant's own:
//! `headers` has all names, with the values that may be shown; `sealed_headers` the other values. What is sealed is
//! sealed with the installation's master key, each under a purpose of its own: a node of before that takes a key pair
//! for a symmetric secret does not open it, and sends nothing rather than something wrongly signed.
//!
//! `applications.deleted_at`: an application that is deleted leaves its row for a while, without uid and notes. Messages
//! of it may still be queued, and an engine that takes one must know that nobody wants it any more; what it does not
//! find at all, it rather takes for damaged, and keeps. The row keeps `endpoints_version` too, which its deletion has
//! raised, so that no engine believes what it remembers.
//!
//! A test of an endpoint is a message that is stored, with its one delivery, in the transaction of whoever asks for it:
//! on PostgreSQL a tenant may insert its own messages and payloads.
//!
//! All columns may be null: no table is rewritten, and nodes of the version before go on. Do not delete
//! applications while such nodes serve: they show a deleted one, by its id, as though it were there.
//!
//! On PostgreSQL the columns and the policies take a moment's lock of their tables, `messages` and `payloads` among
//! them. Whoever reads one of them for long (a dump) is waited for as long as the migrating connection waits for any
//! lock, and no longer, since everybody else waits behind it.

use sea_orm_migration::SchemaManager;

use crate::{
    ddl::is_postgres,
    grants::{Command::Insert, TENANTS, api, extend},
    roles::IDENTITY,
};

const COLUMNS: [&str; 6] = [
    "ALTER TABLE endpoints ADD COLUMN secret_kind @text",
    "ALTER TABLE endpoints ADD COLUMN sealed_old_secrets @bytes",
    "ALTER TABLE endpoints ADD COLUMN headers @json",
    "ALTER TABLE endpoints ADD COLUMN sealed_headers @bytes",
    "ALTER TABLE applications ADD COLUMN deleted_at @time",
    "CREATE INDEX applications_deleted ON applications (deleted_at) WHERE deleted_at IS NOT NULL",
];

crate::ddl::migration!(manager => statements(manager).iter().map(String::as_str).collect::<Vec<_>>());

fn statements(manager: &SchemaManager<'_>) -> Vec<String> {
    let mut statements: Vec<String> = COLUMNS.map(str::to_owned).into();
    if is_postgres(manager) {
        statements.push(format!("GRANT SELECT (deleted_at) ON applications TO {IDENTITY}"));
        for table in ["messages", "payloads"] {
            statements.extend(extend(table, &[api(&[Insert], TENANTS)]));
        }
    }
    statements
}
