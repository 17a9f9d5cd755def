//! A stored signing key does not open: nothing is served, and the operator can discard it.

use std::path::Path;

use postrider_api::composition::{OpenError, Platform};
use postrider_application::{
    access::Caller,
    audit::Record,
    keys::RotateSigningKey,
    ports::{OldKeys, RetiredKeys, SigningKeyStore as _, StoredSigningKey},
};
use postrider_crypto::KeyRingError;
use postrider_domain::Timestamp;
use postrider_persistence::{Database, DatabaseOptions, SqliteOptions};

use crate::platform::{open, options};

const LOST: &str = "sealed with a master key that is gone";

/// As though another master key had sealed it, the newest of all.
async fn store_what_does_not_open(directory: &Path) {
    let database = DatabaseOptions::Sqlite(SqliteOptions::in_directory(directory));
    let database = Database::open(database).await.unwrap();
    let key = StoredSigningKey {
        kid: LOST.to_owned(),
        sealed_private_key: vec![7; 200],
        created_at: Timestamp::from_micros(4_000_000_000_000_000),
    };
    let retired = RetiredKeys {
        replaced_before: Timestamp::from_micros(0),
        named: Vec::new(),
    };
    database
        .add_signing_key(key, retired, Record::InHistory)
        .await
        .unwrap();
    database.close().await.unwrap();
}

#[actix_web::test]
async fn a_signing_key_that_does_not_open_is_discarded_on_demand() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).await.close().await.unwrap();
    store_what_does_not_open(directory.path()).await;
    let refused = Platform::open(options(directory.path())).await.map(drop);
    assert!(
        matches!(&refused, Err(OpenError::KeyRing(KeyRingError::Sealed { kid, .. })) if kid == LOST),
        "{refused:?}"
    );

    let platform = Platform::open_with_readable_keys(options(directory.path()))
        .await
        .unwrap();
    let request = RotateSigningKey {
        old: OldKeys::DiscardUnreadable,
    };
    let rotated = platform
        .app()
        .send(&Caller::operator("test"), request)
        .await
        .unwrap();
    assert_eq!(rotated.unreadable, [LOST]);
    assert!(rotated.removed.is_empty(), "the good one verifies on");
    platform.close().await.unwrap();
    open(directory.path()).await.close().await.unwrap();
}
