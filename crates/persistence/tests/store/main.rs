//! What the contract does not say, because it is of these two databases only: the data directory, secrets at rest,
//! migrations, lost connections, what errors show.

#[path = "../support/mod.rs"]
mod support;

mod connections;
mod data_directory;
mod lost_commits;
mod migrations;
mod schema;
mod secrets;
