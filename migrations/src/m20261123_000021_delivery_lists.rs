//! Why: deliveries that came to no end, or to no good one, are looked for by tenant, by application and by endpoint:
//! to be shown, and to be sent again. They are few, and only they are in these indexes, so that a delivery that
//! succeeds at once costs nothing more (measured: docs/adr/0027).
//!
//! A message that was made for one endpoint (a test of it) says so in `only_endpoint`, so that it is not sent to others
//! when they are sent again what they lack. The column has no default: adding it rewrites nothing.
//!
//! On PostgreSQL the indexes are built beside the writers, partition by partition, outside of a transaction: each
//! statement may be repeated, as a migration that was interrupted is run again.

use sea_orm_migration::{
    DbErr, MigrationTrait, SchemaManager, async_trait,
    sea_orm::{ConnectionTrait as _, DeriveMigrationName, Statement},
};

use crate::ddl::{is_postgres, run};

/// The name of each, and what it begins with.
const INDEXES: [(&str, &str); 3] = [
    ("deliveries_undelivered_tenant", "tenant"),
    ("deliveries_undelivered_app", "app"),
    ("deliveries_undelivered_endpoint", "endpoint"),
];

const ONLY_ENDPOINT: &str = "only_endpoint @uuid";

/// See the head of the file.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

fn create(how: &str, name: &str, on: &str, column: &str) -> String {
    format!("CREATE INDEX {how} {name} ON {on} ({column}, message) WHERE status <> 'delivered'")
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        add_only_endpoint(manager).await?;
        for (name, column) in INDEXES {
            if is_postgres(manager) {
                on_postgres(manager, name, column).await?;
            } else {
                run(manager, &[&create("IF NOT EXISTS", name, "deliveries", column)]).await?;
            }
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(false)
    }
}

async fn add_only_endpoint(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    if is_postgres(manager) {
        let add = format!("ALTER TABLE messages ADD COLUMN IF NOT EXISTS {ONLY_ENDPOINT}");
        return run(manager, &["SET lock_timeout = '3s'", &add, "RESET lock_timeout"]).await;
    }
    if manager.has_column("messages", "only_endpoint").await? {
        return Ok(());
    }
    run(
        manager,
        &[&format!("ALTER TABLE messages ADD COLUMN {ONLY_ENDPOINT}")],
    )
    .await
}

/// Not used before every partition has its own; from then on new partitions get theirs when they are attached.
async fn on_postgres(manager: &SchemaManager<'_>, name: &str, column: &str) -> Result<(), DbErr> {
    let parent = create("IF NOT EXISTS", name, "ONLY deliveries", column);
    run(
        manager,
        &["SET lock_timeout = '3s'", &parent, "SET lock_timeout = 0"],
    )
    .await?;
    // Partitions that have none yet.
    let partitions = format!(
        "SELECT c.relname::text AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'deliveries'::regclass AND NOT EXISTS (
            SELECT FROM pg_index own JOIN pg_inherits o ON o.inhrelid = own.indexrelid
            WHERE own.indrelid = c.oid AND o.inhparent = '{name}'::regclass) ORDER BY 1"
    );
    let connection = manager.get_connection();
    let partitions = Statement::from_string(connection.get_database_backend(), partitions);
    for row in connection.query_all_raw(partitions).await? {
        let partition: String = row.try_get("", "name")?;
        let own = format!("{partition}_undelivered_{column}");
        for statement in [
            // What is left of one that was not finished.
            format!("DROP INDEX CONCURRENTLY IF EXISTS {own}"),
            create("CONCURRENTLY", &own, &partition, column),
            format!("ALTER INDEX {name} ATTACH PARTITION {own}"),
        ] {
            run(manager, &[&statement]).await?;
        }
    }
    run(manager, &["RESET lock_timeout"]).await
}
