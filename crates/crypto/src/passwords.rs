use std::{fmt, sync::Arc, time::Duration};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{self, PasswordHasher as _, PasswordVerifier as _, phc},
};
use async_trait::async_trait;
use postrider_application::{
    Error, ErrorCode, Result,
    ports::{PasswordHasher, Randomness, Verified},
};
use postrider_domain::{InvalidValue, Rule, users::PasswordHash};
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

/// The bytes of a salt, as the PHC string format recommends.
const SALT_BYTES: usize = 16;

/// How dear a password is, and how many are worked on at a time. The defaults are OWASP's smallest recommendation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordOptions {
    /// Memory of one hash, in KiB; 19 MiB by default.
    pub memory_kib: u32,
    /// Passes over the memory; 2 by default.
    pub iterations: u32,
    /// Lanes; 1 by default.
    pub parallelism: u32,
    /// Hashes made at the same time, each keeping a core and its memory busy; 2 by default, so that logins cannot
    /// eat the machine.
    pub concurrency: usize,
    /// Hashes that wait for their turn, 64 by default. Beyond that callers are answered `unavailable` at once, and
    /// told to try again a second later: with the defaults, those who wait are done by then.
    pub max_waiting: usize,
}

impl Default for PasswordOptions {
    fn default() -> Self {
        Self {
            memory_kib: Params::DEFAULT_M_COST,
            iterations: Params::DEFAULT_T_COST,
            parallelism: Params::DEFAULT_P_COST,
            concurrency: 2,
            max_waiting: 64,
        }
    }
}

/// When to try again if there is no place in the queue.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why the options make no hasher.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidPasswordOptions {
    /// argon2 does not take these costs.
    #[error("the costs of password hashes are out of range: {0}")]
    Costs(String),
    /// With no hash at a time, nobody would ever log in; with too many, none could be counted.
    #[error("password_concurrency must be between 1 and {max}", max = Semaphore::MAX_PERMITS / 2)]
    Concurrency,
}

/// Hashes passwords with argon2id, off the async threads and a bounded number at a time.
///
/// An existing hash is verified with the costs that it was made with. With no hash, the same work is done against a
/// hash of nothing that anybody could type, made with the costs of the options: as long as those have not changed
/// since, unknown users take as long as wrong passwords.
pub struct Argon2Passwords {
    argon2: Argon2<'static>,
    decoy: PasswordHash,
    randomness: Arc<dyn Randomness>,
    /// Whoever works.
    turns: Arc<Semaphore>,
    /// Whoever works or waits.
    places: Arc<Semaphore>,
}

/// A place in the queue and a turn. They stay with the work, not with whoever asked for it: a caller that goes away
/// does not stop a hash, so the turn must last as long as the hash does.
struct Turn(#[expect(dead_code, reason = "held")] (OwnedSemaphorePermit, OwnedSemaphorePermit));

impl Argon2Passwords {
    /// The longest password, in bytes. Longer ones are refused, so that a megabyte of password costs nothing.
    pub const MAX_BYTES: usize = 1024;

    /// A hasher. Makes one hash, on the calling thread (some 20 ms with the default costs).
    pub fn new(
        options: PasswordOptions,
        randomness: Arc<dyn Randomness>,
    ) -> std::result::Result<Self, InvalidPasswordOptions> {
        if options.concurrency == 0
            || options.concurrency.saturating_add(options.max_waiting) > Semaphore::MAX_PERMITS / 2
        {
            return Err(InvalidPasswordOptions::Concurrency);
        }
        let costs = |error: &dyn fmt::Display| InvalidPasswordOptions::Costs(error.to_string());
        let params = Params::new(options.memory_kib, options.iterations, options.parallelism, None)
            .map_err(|error| costs(&error))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let decoy =
            hash(&argon2, &randomness.bytes::<32>(), &randomness.bytes()).map_err(|error| costs(&error))?;
        Ok(Self {
            argon2,
            decoy,
            randomness,
            turns: Arc::new(Semaphore::new(options.concurrency)),
            places: Arc::new(Semaphore::new(options.concurrency + options.max_waiting)),
        })
    }

    async fn turn(&self) -> Result<Turn> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|error| match error {
                TryAcquireError::NoPermits => Error::new(
                    ErrorCode::Unavailable,
                    "too many passwords are being checked; try again",
                )
                .retry_after(RETRY_AFTER),
                closed @ TryAcquireError::Closed => Error::internal(closed),
            })?;
        let turn = Arc::clone(&self.turns)
            .acquire_owned()
            .await
            .map_err(Error::internal)?;
        Ok(Turn((place, turn)))
    }

    /// Does `work` on a blocking thread when it is its turn.
    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Argon2<'static>) -> password_hash::Result<T> + Send + 'static,
    ) -> Result<T> {
        let turn = self.turn().await?;
        let argon2 = self.argon2.clone();
        tokio::task::spawn_blocking(move || {
            let done = work(&argon2);
            drop(turn);
            done
        })
        .await
        .map_err(Error::internal)?
        .map_err(Error::internal)
    }
}

