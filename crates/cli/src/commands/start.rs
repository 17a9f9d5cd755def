//! Starting: a database that is away is waited for, anything else that is wrong ends the start at once and says what to
//! do.

use std::{fmt, sync::Arc, time::Duration};

use postrider_api::{
    Health,
    composition::{OpenError, Platform, PlatformOptions, SystemClock},
};
use postrider_application::ports::{Clock as _, Randomness};
use postrider_crypto::{KeyRingError, MasterKeyCheckError, OsRandomness};
use postrider_persistence::{ConnectError, DatabaseOptions, reach};

use crate::{configuration::Configuration, options};

/// The first pause between two tries; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Why it did not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    /// Waiting would not help.
    #[error("cannot start{}", Advice(*advice))]
    Refused {
        /// What to do, where the error does not say it itself.
        advice: Option<&'static str>,
        /// What is wrong.
        #[source]
        source: OpenError,
    },
    /// The database did not come.
    #[error("gave up waiting for the database after {} s (database.wait_s) and {tries} tries", waited.as_secs())]
    GaveUp {
        /// For how long.
        waited: Duration,
        /// How often it was tried.
        tries: u32,
        /// What was wrong at the last try.
        #[source]
        source: OpenError,
    },
}

struct Advice(Option<&'static str>);

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |advice| write!(f, ": {advice}"))
    }
}

/// Opens the platform as soon as its database is there, for `database.wait_s` at the longest.
pub(super) async fn open(
    configuration: &Configuration,
    health: &Arc<Health>,
) -> Result<Platform, StartError> {
    let clock = SystemClock::new();
    let began = clock.monotonic();
    let longest = Duration::from_secs(configuration.database.wait_s);
    let mut pauses = Pauses::new(OsRandomness::new());
    let mut tries = 0;
    health.starting("opens its database");
    loop {
        tries += 1;
        let mut options = options::platform(configuration);
        options.health = Arc::clone(health);
        let source = match Box::pin(try_once(options, &clock)).await {
            Ok(platform) => return Ok(platform),
            Err(error) => error,
        };
        if !source.is_passing() {
            let advice = advice(&source);
            return Err(StartError::Refused { advice, source });
        }
        let waited = clock.monotonic().saturating_sub(began);
        let left = longest.saturating_sub(waited);
        if left.is_zero() {
            return Err(StartError::GaveUp {
                waited,
                tries,
                source,
            });
        }
        let pause = pauses.next().min(left);
        tell(configuration, tries, &source, pause, left);
        health.starting("waits for its database");
        tokio::time::sleep(pause).await;
    }
}

/// One line a try. Neither the target nor the causes hold a password.
fn tell(configuration: &Configuration, tries: u32, error: &OpenError, pause: Duration, left: Duration) {
    let database = match options::database(&configuration.database) {
        DatabaseOptions::Postgres(postgres) => postgres.target().unwrap_or_default(),
        DatabaseOptions::Sqlite(sqlite) => sqlite.directory.display().to_string(),
    };
    tracing::warn!(
        attempt = tries,
        database,
        error = causes(error),
        next_try_in_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
        gives_up_in_s = left.as_secs(),
        "the database is not there yet; waiting for it"
    );
}

/// PostgreSQL is tried by one connection first, because a pool tries again by itself and in the end says only that it
/// took too long.
async fn try_once(options: PlatformOptions, clock: &SystemClock) -> Result<Platform, OpenError> {
    if let DatabaseOptions::Postgres(postgres) = &options.database {
        reach(postgres, options.migrate, || clock.monotonic()).await?;
    }
    Platform::open(options).await
}

/// An error with all its causes, on one line.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        said.push_str(": ");
        said.push_str(&next.to_string());
        cause = next.source();
    }
    said
}

/// What to do where a stored signing key does not open.
pub(super) const ADVICE_ON_SIGNING_KEYS: &str = "see to it that security.other_master_keys names every key that may \
    have sealed it, or restore it from the backup; if it is lost, discard it with `postrider keys rotate \
    --discard-unreadable`: its tokens end with it";

/// What to do about what waiting does not mend, where the error does not say it itself.
pub(super) fn advice(error: &OpenError) -> Option<&'static str> {
    match error {
        OpenError::Connect(error) => advice_on_connecting(error),
        OpenError::MasterKeyCheck(MasterKeyCheckError::WrongMasterKey { .. }) => {
            Some("put the master key that this database was begun with into security.master_key")
        }
        OpenError::MasterKey(_) => {
            Some("see to the key file in the data directory, or restore it from the backup")
        }
        OpenError::KeyRing(KeyRingError::Sealed { .. } | KeyRingError::Malformed { .. }) => {
            Some(ADVICE_ON_SIGNING_KEYS)
        }
        _ => None,
    }
}

/// As [`advice`], of what went wrong with the database.
pub(super) fn advice_on_connecting(error: &ConnectError) -> Option<&'static str> {
    match error {
        error if error.is_refused_login() => Some(
            "the server refuses the login: check user, password and database name in database.url and \
             database.admin_url",
        ),
        ConnectError::Directory { .. } => {
            Some("give the account that runs Postrider a directory that it may write (database.directory)")
        }
        ConnectError::Locked { .. } => {
            Some("stop the other process, or name another directory (database.directory)")
        }
        ConnectError::Migrations(_) => Some(
            "if a newer version of Postrider has migrated this database, run that version, or restore the backup \
             from before; else see the cause",
        ),
        ConnectError::Database(_) if error.is_passing() => {
            Some("start the database, and check host and port in database.url, and what lies between")
        }
        ConnectError::Database(_) => Some("see the cause; it is the database's own word"),
        _ => None,
    }
}

/// Longer and longer, and never quite the same: nodes that lost their database together must not come back together.
struct Pauses<R> {
    next: Duration,
    randomness: R,
}

impl<R: Randomness> Pauses<R> {
    const fn new(randomness: R) -> Self {
        Self {
            next: FIRST_PAUSE,
            randomness,
        }
    }

    fn next(&mut self) -> Duration {
        let mut byte = [0; 1];
        self.randomness.fill(&mut byte);
        // From four fifths of it to the whole.
        let pause = self.next.mul_f64(0.8 + 0.2 * f64::from(byte[0]) / 255.0);
        self.next = (self.next * 2).min(LONGEST_PAUSE);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Full;

    impl Randomness for Full {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(255);
        }
    }

    #[test]
    fn pauses_double_up_to_a_limit() {
        let mut pauses = Pauses::new(Full);
        let taken: Vec<u128> = (0..8).map(|_| pauses.next().as_millis()).collect();
        assert_eq!(taken, [250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
    }

    #[test]
    fn what_cannot_be_mended_says_what_to_do() {
        let refused = StartError::Refused {
            advice: Some("do this"),
            source: OpenError::MasterKeyRequired,
        };
        assert_eq!(refused.to_string(), "cannot start: do this");
        assert!(causes(&refused).contains("security.master_key"));
        assert!(!OpenError::OldSchema(2).is_passing() && !OpenError::MasterKeyRequired.is_passing());
    }
}
