//! What the contract does not say, because it is of these two databases only: the data directory, secrets at rest,
//! and in exports, another master key, the proof that a tenant is erased, migrations, partitions, who waits for whom,
//! refused batches, lost and silent connections, what errors show.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, in its helpers too"
)]

#[path = "../support/mod.rs"]
mod support;

mod appending;
mod audit_log;
mod connections;
mod data_directory;
mod endpoint_secrets;
mod erasing;
mod event_turns;
mod exporting;
mod holding;
mod leaving;
mod listing;
mod long_queue;
mod looking;
mod lost_commits;
mod migrations;
mod migrations_on_data;
mod outside;
mod partitions;
mod queue;
mod reached;
mod reencryption;
mod retention;
mod roles;
mod schema;
mod secrets;
mod silent;
mod slow_endpoints;
mod until;
mod wire;
mod writing;
