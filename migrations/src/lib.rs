//! Postrider's database migrations, for SQLite and PostgreSQL.
//!
//! One concern a file, each with its reason on top. Migrations are written once, in SQL, with a word for each
//! type that the two databases spell differently (the private module `ddl`); what differs by nature is written twice.
//!
//! A migration that was released is never edited. A change is a new file: expand first, contract in a later
//! release, safe on a live table. Up to `m20261122_000015_message_path` they are for nodes that were stopped: logins
//! end (`m20261122_000013_identity`), the tables get another owner (`m20261122_000014_roles`), history is partitioned.

mod ddl;
mod grants;
mod m20261122_000001_tenants_and_people;
mod m20261122_000002_api_keys;
mod m20261122_000003_applications;
mod m20261122_000004_event_types;
mod m20261122_000005_endpoints;
mod m20261122_000006_messages;
mod m20261122_000007_deliveries;
mod m20261122_000008_outbox_work;
mod m20261122_000009_deduplication;
mod m20261122_000010_outbox_events;
mod m20261122_000011_nodes;
mod m20261122_000012_installation;
mod m20261122_000013_identity;
mod m20261122_000014_roles;
mod m20261122_000015_message_path;
mod m20261123_000016_idempotency_keys;
mod m20261123_000017_endpoint_resources;
mod m20261123_000018_schemas_and_schedules;
mod m20261123_000019_replays_and_figures;
mod m20261123_000020_relay;
mod m20261123_000021_delivery_lists;
mod m20261123_000022_discarded_letters;
mod m20261123_000023_replays_outstanding;
mod m20261123_000024_asked_in;
pub mod partitions;
pub mod roles;

use sea_orm_migration::prelude::*;

/// All migrations, in order.
#[derive(Debug, Clone, Copy)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261122_000001_tenants_and_people::Migration),
            Box::new(m20261122_000002_api_keys::Migration),
            Box::new(m20261122_000003_applications::Migration),
            Box::new(m20261122_000004_event_types::Migration),
            Box::new(m20261122_000005_endpoints::Migration),
            Box::new(m20261122_000006_messages::Migration),
            Box::new(m20261122_000007_deliveries::Migration),
            Box::new(m20261122_000008_outbox_work::Migration),
            Box::new(m20261122_000009_deduplication::Migration),
            Box::new(m20261122_000010_outbox_events::Migration),
            Box::new(m20261122_000011_nodes::Migration),
            Box::new(m20261122_000012_installation::Migration),
            Box::new(m20261122_000013_identity::Migration),
            Box::new(m20261122_000014_roles::Migration),
            Box::new(m20261122_000015_message_path::Migration),
            Box::new(m20261123_000016_idempotency_keys::Migration),
            Box::new(m20261123_000017_endpoint_resources::Migration),
            Box::new(m20261123_000018_schemas_and_schedules::Migration),
            Box::new(m20261123_000019_replays_and_figures::Migration),
            Box::new(m20261123_000020_relay::Migration),
            Box::new(m20261123_000021_delivery_lists::Migration),
            Box::new(m20261123_000022_discarded_letters::Migration),
            Box::new(m20261123_000023_replays_outstanding::Migration),
            Box::new(m20261123_000024_asked_in::Migration),
        ]
    }
}
