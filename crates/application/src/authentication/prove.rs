//! Proving a password, wherever one is asked for: throttled, and as slow for unknown people as for known ones.

use std::{net::IpAddr, sync::Arc};

use postrider_domain::{
    Aggregate as _,
    users::{Email, PasswordHash, User},
};
use secrecy::SecretString;

use crate::{
    Error, ErrorCode, Result,
    ports::{PasswordHasher, Throttle, Verified},
};

/// Compares passwords.
#[derive(Clone)]
pub(crate) struct PasswordProof {
    passwords: Arc<dyn PasswordHasher>,
    throttle: Arc<dyn Throttle>,
}

impl PasswordProof {
    pub(crate) fn new(passwords: Arc<dyn PasswordHasher>, throttle: Arc<dyn Throttle>) -> Self {
        Self { passwords, throttle }
    }

    /// Counts an attempt, before anything is looked up or worked for it.
    pub(crate) fn attempt(&self, email: &Email, address: Option<IpAddr>) -> Result<()> {
        self.throttle.attempt(email, address).map_err(|wait| {
            Error::new(ErrorCode::TooManyAttempts, "wait before the next attempt").retry_after(wait)
        })
    }

    /// The attempt was right by other proof than a password: it does not count.
    pub(crate) fn succeeded(&self, email: &Email, address: Option<IpAddr>) {
        self.throttle.succeeded(email, address);
    }

    /// The person, and the password's new hash if the stored one is outdated, after an [`Self::attempt`]. Unknown
    /// people and wrong passwords are answered alike, and take as long.
    ///
    /// The password may be changed while this works: whoever lets somebody in compares the stored hash once more,
    /// inside of the transaction ([`still_proved`]).
    pub(crate) async fn prove(
        &self,
        email: &Email,
        address: Option<IpAddr>,
        user: Option<User>,
        password: SecretString,
    ) -> Result<(User, Option<PasswordHash>)> {
        let hash = user.as_ref().map(|user| user.state().password.clone());
        let verified = self.passwords.verify(password.clone(), hash).await?;
        let Some(user) = user.filter(|_| verified != Verified::Wrong) else {
            return Err(wrong());
        };
        self.throttle.succeeded(email, address);
        let rehashed = match verified {
            // Nobody is turned away because the hashers are busy: the next login tries again.
            Verified::RightButOutdated => self.passwords.hash(password).await.ok(),
            Verified::Right | Verified::Wrong => None,
        };
        Ok((user, rehashed))
    }
}

/// The person as stored now, if the password that was proved is still theirs: `now` is read inside of the
/// transaction, which nobody who changes it can overtake from then on.
pub(crate) fn still_proved(proved: &User, now: Option<User>) -> Result<User> {
    now.filter(|now| now.state().password == proved.state().password)
        .ok_or_else(wrong)
}

fn wrong() -> Error {
    Error::new(
        ErrorCode::InvalidCredentials,
        "e-mail and password do not belong together",
    )
}
