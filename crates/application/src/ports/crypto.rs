use async_trait::async_trait;
use postrider_domain::{
    SessionId, TenantId, Timestamp, UserId, deliveries::SignedContent, endpoints::SigningSecret,
    users::PasswordHash,
};
use secrecy::SecretString;
use thiserror::Error;

use super::StoreError;
use crate::Error;

/// Hashes passwords, off the async threads.
#[async_trait]
pub trait PasswordHasher: Send + Sync {
    /// A salted hash.
    async fn hash(&self, password: SecretString) -> Result<PasswordHash, Error>;

    /// Whether the password is the one that was hashed. With no hash it does the same work and answers no, so
    /// that unknown users take as long as wrong passwords.
    async fn verify(&self, password: SecretString, hash: Option<PasswordHash>) -> Result<bool, Error>;
}

/// What an access token says (RFC 9068).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessClaims {
    /// `sub`: the person.
    pub user: UserId,
    /// `ten`: the tenant.
    pub tenant: TenantId,
    /// `sid`: the session.
    pub session: SessionId,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `exp`.
    pub expires_at: Timestamp,
}

/// Why a token is not good. Callers answer all of them alike; the reason goes to the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenError {
    /// Not a JWT of ours: wrong form, type, algorithm, key or claims.
    #[error("the token is malformed, or of a type, algorithm or key that is not ours")]
    Malformed,
    /// The signature does not fit.
    #[error("the signature does not fit")]
    Forged,
    /// It was good once.
    #[error("the token has expired")]
    Expired,
}

/// Issues and verifies access tokens: JWTs signed with RS256, `typ: at+jwt` (RFC 9068).
pub trait AccessTokens: Send + Sync {
    /// A signed token. `Err` only if signing itself fails.
    fn issue(&self, claims: &AccessClaims) -> Result<String, Error>;

    /// What a token says, if it is good at `now`.
    fn verify(&self, token: &str, now: Timestamp) -> Result<AccessClaims, TokenError>;

    /// The public keys as a JWK set (RFC 7517), in JSON.
    fn jwks(&self) -> String;
}

/// Why sealed bytes did not open. Deliberately without detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("sealed bytes do not open: wrong master key, or altered")]
pub struct SealError;

/// Encrypts what is stored secretly, with the master key (AEAD).
pub trait Sealer: Send + Sync {
    /// Encrypts. `context` (purpose, tenant, record) is authenticated, not stored: the same must be given to open.
    fn seal(&self, context: &[u8], plain: &[u8]) -> Vec<u8>;

    /// Decrypts.
    fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError>;
}

/// Signs webhooks.
pub trait WebhookSigner: Send + Sync {
    /// One signature as it stands in `webhook-signature`: `v1,<base64 of HMAC-SHA256>`.
    fn sign(&self, secret: &SigningSecret, content: &SignedContent<'_>) -> String;
}

/// A signing key of access tokens, as stored: the private half sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSigningKey {
    /// The key's id, the `kid` of its tokens.
    pub kid: String,
    /// The private key, PKCS #8 DER, sealed.
    pub sealed_private_key: Vec<u8>,
    /// When it was made; the newest one signs.
    pub created_at: Timestamp,
}

/// Where the signing keys are kept.
#[async_trait]
pub trait SigningKeyStore: Send + Sync {
    /// All keys, newest first.
    async fn signing_keys(&self) -> Result<Vec<StoredSigningKey>, StoreError>;

    /// Adds `key` if there is none yet; of several nodes that start at once, one wins.
    async fn add_first_signing_key(&self, key: StoredSigningKey) -> Result<(), StoreError>;
}

/// Small facts of the installation that are written once, such as the master key's check value.
#[async_trait]
pub trait InstallationFacts: Send + Sync {
    /// The stored value of `name`; if there is none yet, stores `value` and answers it.
    async fn get_or_insert(&self, name: &str, value: Vec<u8>) -> Result<Vec<u8>, StoreError>;
}
