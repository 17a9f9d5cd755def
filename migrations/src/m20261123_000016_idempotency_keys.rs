//! Why: a command with an idempotency key is done once. What it was answered is stored in the transaction of its change,
//! so that whoever repeats it is answered the same.
//!
//! `key_hash` is of who calls and of their key, `asked_hash` of what they asked. The operator is no tenant: theirs are
//! under the nil id, which no tenant has and which no tenant's transaction reaches. An expired row is overwritten in
//! place; the others go in small batches.
//!
//! Safe on a live system: a table of its own, which nodes of before do not know.

use crate::{
    ddl::is_postgres,
    grants::{
        Command::{Insert, Select, Update},
        TENANTS, api, declare,
    },
};

const TABLE: [&str; 2] = [
    "CREATE TABLE idempotency_keys (
        tenant @uuid NOT NULL,
        key_hash @bytes NOT NULL,
        asked_hash @bytes NOT NULL,
        answer @bytes NOT NULL CONSTRAINT idempotency_keys_answer_check CHECK (length(answer) <= 1048576),
        created_at @time NOT NULL,
        expires_at @time NOT NULL,
        CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant, key_hash)
    ) @keyed",
    "CREATE INDEX idempotency_keys_expires_at ON idempotency_keys (expires_at)",
];

fn statements(postgres: bool) -> Vec<String> {
    let mut statements: Vec<String> = TABLE.iter().map(ToString::to_string).collect();
    if postgres {
        let grants = [api(&[Select, Insert, Update], TENANTS)];
        statements.extend(declare("idempotency_keys", &grants));
    }
    statements
}

/// See the head of the file.
#[derive(sea_orm_migration::prelude::DeriveMigrationName)]
pub(crate) struct Migration;

#[sea_orm_migration::async_trait::async_trait]
impl sea_orm_migration::MigrationTrait for Migration {
    async fn up(&self, manager: &sea_orm_migration::SchemaManager) -> Result<(), sea_orm_migration::DbErr> {
        let statements = statements(is_postgres(manager));
        let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
        crate::ddl::run(manager, &statements).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
