use std::{fmt, time::Duration};

use aws_lc_rs::{
    hmac::{self, HMAC_SHA256},
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use postrider_application::{
    Error as ApplicationError,
    ports::{KeyPairs, WebhookSigner},
};
use postrider_domain::{
    Timestamp,
    deliveries::SignedContent,
    endpoints::{Ed25519Key, EndpointSecret, HeldSecret, SigningSecret},
};
use thiserror::Error;

/// The version of symmetric signatures in Standard Webhooks.
const VERSION: &str = "v1";
/// The version of asymmetric ones.
const ASYMMETRIC_VERSION: &str = "v1a";
/// `v1,` and the 44 characters that 32 bytes are in base64.
const SIGNATURE_CHARS: usize = VERSION.len() + 1 + 44;

fn mac<const N: usize>(key: &hmac::Key, parts: [&[u8]; N]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(part);
    }
    context.sign()
}

/// Signs webhooks as Standard Webhooks has it: with HMAC-SHA256 (`v1`), or with Ed25519 (`v1a`).
#[derive(Debug, Clone, Copy, Default)]
pub struct StandardSigner;

impl WebhookSigner for StandardSigner {
    fn sign(&self, secrets: &[HeldSecret], content: &SignedContent<'_>) -> Option<String> {
        if secrets.is_empty() {
            return None;
        }
        let mut value = String::with_capacity(secrets.len() * (SIGNATURE_CHARS + 1));
        for held in secrets {
            if !held.signs_at(content.at) {
                continue;
            }
            if !value.is_empty() {
                value.push(' ');
            }
            match &held.secret {
                EndpointSecret::Hmac(secret) => {
                    let key = hmac::Key::new(HMAC_SHA256, secret.as_bytes());
                    value.push_str(VERSION);
                    value.push(',');
                    STANDARD.encode_string(mac(&key, content.parts()), &mut value);
                }
                EndpointSecret::Ed25519(key) => {
                    // It refuses a public half that is another's: what was signed so would tell the private one.
                    let pair = Ed25519KeyPair::from_seed_and_public_key(key.seed(), key.public()).ok()?;
                    value.push_str(ASYMMETRIC_VERSION);
                    value.push(',');
                    STANDARD.encode_string(pair.sign(&content.parts().concat()), &mut value);
                }
            }
        }
        (!value.is_empty()).then_some(value)
    }
}

impl KeyPairs for StandardSigner {
    fn ed25519_public_key(
        &self,
        seed: &[u8; Ed25519Key::BYTES],
    ) -> Result<[u8; Ed25519Key::BYTES], ApplicationError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed)
            .map_err(|_| ApplicationError::internal("a seed makes no key pair"))?;
        <[u8; Ed25519Key::BYTES]>::try_from(pair.public_key().as_ref()).map_err(ApplicationError::internal)
    }
}

/// What a receiver was sent: three header values and the body's exact bytes.
#[derive(Debug, Clone, Copy)]
pub struct ReceivedWebhook<'a> {
    /// The value of `webhook-id`.
    pub id: &'a str,
    /// The value of `webhook-timestamp`.
    pub timestamp: &'a str,
    /// The value of `webhook-signature`: one or more signatures, separated by spaces.
    pub signatures: &'a str,
    /// The body, as it came.
    pub body: &'a [u8],
}

/// Why a webhook must not be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// The timestamp is not a number of seconds.
    #[error("webhook-timestamp is not a number of seconds since 1970")]
    MalformedTimestamp,
    /// It was sent too long ago; perhaps it is replayed.
    #[error("the webhook is too old")]
    TooOld,
    /// It claims to be sent in the future.
    #[error("the webhook's timestamp is in the future")]
    TooNew,
    /// There is no signature of a version that is understood.
    #[error("webhook-signature holds no v1 signature")]
    NoSignature,
    /// None of the signatures fits.
    #[error("no signature fits")]
    WrongSignature,
}

/// The receiver's side: tells whether a webhook came from whoever holds the secret.
pub struct WebhookVerifier {
    key: hmac::Key,
}

impl WebhookVerifier {
    /// The tolerance that the Standard Webhooks libraries use.
    pub const DEFAULT_TOLERANCE: Duration = Duration::from_mins(5);

    /// Verifies with `secret`.
    pub fn new(secret: &SigningSecret) -> Self {
        Self {
            key: hmac::Key::new(HMAC_SHA256, secret.as_bytes()),
        }
    }

    /// Whether the webhook is genuine and was sent no longer than `tolerance` before or after `now` (whole
    /// seconds). Signatures are compared in constant time.
    pub fn verify(
        &self,
        received: &ReceivedWebhook<'_>,
        now: Timestamp,
        tolerance: Duration,
    ) -> Result<(), VerifyError> {
        let sent = parse_seconds(received.timestamp).ok_or(VerifyError::MalformedTimestamp)?;
        let tolerance = i64::try_from(tolerance.as_secs()).unwrap_or(i64::MAX);
        let age = now.as_unix_seconds().saturating_sub(sent);
        if age > tolerance {
            return Err(VerifyError::TooOld);
        }
        if age < tolerance.saturating_neg() {
            return Err(VerifyError::TooNew);
        }
        self.verify_signatures(received)
    }

    fn verify_signatures(&self, received: &ReceivedWebhook<'_>) -> Result<(), VerifyError> {
        let expected = mac(
            &self.key,
            [
                received.id.as_bytes(),
                b".",
                received.timestamp.as_bytes(),
                b".",
                received.body,
            ],
        );
        let mut verdict = VerifyError::NoSignature;
        for signature in received.signatures.split(' ') {
            let Some((VERSION, encoded)) = signature.split_once(',') else {
                continue;
            };
            let fits = STANDARD.decode(encoded).is_ok_and(|given| {
                aws_lc_rs::constant_time::verify_slices_are_equal(&given, expected.as_ref()).is_ok()
            });
            if fits {
                return Ok(());
            }
            verdict = VerifyError::WrongSignature;
        }
        Err(verdict)
    }
}

impl fmt::Debug for WebhookVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookVerifier(…)")
    }
}

/// Decimal digits only: no sign, no space, no other way to write the same number.
fn parse_seconds(text: &str) -> Option<i64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
#[path = "webhooks_tests.rs"]
mod tests;
