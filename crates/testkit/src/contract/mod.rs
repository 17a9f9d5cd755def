//! The contract of the storage ports, as cases that run on every adapter.
//!
//! An adapter offers a [`Harness`] whose rows can be counted from outside ([`Census`]), and writes one line in its
//! tests:
//!
//! ```text
//! postrider_testkit::contract_cases!(contract_sqlite, SqliteHarness);
//! ```
//!
//! That makes a module with one `#[tokio::test]` a case. The list of cases stands once, in [`crate::contract_cases!`],
//! so that all adapters run the same ones; the crate that calls it needs tokio with `macros` and
//! `rt-multi-thread`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a case fails by panicking, as every test does"
)]

mod door;
mod fixture;
mod harness;
mod list;
mod memory_harness;
mod paging;
mod people_steps;
mod queue_steps;

pub mod accepting;
pub mod adopting;
pub mod all_or_none;
pub mod answers;
pub mod audit;
pub mod audit_log;
pub mod backlog;
pub mod batches;
pub mod bells;
pub mod claimed_facts;
pub mod claiming;
pub mod deleting;
pub mod deliveries;
pub mod delivery_list;
pub mod erasing;
pub mod event_bodies;
pub mod event_types;
pub mod events;
pub mod exploding;
pub mod fencing;
pub mod figures;
pub mod health;
pub mod housekeeping;
pub mod identity;
pub mod installation;
pub mod isolation;
pub mod isolation_of_people;
pub mod large_batches;
pub mod late_commits;
pub mod lists;
pub mod material;
pub mod members;
pub mod message_list;
pub mod nodes;
pub mod operational;
pub mod operator;
pub mod parking;
pub mod partitions;
pub mod people;
pub mod proofs;
pub mod relaying;
pub mod replays;
pub mod resending;
pub mod resources;
pub mod retaining;
pub mod round_trips;
pub mod scheduling;
pub mod settling;
pub mod turns;
pub mod uniqueness;
pub mod units_of_work;

pub use fixture::{Customer, Fixture, Tenancy};
pub use harness::{Census, Harness, Ports};
pub use memory_harness::MemoryHarness;
