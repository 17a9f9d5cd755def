//! What has to hold before anything is composed: a database of this release's tables, and keys that fit it.

use std::sync::Arc;

use postrider_application::ports::{Clock, Ids, Randomness, Sealer};
use postrider_crypto::{AeadSealer, AskedKeys, CursorKeys, MasterKey, OsRandomness, verify_master_key};
use postrider_persistence::{Database, DatabaseOptions, Schema};

use super::{
    OpenError, PlatformOptions,
    system::{SystemClock, UuidV7Ids},
};

/// The system ports, real ones.
pub(super) struct System {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn Ids>,
    pub(super) randomness: Arc<dyn Randomness>,
}

impl System {
    pub(super) fn new() -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            ids: Arc::new(UuidV7Ids::new()),
            randomness: Arc::new(OsRandomness::new()),
        }
    }
}

/// The tables come first, by the account that may change them; then the login that serves is checked.
pub(super) async fn open_database(options: DatabaseOptions, migrate: bool) -> Result<Database, OpenError> {
    let schema = Schema::open(options).await?;
    if migrate {
        schema.migrate().await?;
    } else {
        let pending = schema.pending().await?.len();
        if pending > 0 {
            return Err(OpenError::OldSchema(pending));
        }
    }
    Ok(schema.into_database().await?)
}

/// What seals and opens stored secrets, and what vouches for cursors and knows repeated requests again; a key that does not fit the database is refused.
pub(super) async fn open_sealer(
    options: &PlatformOptions,
    database: &Database,
    system: &System,
) -> Result<(Arc<dyn Sealer>, CursorKeys, AskedKeys), OpenError> {
    let made;
    let current = match (&options.master_key, &options.database) {
        (Some(key), _) => key,
        (None, DatabaseOptions::Sqlite(sqlite)) => {
            made = MasterKey::load_or_create(&sqlite.directory, &*system.randomness)?;
            &made
        }
        (None, DatabaseOptions::Postgres(_)) => return Err(OpenError::MasterKeyRequired),
    };
    let sealer = AeadSealer::with_known(current, &options.other_master_keys, system.randomness.clone());
    verify_master_key(database, &sealer).await?;
    let cursors = CursorKeys::new(current, &options.other_master_keys);
    let asked = AskedKeys::new(current, &options.other_master_keys);
    Ok((Arc::new(sealer), cursors, asked))
}