#[async_trait]
impl PasswordHasher for Argon2Passwords {
    async fn hash(&self, password: SecretString) -> Result<PasswordHash> {
        if password.expose_secret().len() > Self::MAX_BYTES {
            let invalid = InvalidValue::new(
                Rule::TooLong,
                format!("must be at most {} bytes long", Self::MAX_BYTES),
            );
            return Err(Error::invalid_field("password", invalid));
        }
        let salt = self.randomness.bytes();
        self.off_thread(move |argon2| hash(argon2, password.expose_secret().as_bytes(), &salt))
            .await
    }

    async fn verify(&self, password: SecretString, hash: Option<PasswordHash>) -> Result<Verified> {
        if password.expose_secret().len() > Self::MAX_BYTES {
            // No such password was ever hashed. Known and unknown users are answered alike, without any work.
            return Ok(Verified::Wrong);
        }
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.decoy.clone());
        let verified = self
            .off_thread(move |argon2| verify(argon2, password.expose_secret().as_bytes(), &hash))
            .await?;
        Ok(if known { verified } else { Verified::Wrong })
    }
}

impl fmt::Debug for Argon2Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Argon2Passwords")
            .field("params", self.argon2.params())
            .finish_non_exhaustive()
    }
}

fn hash(
    argon2: &Argon2<'_>,
    password: &[u8],
    salt: &[u8; SALT_BYTES],
) -> password_hash::Result<PasswordHash> {
    let hash: phc::PasswordHash = argon2.hash_password_with_salt(password, salt)?;
    Ok(PasswordHash::from_phc(hash.to_string()))
}

fn verify(argon2: &Argon2<'_>, password: &[u8], hash: &PasswordHash) -> password_hash::Result<Verified> {
    let hash = phc::PasswordHash::new(hash.as_phc())?;
    let (Some(_), Some(output)) = (&hash.salt, &hash.hash) else {
        // To the library, half a hash is a wrong password; to us it is a broken row.
        return Err(password_hash::Error::EncodingInvalid);
    };
    match argon2.verify_password(password, &hash) {
        Ok(()) if is_current(argon2, &hash, output.len()) => Ok(Verified::Right),
        Ok(()) => Ok(Verified::RightButOutdated),
        Err(password_hash::Error::PasswordInvalid) => Ok(Verified::Wrong),
        Err(error) => Err(error),
    }
}

