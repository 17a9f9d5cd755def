use std::sync::Arc;

use postrider_application::ports::MasterKeyCheck;
use postrider_crypto::{AeadSealer, KeyRing, KeyRingError, MasterKey, OsRandomness};
use postrider_persistence::{Database, Dialect};
use secrecy::ExposeSecret as _;

use super::{super::start, report::Report};
use crate::configuration::Configuration;

/// Looks whether the keys fit the database.
pub(super) async fn examine(configuration: &Configuration, database: &Database, report: &mut Report) {
    let stored = match database.known_fact(MasterKeyCheck::NAME).await {
        Ok(stored) => stored,
        Err(error) => {
            report.failed("master key", start::causes(&error), "see the cause");
            return;
        }
    };
    let Some(sealer) = sealer(configuration, database.dialect(), stored.is_some(), report) else {
        return;
    };
    match stored {
        None => report.ok("master key", "is not in use yet: the first start begins with it"),
        Some(stored) if MasterKeyCheck::opens(&sealer, &stored) => {
            report.ok("master key", "fits the database");
        }
        Some(_) => {
            report.failed(
                "master key",
                "is not the one that this database's secrets are sealed with",
                "put the key that it was begun with into security.master_key, or into security.other_master_keys \
                 while it is replaced",
            );
            return;
        }
    }
    match KeyRing::examine(database, &sealer).await {
        Ok(0) => report.ok("signing keys", "there is none yet: the first start makes one"),
        Ok(keys) => report.ok("signing keys", format!("{keys} open, the newest signs")),
        Err(error) => report.failed(
            "signing keys",
            start::causes(&error),
            match error {
                KeyRingError::Sealed { .. } | KeyRingError::Malformed { .. } => start::ADVICE_ON_SIGNING_KEYS,
                _ => "see the cause",
            },
        ),
    }
}

/// The configured keys; with SQLite, the one in the data directory.
fn sealer(
    configuration: &Configuration,
    dialect: Dialect,
    in_use: bool,
    report: &mut Report,
) -> Option<AeadSealer> {
    let security = &configuration.security;
    let randomness = Arc::new(OsRandomness::new());
    let others: Vec<MasterKey> = security
        .other_master_keys
        .iter()
        .filter_map(|key| MasterKey::parse(key.expose_secret()).ok())
        .collect();
    let configured = security
        .master_key
        .as_ref()
        .and_then(|key| MasterKey::parse(key.expose_secret()).ok());
    let current = match configured {
        Some(key) => key,
        None if dialect == Dialect::Postgres => {
            report.failed("master key", "there is none", "set security.master_key");
            return None;
        }
        None => in_directory(configuration, in_use, report)?,
    };
    Some(AeadSealer::with_known(&current, &others, randomness))
}

/// Only reads: where there is no file, none is made.
fn in_directory(configuration: &Configuration, in_use: bool, report: &mut Report) -> Option<MasterKey> {
    let directory = &configuration.database.directory;
    if !directory.join(MasterKey::FILE_NAME).exists() {
        if in_use {
            report.failed(
                "master key",
                format!("{} is not in the data directory any more", MasterKey::FILE_NAME),
                "restore it from the backup: without it no stored secret can be read",
            );
        } else {
            report.ok("master key", "there is none yet: the first start makes one");
        }
        return None;
    }
    match MasterKey::load_or_create(directory, &OsRandomness::new()) {
        Ok(key) => Some(key),
        Err(error) => {
            report.failed(
                "master key",
                start::causes(&error),
                "let it be readable by its owner alone (chmod 600), or restore it from the backup",
            );
            None
        }
    }
}
