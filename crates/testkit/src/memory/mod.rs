//! In-memory adapters: real ones of the stateful ports, plain fakes of the rest.
//!
//! [`MemoryStore`] is held to the same contract cases as SQLite and PostgreSQL, so what a test learns from it is
//! true of them.
//!
//! This module is compiled twice: here, and into the application's own unit tests (see the decision record "In-memory
//! adapters live in the testkit"). Therefore it names the ports by the crate's name, its own parts by `super` and
//! `self` only, and uses no crate that the application lacks.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "in the application's tests the module is private, and each build uses another part of it"
)]

mod answers;
mod audit;
mod backlog;
mod bell;
mod census;
mod clock;
mod deeds;
mod delivery_list;
mod erasure;
mod event_types;
mod fakes;
mod figures;
mod health;
mod hot;
mod housekeeping;
mod identity;
mod ids;
mod installation;
mod intake;
mod log;
mod material;
mod nodes;
mod people;
mod principals;
mod queue;
mod randomness;
mod relay;
mod replays;
mod repositories;
mod retention;
mod settle;
mod state;
mod store;
mod tables;
mod views;

pub use clock::TestClock;
pub use fakes::{
    CountingSignal, NoBarrier, NoKeyUses, NoThrottle, NoTrace, PlainKeyPairs, PlainPasswords,
    RecordedDenials, RecordedMetrics, WordSchemas,
};
pub use ids::SequentialIds;
pub use intake::DirectIntake;
pub use randomness::SeededRandomness;
pub use store::{MemoryStore, MemoryTx};
