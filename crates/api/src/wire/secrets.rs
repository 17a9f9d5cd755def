//! What webhooks are signed with, as it is given and shown.

use postrider_application::{
    Error, Violation,
    endpoints::{NewSecret, RotateEndpointSecret},
};
use postrider_domain::endpoints::{EndpointSecret, GivenSecret, HeldSecret, Overlap, SecretType};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::{Body, Checked, Checks, Whole, path::EndpointPath, time};

/// Where a secret comes from: given, or generated as that type. One of them, not both.
pub(crate) fn new_secret(
    checks: &mut Checks,
    secret: Option<&str>,
    secret_type: Option<&str>,
) -> Checked<Option<NewSecret>> {
    if secret.is_some() && secret_type.is_some() {
        checks.push(Violation {
            field: "secret_type".into(),
            rule: "exclusive".into(),
            message: "must not be given together with secret, which tells it".to_owned(),
        });
    }
    let given = checks.optional("secret", secret, GivenSecret::parse)?;
    let kind = checks.optional("secret_type", secret_type, SecretType::parse)?;
    Some(given.map(NewSecret::Given).or(kind.map(NewSecret::Generated)))
}

/// Which secret signs from now on.
// No `Debug`: it may hold a secret.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"overlap_seconds": 86400})))]
pub(crate) struct SecretRotation {
    /// `whsec_` and the base64 of 24 to 64 bytes, or `whsk_` and the base64 of an Ed25519 seed (32 bytes) or of the
    /// seed and its public key (64 bytes); generated, if absent.
    #[schema(format = "password", max_length = 134)]
    secret: Option<String>,
    /// What is generated: `hmac` (the default) or `ed25519`. Not together with `secret`.
    secret_type: Option<String>,
    /// For how many seconds the secrets of before sign as well; a day, if absent. 0 ends all of them at once.
    #[schema(value_type = Option<u64>, minimum = 0, maximum = 604_800, default = 86_400)]
    overlap_seconds: Option<Whole>,
}

impl Body for SecretRotation {}

impl SecretRotation {
    /// The command.
    pub(crate) fn into_command(self, path: &EndpointPath) -> Result<RotateEndpointSecret, Error> {
        let mut checks = Checks::of(&self);
        let (application, endpoint) = path.parts(&mut checks);
        let secret = new_secret(&mut checks, self.secret.as_deref(), self.secret_type.as_deref());
        let overlap = checks.optional("overlap_seconds", self.overlap_seconds, |Whole(seconds)| {
            Overlap::from_seconds(seconds)
        });
        let (application, endpoint, secret, overlap) =
            checks.all((application, endpoint, secret, overlap))?;
        Ok(RotateEndpointSecret {
            application,
            endpoint,
            secret: secret.unwrap_or_default(),
            overlap: overlap.unwrap_or_default(),
        })
    }
}

/// What a receiver verifies with.
#[derive(Serialize, ToSchema)]
pub(crate) struct VerifyingKey {
    /// `hmac` or `ed25519`.
    #[serde(rename = "type")]
    #[schema(examples("hmac"))]
    kind: &'static str,
    /// `whsec_` and base64, as the Standard Webhooks libraries take it; null for `ed25519`, whose private key is never
    /// shown.
    #[schema(required, examples("whsec_<base64>"))]
    secret: Option<String>,
    /// `whpk_` and the base64 of the public key; null for `hmac`.
    #[schema(required, examples("whpk_<base64>"))]
    public_key: Option<String>,
}

impl From<&EndpointSecret> for VerifyingKey {
    fn from(secret: &EndpointSecret) -> Self {
        let (hmac, public_key) = match secret {
            EndpointSecret::Hmac(secret) => (Some(secret.reveal()), None),
            EndpointSecret::Ed25519(key) => (None, Some(key.public_text())),
        };
        Self {
            kind: secret.kind().as_str(),
            secret: hmac,
            public_key,
        }
    }
}

/// A secret of before that still signs.
#[derive(Serialize, ToSchema)]
pub(crate) struct OldSecret {
    #[serde(flatten)]
    key: VerifyingKey,
    /// From when on it does not sign any more.
    #[schema(format = "date-time", examples("2026-11-23T18:00:00.000000Z"))]
    expires_at: String,
}

/// That a secret of before still signs; the secret itself is read apart.
#[derive(Serialize, ToSchema)]
pub(crate) struct StillSigning {
    /// `hmac` or `ed25519`.
    #[serde(rename = "type")]
    #[schema(examples("hmac"))]
    kind: &'static str,
    /// From when on it does not sign any more.
    #[schema(format = "date-time", examples("2026-11-23T18:00:00.000000Z"))]
    expires_at: String,
}

/// What signs from now on. Only the new secret is shown: the answer may be kept for a repeated request, without it.
#[derive(Serialize, ToSchema)]
pub(crate) struct RotatedSecret {
    /// `hmac` or `ed25519`.
    #[serde(rename = "type")]
    #[schema(examples("hmac"))]
    kind: &'static str,
    /// `whsec_` and base64, as the Standard Webhooks libraries take it; null for `ed25519`, whose private key is never
    /// shown.
    #[schema(required, examples("whsec_<base64>"))]
    secret: Option<String>,
    /// `whpk_` and the base64 of the public key; null for `hmac`.
    #[schema(required, examples("whpk_<base64>"))]
    public_key: Option<String>,
    /// Those of before that sign as well, newest first.
    previous: Vec<StillSigning>,
}

impl RotatedSecret {
    /// The wire form of the secrets that sign, newest first: at least one.
    pub(crate) fn of(held: &[HeldSecret]) -> Option<Self> {
        let (current, old) = held.split_first()?;
        let old = old.iter().filter_map(|held| {
            Some(StillSigning {
                kind: held.secret.kind().as_str(),
                expires_at: time::show(held.until?),
            })
        });
        let VerifyingKey {
            kind,
            secret,
            public_key,
        } = (&current.secret).into();
        Some(Self {
            kind,
            secret,
            public_key,
            previous: old.collect(),
        })
    }
}

/// What an endpoint's webhooks are signed with.
#[derive(Serialize, ToSchema)]
pub(crate) struct Secret {
    #[serde(flatten)]
    key: VerifyingKey,
    /// The secrets of before that sign as well, newest first.
    previous: Vec<OldSecret>,
}

impl Secret {
    /// The wire form of the secrets that sign, newest first.
    pub(crate) fn of(held: &[HeldSecret]) -> Result<Self, Error> {
        let (current, old) = held
            .split_first()
            .ok_or_else(|| Error::internal("an endpoint without a secret"))?;
        let old = old.iter().filter_map(|held| {
            Some(OldSecret {
                key: (&held.secret).into(),
                expires_at: time::show(held.until?),
            })
        });
        Ok(Self {
            key: (&current.secret).into(),
            previous: old.collect(),
        })
    }
}
