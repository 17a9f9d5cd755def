//! The contract of the storage ports, on both databases.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod support;

use support::{PostgresHarness, SqliteHarness};

postrider_testkit::contract_cases!(contract_sqlite, SqliteHarness);
postrider_testkit::contract_cases!(contract_postgres, PostgresHarness);
