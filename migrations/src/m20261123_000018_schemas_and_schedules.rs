//! Why: event types have JSON Schemas, and tenants say what becomes of payloads that break them; messages can be
//! scheduled, cancelled, listed, and their payloads expunged.
//!
//! Of each event type up to so many versions of its schema are kept, in a table of their own: they are large, and the
//! event type is read without them. `latest_schema` is the number of the newest, `archived_at` since when the event
//! type is not to be published.
//!
//! `deliver_at` is what the caller said; when a row of the queue is due says the queue. `cancelled_at` and
//! `payload_expunged_at` are what a person did to a message, and the only columns of it that ever change.
//!
//! `messages_app` is for lists of an application's messages (measured: docs/adr/0025). On PostgreSQL it is built beside
//! the writers, partition by partition, outside of a transaction: each statement may be repeated, as a migration that
//! was interrupted is run again. Columns are added without a default, or with a constant one, which rewrites nothing
//! (`tenants`, which is small, is read through for the checks); who is in the way for longer than seconds makes the
//! migration fail rather than queue everybody up behind it.

use sea_orm_migration::{
    DbErr, MigrationTrait, SchemaManager, async_trait,
    sea_orm::{ConnectionTrait as _, DeriveMigrationName, Statement},
};

use crate::{
    ddl::{is_postgres, run},
    grants::{
        Command::{Delete, Update},
        EVERYTHING, May, TENANTS, api, declare, extend,
    },
};

const COLUMNS: [(&str, &str); 7] = [
    (
        "tenants",
        "schema_validation @text NOT NULL DEFAULT 'off'
            CONSTRAINT tenants_schema_validation_check CHECK (schema_validation IN ('off', 'warn', 'enforce'))",
    ),
    (
        "tenants",
        "unregistered_event_types @text NOT NULL DEFAULT 'accept'
            CONSTRAINT tenants_unregistered_event_types_check CHECK (unregistered_event_types IN ('accept', 'reject'))",
    ),
    ("event_types", "archived_at @time"),
    ("event_types", "latest_schema @int NOT NULL DEFAULT 0"),
    ("messages", "deliver_at @time"),
    ("messages", "cancelled_at @time"),
    ("messages", "payload_expunged_at @time"),
];

const SCHEMAS: &str = "CREATE TABLE IF NOT EXISTS event_type_schemas (
        tenant @uuid NOT NULL CONSTRAINT event_type_schemas_tenant_fkey REFERENCES tenants (id),
        event_type @text NOT NULL,
        number @int NOT NULL,
        schema @text NOT NULL,
        example @text,
        created_at @time NOT NULL,
        CONSTRAINT event_type_schemas_pkey PRIMARY KEY (tenant, event_type, number)
    ) @rows";

const INDEX_ON_SQLITE: &str = "CREATE INDEX IF NOT EXISTS messages_app ON messages (app, id)";
/// Not used before every partition has its own; from then on new partitions get theirs when they are attached.
const INDEX_ON_POSTGRES: &str = "CREATE INDEX IF NOT EXISTS messages_app ON ONLY messages (app, id)";

/// A tenant cancels a message that no node has, and expunges payloads.
const GRANTS: [(&str, &[May]); 3] = [
    (
        "messages",
        &[api(&[Update], TENANTS).only("cancelled_at, payload_expunged_at")],
    ),
    ("payloads", &[api(&[Delete], TENANTS)]),
    ("outbox_work", &[api(&[Delete], TENANTS)]),
];

const GRANTED: &str = "SELECT 1 FROM pg_policies
    WHERE schemaname = current_schema() AND tablename = 'event_type_schemas'";

/// Partitions without the index, and what is left of one that was not finished.
const PARTITIONS: &str = "
SELECT c.relname::text AS name, (SELECT x.relname::text FROM pg_class x
        WHERE x.relnamespace = c.relnamespace AND x.relname = c.relname || '_app_idx') AS broken
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = (SELECT oid FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relname = 'messages')
    AND NOT EXISTS (SELECT FROM pg_index own JOIN pg_inherits o ON o.inhrelid = own.indexrelid
        WHERE own.indrelid = c.oid AND o.inhparent = (SELECT oid FROM pg_class
            WHERE relnamespace = current_schema()::regnamespace AND relname = 'messages_app'))
ORDER BY c.relname";

/// See the head of the file.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if is_postgres(manager) {
            return on_postgres(manager).await;
        }
        for (table, column) in COLUMNS {
            let name = column.split(' ').next().unwrap_or_default();
            if !manager.has_column(table, name).await? {
                run(manager, &[&format!("ALTER TABLE {table} ADD COLUMN {column}")]).await?;
            }
        }
        run(manager, &[SCHEMAS, INDEX_ON_SQLITE]).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(false)
    }
}

async fn on_postgres(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    let backend = connection.get_database_backend();
    run(manager, &["SET lock_timeout = '3s'"]).await?;
    for (table, column) in COLUMNS {
        let add = format!("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column}");
        run(manager, &[&add]).await?;
    }
    run(manager, &[SCHEMAS]).await?;
    let granted = Statement::from_string(backend, GRANTED);
    if connection.query_one_raw(granted).await?.is_none() {
        let mut statements = declare("event_type_schemas", &[api(EVERYTHING, TENANTS)]);
        statements.extend(GRANTS.iter().flat_map(|(table, grants)| extend(table, grants)));
        // As one: who is interrupted has none of them.
        run(manager, &[&statements.join("; ")]).await?;
    }
    run(manager, &[INDEX_ON_POSTGRES, "SET lock_timeout = 0"]).await?;
    let partitions = Statement::from_string(backend, PARTITIONS);
    for row in connection.query_all_raw(partitions).await? {
        let name: String = row.try_get("", "name")?;
        let broken: Option<String> = row.try_get("", "broken")?;
        let mut statements = Vec::new();
        if let Some(broken) = broken {
            statements.push(format!("DROP INDEX CONCURRENTLY IF EXISTS {broken}"));
        }
        statements.push(format!(
            "CREATE INDEX CONCURRENTLY {name}_app_idx ON {name} (app, id)"
        ));
        statements.push(format!(
            "ALTER INDEX messages_app ATTACH PARTITION {name}_app_idx"
        ));
        for statement in &statements {
            run(manager, &[statement]).await?;
        }
    }
    run(manager, &["RESET lock_timeout"]).await
}
