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

    /// The person, and the password's new hash if the stored one is outdated. Unknown people and wrong passwords
    /// are answered alike, and take as long.
    pub(crate) async fn prove(
        &self,
        email: &Email,
        address: Option<IpAddr>,
        user: Option<User>,
        password: SecretString,
    ) -> Result<(User, Option<PasswordHash>)> {
        self.throttle.attempt(email, address).map_err(|wait| {
            Error::new(ErrorCode::TooManyAttempts, "wait before the next attempt").retry_after(wait)
        })?;
        let hash = user.as_ref().map(|user| user.state().password.clone());
        let verified = self.passwords.verify(password.clone(), hash).await?;
        let Some(user) = user.filter(|_| verified != Verified::Wrong) else {
            return Err(Error::new(
                ErrorCode::InvalidCredentials,
                "e-mail and password do not belong together",
            ));
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