/// Whether a hash is such as would be made today. Not one with lower costs, which is too cheap to attack; nor one
/// with higher costs: the operator lowered them, and unknown users are to take as long as known ones.
fn is_current(argon2: &Argon2<'_>, hash: &phc::PasswordHash, output_len: usize) -> bool {
    let today = argon2.params();
    hash.algorithm == Algorithm::Argon2id.ident()
        && hash.version == Some(Version::V0x13.into())
        && output_len == today.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN)
        && Params::try_from(hash).is_ok_and(|made_with| {
            let costs = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
            costs(&made_with) == costs(today) && made_with.keyid().is_empty() && made_with.data().is_empty()
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OsRandomness, test_support::poll_once};

    const CHEAP: PasswordOptions = PasswordOptions {
        memory_kib: 64,
        iterations: 1,
        parallelism: 1,
        concurrency: 2,
        max_waiting: 8,
    };

    fn passwords(options: PasswordOptions) -> Argon2Passwords {
        Argon2Passwords::new(options, Arc::new(OsRandomness::new())).unwrap()
    }

    #[tokio::test]
    async fn the_right_password_fits_and_others_do_not() {
        let passwords = passwords(CHEAP);
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(
            hash.as_phc().starts_with("$argon2id$v=19$m=64,t=1,p=1$"),
            "{}",
            hash.as_phc()
        );
        let right = passwords.verify("correct horse".into(), Some(hash.clone())).await;
        assert_eq!(right.unwrap(), Verified::Right);
        for wrong in ["", "correct horse ", "Correct horse", "correct"] {
            let verified = passwords.verify(wrong.into(), Some(hash.clone())).await;
            assert_eq!(verified.unwrap(), Verified::Wrong, "{wrong}");
        }
        let again = passwords.hash("correct horse".into()).await.unwrap();
        assert!(again != hash, "each hash has a salt of its own");
    }

    #[tokio::test]
    async fn hashes_keep_working_when_the_costs_change_and_are_outdated_then() {
        let old = passwords(CHEAP).hash("secret".into()).await.unwrap();
        for changed in [
            PasswordOptions { memory_kib: 128, ..CHEAP },
            PasswordOptions { memory_kib: 32, ..CHEAP },
            PasswordOptions { iterations: 2, ..CHEAP },
            PasswordOptions { parallelism: 2, ..CHEAP },
        ] {
            let today = passwords(changed);
            let right = today.verify("secret".into(), Some(old.clone())).await.unwrap();
            assert_eq!(right, Verified::RightButOutdated, "{changed:?}");
            let wrong = today.verify("other".into(), Some(old.clone())).await.unwrap();
            assert_eq!(wrong, Verified::Wrong, "{changed:?}");
            let renewed = today.hash("secret".into()).await.unwrap();
            let right = today.verify("secret".into(), Some(renewed)).await.unwrap();
            assert_eq!(right, Verified::Right, "{changed:?}");
        }
        // How many are worked on at a time is no property of a hash.
        let busier = passwords(PasswordOptions { concurrency: 1, max_waiting: 1, ..CHEAP });
        let right = busier.verify("secret".into(), Some(old)).await.unwrap();
        assert_eq!(right, Verified::Right);
    }

    #[tokio::test]
    async fn a_hash_of_another_maker_is_understood_and_outdated() {
        // Of the tests of the reference implementation: password, somesalt, t=2, m=2^16, p=1.
        let foreign =
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let hash = || Some(PasswordHash::from_phc(foreign.to_owned()));
        let verify = |password: &str| {
            let passwords = passwords(CHEAP);
            let password = SecretString::from(password);
            async move { passwords.verify(password, hash()).await.unwrap() }
        };
        assert_eq!(verify("password").await, Verified::RightButOutdated);
        assert_eq!(verify("passwore").await, Verified::Wrong);
    }

    #[tokio::test]
    async fn another_variant_version_or_length_is_outdated_at_the_same_costs() {
        let params = |len| Params::new(64, 1, 1, Some(len)).unwrap();
        for (algorithm, version, len) in [
            (Algorithm::Argon2i, Version::V0x13, 32),
            (Algorithm::Argon2d, Version::V0x13, 32),
            (Algorithm::Argon2id, Version::V0x10, 32),
            (Algorithm::Argon2id, Version::V0x13, 16),
            (Algorithm::Argon2id, Version::V0x13, 64),
        ] {
            let maker = Argon2::new(algorithm, version, params(len));
            let made = hash(&maker, b"secret", &[3; SALT_BYTES]).unwrap();
            let verified = passwords(CHEAP).verify("secret".into(), Some(made)).await;
            assert_eq!(verified.unwrap(), Verified::RightButOutdated, "{algorithm} {version:?} {len}");
        }
        let maker = Argon2::new(Algorithm::Argon2id, Version::V0x13, params(32));
        let made = hash(&maker, b"secret", &[3; SALT_BYTES]).unwrap();
        let verified = passwords(CHEAP).verify("secret".into(), Some(made)).await;
        assert_eq!(verified.unwrap(), Verified::Right);
    }

    #[tokio::test]
    async fn nobody_has_the_decoys_password() {
        let mut passwords = passwords(CHEAP);
        let anything = passwords.verify("anything".into(), None).await.unwrap();
        assert_eq!(anything, Verified::Wrong);
        // The same work: the decoy has the costs of the options.
        assert!(
            passwords
                .decoy
                .as_phc()
                .starts_with("$argon2id$v=19$m=64,t=1,p=1$")
        );
        // Even whoever knew it would not get in.
        passwords.decoy = passwords.hash("known".into()).await.unwrap();
        let known = passwords.verify("known".into(), None).await.unwrap();
        assert_eq!(known, Verified::Wrong);
    }

    #[tokio::test]
    async fn long_passwords_are_refused_before_any_work() {
        let passwords = passwords(CHEAP);
        let longest: SecretString = "p".repeat(Argon2Passwords::MAX_BYTES).into();
        let too_long: SecretString = "p".repeat(Argon2Passwords::MAX_BYTES + 1).into();
        let hash = passwords.hash(longest.clone()).await.unwrap();
        let verified = passwords.verify(longest, Some(hash.clone())).await.unwrap();
        assert_eq!(verified, Verified::Right);
        // With every place taken, only what needs no place is answered.
        let _all = Arc::clone(&passwords.places).try_acquire_many_owned(10).unwrap();
        let error = passwords.hash(too_long.clone()).await.unwrap_err();
        assert_eq!(
            (error.code(), &*error.violations()[0].rule),
            (ErrorCode::ValidationFailed, "too_long")
        );
        for hash in [Some(hash), None] {
            let verified = passwords.verify(too_long.clone(), hash).await.unwrap();
            assert_eq!(verified, Verified::Wrong);
        }
    }

    #[tokio::test]
    async fn a_broken_hash_is_our_fault_not_a_wrong_password() {
        for broken in [
            "",
            "plain",
            "$argon2id$v=19$m=64",
            "$scrypt$ln=1,r=8,p=1$c29tZXNhbHQ$AAAA",
        ] {
            let verified = passwords(CHEAP)
                .verify("x".into(), Some(PasswordHash::from_phc(broken.into())))
                .await;
            assert_eq!(verified.unwrap_err().code(), ErrorCode::Internal, "{broken}");
        }
    }

    #[tokio::test]
    async fn only_so_many_work_and_only_so_many_wait() {
        let passwords = passwords(PasswordOptions {
            concurrency: 1,
            max_waiting: 1,
            ..CHEAP
        });
        let busy = passwords.turn().await.unwrap();
        let mut waiting = passwords.verify("a".into(), None);
        // Polled once, it has taken its place and waits for the turn.
        assert!(poll_once(&mut waiting).is_pending());
        let refused = passwords.verify("b".into(), None).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Unavailable);
        assert_eq!(refused.wait(), Some(RETRY_AFTER));
        drop(busy);
        assert_eq!(waiting.await.unwrap(), Verified::Wrong);
        assert!(passwords.verify("b".into(), None).await.is_ok());
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_does_not_free_the_turn_of_its_work() {
        let passwords = passwords(PasswordOptions {
            concurrency: 1,
            max_waiting: 1,
            ..CHEAP
        });
        let (started, has_started) = tokio::sync::oneshot::channel();
        let (finish, may_finish) = std::sync::mpsc::channel::<()>();
        let mut abandoned = Box::pin(passwords.off_thread(move |_| {
            let _ = started.send(());
            let _ = may_finish.recv();
            Ok(())
        }));
        assert!(poll_once(&mut abandoned).is_pending());
        has_started.await.unwrap();
        drop(abandoned);
        assert_eq!(passwords.turns.available_permits(), 0);
        finish.send(()).unwrap();
        assert!(passwords.verify("a".into(), None).await.is_ok());
    }

    #[test]
    fn senseless_options_are_refused() {
        let refuse = |options| Argon2Passwords::new(options, Arc::new(OsRandomness::new())).unwrap_err();
        assert_eq!(
            refuse(PasswordOptions {
                concurrency: 0,
                ..CHEAP
            }),
            InvalidPasswordOptions::Concurrency
        );
        assert_eq!(
            refuse(PasswordOptions {
                concurrency: usize::MAX,
                ..CHEAP
            }),
            InvalidPasswordOptions::Concurrency
        );
        for options in [
            PasswordOptions {
                memory_kib: 1,
                ..CHEAP
            },
            PasswordOptions {
                iterations: 0,
                ..CHEAP
            },
            PasswordOptions {
                parallelism: 0,
                ..CHEAP
            },
        ] {
            assert!(matches!(refuse(options), InvalidPasswordOptions::Costs(_)));
        }
    }
}
