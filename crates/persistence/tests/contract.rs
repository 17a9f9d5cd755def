//! The contract of the storage ports, on both databases.

mod support;

use support::{PostgresHarness, SqliteHarness};

postrider_testkit::contract_cases!(contract_sqlite, SqliteHarness);
postrider_testkit::contract_cases!(contract_postgres, PostgresHarness);
