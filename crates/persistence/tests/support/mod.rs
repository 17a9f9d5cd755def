//! The two databases as the tests use them: an empty, migrated one for each case.

mod census;
pub(crate) mod postgres;
mod sqlite;

use std::sync::Arc;

use postrider_application::ports::Sealer;
use postrider_crypto::{AeadSealer, MasterKey, OsRandomness};
pub(crate) use {postgres::PostgresHarness, sqlite::SqliteHarness};

/// The installation's sealer; another number is another master key.
pub(crate) fn sealer(key: u8) -> Arc<dyn Sealer> {
    Arc::new(AeadSealer::new(
        &MasterKey::from_bytes([key; 32]),
        Arc::new(OsRandomness::new()),
    ))
}

/// Makes rows older: `$1` is in microseconds. The same on both databases.
const AGE: [&str; 9] = [
    "UPDATE idempotency_keys SET expires_at = expires_at - $1",
    "UPDATE outbox_work SET due_at = due_at - $1",
    "UPDATE messages SET deliver_at = deliver_at - $1 WHERE deliver_at IS NOT NULL",
    "UPDATE deliveries SET due_at = due_at - $1 WHERE due_at IS NOT NULL",
    "UPDATE nodes SET lease_until = lease_until - $1",
    "UPDATE dedup SET expires_at = expires_at - $1",
    "UPDATE relay_cursors SET moved_at = moved_at - $1",
    "UPDATE endpoint_failures SET since = since - $1, last_at = last_at - $1",
    "UPDATE outbox_events SET recorded_at = recorded_at - $1",
];
const POSTPONE: &str = "UPDATE outbox_work SET due_at = due_at + $1";
const ENDPOINTS_VERSION: &str = "SELECT endpoints_version FROM applications WHERE tenant = $1 AND id = $2";

fn micros(by: std::time::Duration) -> i64 {
    i64::try_from(by.as_micros()).unwrap()
}
