//! Making what webhooks are signed with.

use std::sync::Arc;

use postrider_domain::{
    InvalidValue, Rule,
    endpoints::{Ed25519Key, EndpointSecret, GivenSecret, SecretType, SigningSecret},
};

use crate::{
    Error, Ports, Result,
    ports::{KeyPairs, Randomness},
};

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewSecret {
    /// Whoever asks gives it.
    Given(GivenSecret),
    /// It is generated here.
    Generated(SecretType),
}

impl Default for NewSecret {
    fn default() -> Self {
        Self::Generated(SecretType::default())
    }
}

/// Makes secrets.
pub(super) struct SecretMaker {
    randomness: Arc<dyn Randomness>,
    key_pairs: Arc<dyn KeyPairs>,
}

impl SecretMaker {
    pub(super) fn new<S>(ports: &Ports<S>) -> Self {
        Self {
            randomness: ports.randomness.clone(),
            key_pairs: ports.key_pairs.clone(),
        }
    }

    pub(super) fn make(&self, new: NewSecret) -> Result<EndpointSecret> {
        match new {
            NewSecret::Given(GivenSecret::Hmac(secret)) => Ok(secret.into()),
            NewSecret::Generated(SecretType::Hmac) => {
                Ok(SigningSecret::generate(self.randomness.bytes()).into())
            }
            NewSecret::Generated(SecretType::Ed25519) => Ok(self.pair(self.randomness.bytes())?.into()),
            NewSecret::Given(GivenSecret::Ed25519 { seed, public }) => {
                let pair = self.pair(seed)?;
                // Taken as it is, it would make signatures that no receiver believes.
                if public.is_some_and(|public| public != *pair.public()) {
                    let invalid = InvalidValue::new(
                        Rule::Format,
                        "the second half of a private key must be its public key",
                    );
                    return Err(Error::invalid_field("secret", invalid));
                }
                Ok(pair.into())
            }
        }
    }

    fn pair(&self, seed: [u8; Ed25519Key::BYTES]) -> Result<Ed25519Key> {
        let public = self.key_pairs.ed25519_public_key(&seed)?;
        Ok(Ed25519Key::of_pair(seed, public))
    }
}
