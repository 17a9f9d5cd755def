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
/// An existing hash is verified with the costs that it was made with. With no hash, the same work is done against
/// random bytes that claim to be one, with the costs of the options: as long as those have not changed since, unknown
/// users take as long as wrong passwords.
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

    /// A hasher. Makes no hash: nothing takes the memory of one until somebody logs in.
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
        let decoy = decoy(argon2.params(), &randomness.bytes(), &randomness.bytes())
            .map_err(|error| costs(&error))?;
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

/// What looks like a hash with these costs. No password is known that has it: it was drawn, not made.
fn decoy(
    params: &Params,
    salt: &[u8; SALT_BYTES],
    output: &[u8; Params::DEFAULT_OUTPUT_LEN],
) -> password_hash::Result<PasswordHash> {
    let hash = phc::PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: phc::ParamsString::try_from(params)?,
        salt: Some(phc::Salt::new(salt)?),
        hash: Some(phc::Output::new(output)?),
    };
    Ok(PasswordHash::from_phc(hash.to_string()))
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
#[path = "passwords_tests.rs"]
mod tests;
