use async_trait::async_trait;
use postrider_domain::{
    PortalTokenId, SessionId, TenantId, Timestamp, UserId,
    access::PortalAccess,
    deliveries::SignedContent,
    endpoints::{Ed25519Key, HeldSecret},
    users::PasswordHash,
};
use secrecy::SecretString;
use thiserror::Error;

use super::{Epoch, StoreError};
use crate::{Error, audit::Record};

/// Hashes passwords, off the async threads.
#[async_trait]
pub trait PasswordHasher: Send + Sync {
    /// A salted hash.
    async fn hash(&self, password: SecretString) -> Result<PasswordHash, Error>;

    /// Whether the password is the one that was hashed. With no hash it does the same work and answers
    /// [`Verified::Wrong`], so that unknown users take as long as wrong passwords.
    async fn verify(&self, password: SecretString, hash: Option<PasswordHash>) -> Result<Verified, Error>;
}

/// Whether a password is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    /// It is not.
    Wrong,
    /// It is.
    Right,
    /// It is, and its hash was made with other parameters than today's: hash it again.
    RightButOutdated,
}

/// Whom an access token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// `kind: user`: a person (`sub`), by a session (`sid`).
    User(UserId, SessionId),
    /// `kind: portal`: one of the tenant's customers, with some permissions (`scope`) in one application (`app`);
    /// the token's own id is `jti`. The last is when the application's tokens were last revoked (`gen`, in
    /// microseconds; absent: never): the token is good until that changes.
    Portal(PortalTokenId, PortalAccess, Option<Timestamp>),
}

/// What an access token says (RFC 9068).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessClaims {
    /// Whom it is for.
    pub subject: Subject,
    /// `ten`: the tenant.
    pub tenant: TenantId,
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
    /// It is signed by a key that is not known here: perhaps another node has rotated it just now.
    #[error("the token's key is not known")]
    UnknownKey,
    /// The signature does not fit.
    #[error("the signature does not fit")]
    Forged,
    /// It was good once.
    #[error("the token has expired")]
    Expired,
}

/// Issues and verifies access tokens: JWTs signed with RS256, `typ: at+jwt` (RFC 9068).
#[async_trait]
pub trait AccessTokens: Send + Sync {
    /// A signed token. `Err` only if signing itself fails.
    fn issue(&self, claims: &AccessClaims) -> Result<String, Error>;

    /// What a token says, if it is good at `now`.
    fn verify(&self, token: &str, now: Timestamp) -> Result<AccessClaims, TokenError>;

    /// How often keys were removed so far: whoever remembers what was verified before such a removal verifies again.
    fn removed_keys(&self) -> u64 {
        0
    }

    /// Looks for keys that were added elsewhere; at most once a second, however often it is asked.
    async fn refresh_keys(&self) -> Result<(), Error>;

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

    /// Decrypts, with the current master key or another that is known.
    fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError>;

    /// Whether it was sealed with the current master key.
    fn is_current(&self, sealed: &[u8]) -> bool;

    /// Names the current master key, and tells nothing of it.
    fn key_id(&self) -> String;
}

/// Signs webhooks.
pub trait WebhookSigner: Send + Sync {
    /// The value of `webhook-signature`: for each secret that signs at the time of the content
    /// `v1,<base64 of HMAC-SHA256>`, or `v1a,<base64 of Ed25519>`, separated by spaces. Nothing without a secret: what
    /// is not signed is not sent.
    fn sign(&self, secrets: &[HeldSecret], content: &SignedContent<'_>) -> Option<String>;
}

/// Makes the key pairs that webhooks are signed with.
pub trait KeyPairs: Send + Sync {
    /// The public key (RFC 8032) of a seed.
    fn ed25519_public_key(&self, seed: &[u8; Ed25519Key::BYTES]) -> Result<[u8; Ed25519Key::BYTES], Error>;
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

impl StoredSigningKey {
    /// The context ([`Sealer::seal`]) under which the private key of that id is sealed.
    pub fn seal_context(kid: &str) -> Vec<u8> {
        format!("postrider:access-token-signing-key:{kid}").into_bytes()
    }
}

/// The fact of the installation that tells the right master key from a wrong one: a known value, sealed.
#[derive(Debug, Clone, Copy)]
pub struct MasterKeyCheck;

impl MasterKeyCheck {
    /// Its name ([`InstallationFacts`]).
    pub const NAME: &'static str = "master_key_check";

    const CONTEXT: &'static [u8] = b"postrider:installation:master_key_check";
    const VALUE: &'static [u8] = b"postrider";

    /// The value, sealed with the current master key.
    pub fn sealed(sealer: &dyn Sealer) -> Vec<u8> {
        sealer.seal(Self::CONTEXT, Self::VALUE)
    }

    /// Whether a known master key sealed it.
    pub fn opens(sealer: &dyn Sealer, stored: &[u8]) -> bool {
        sealer
            .open(Self::CONTEXT, stored)
            .is_ok_and(|value| value == Self::VALUE)
    }
}

/// Where the signing keys are kept.
#[async_trait]
pub trait SigningKeyStore: Send + Sync {
    /// All keys, newest first.
    async fn signing_keys(&self) -> Result<Vec<StoredSigningKey>, StoreError>;

    /// Adds `key` if there is none yet; of several nodes that start at once, one wins.
    async fn add_first_signing_key(&self, key: StoredSigningKey) -> Result<(), StoreError>;

    /// Adds `key`, which signs from now on, and removes those that are `retired`. Answers which were removed.
    async fn add_signing_key(
        &self,
        key: StoredSigningKey,
        retired: RetiredKeys,
        record: Record,
    ) -> Result<Vec<String>, StoreError>;
}

/// Which signing keys go when another is added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetiredKeys {
    /// Those that a newer one replaced before this: all tokens that they signed have expired.
    pub replaced_before: Timestamp,
    /// And these, by their ids.
    pub named: Vec<String>,
}

/// What becomes of the old signing keys when there is a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldKeys {
    /// They verify until their tokens have expired.
    Verify,
    /// The same, but those that do not open go at once, and their tokens with them.
    DiscardUnreadable,
    /// All of them go at once, and all tokens with them: one may be in wrong hands.
    DiscardAll,
}

/// What a rotation of the signing keys did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotatedSigningKey {
    /// The key that signs from now on.
    pub kid: String,
    /// Keys that were removed: those whose tokens have all expired, or all of them if that was asked.
    pub removed: Vec<String>,
    /// Keys that were removed because they do not open.
    pub unreadable: Vec<String>,
}

/// Rotates the keys that access tokens are signed with.
#[async_trait]
pub trait SigningKeys: Send + Sync {
    /// Makes a new key, which signs from now on.
    async fn rotate(&self, record: Record, old: OldKeys) -> Result<RotatedSigningKey, Error>;
}

/// Re-encrypts what is stored secretly with the current master key.
#[async_trait]
pub trait SecretsReencryption: Send + Sync {
    /// Begins: refused while a living node seals with another master key than the current one, for what it seals
    /// behind our back would be lost with that key. Answers the last epoch that was given so far, for the end.
    async fn begin_reencryption(&self) -> Result<Epoch, ReencryptionError>;

    /// Looks at up to `limit` rows with secrets after `after` (an endpoint has up to three) and re-encrypts those that
    /// another master key sealed. A secret
    /// that changes at the same time is left to whoever changes it.
    async fn reencrypt(
        &self,
        after: Option<ReencryptionCursor>,
        limit: u32,
    ) -> Result<Reencrypted, StoreError>;

    /// Writes down that the current master key is the one from now on: nodes without it do not start any more.
    /// Refused, with nothing written, while a living node seals with another, and if one has joined that does after
    /// `since` (the answer to the beginning), though it be gone again.
    async fn finish_reencryption(&self, since: Epoch, record: Record) -> Result<(), ReencryptionError>;
}

/// Why a re-encryption does not begin, or not end.
#[derive(Debug, Error)]
pub enum ReencryptionError {
    /// Nodes seal with another master key, or have done so since it began.
    #[error("{nodes} nodes seal with another master key")]
    KeysInUse {
        /// How many.
        nodes: u64,
    },
    /// The database did not answer, or refused.
    #[error("the stored secrets cannot be looked at")]
    Store(#[from] StoreError),
}

/// Where a re-encryption stands; made by the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReencryptionCursor(pub Vec<u8>);

/// What one batch of a re-encryption did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reencrypted {
    /// How many secrets were re-encrypted.
    pub changed: u32,
    /// How many no known key opens.
    pub unreadable: u32,
    /// Where to go on; none: all were looked at.
    pub next: Option<ReencryptionCursor>,
}

/// Small facts of the installation that are written once, such as the master key's check value.
#[async_trait]
pub trait InstallationFacts: Send + Sync {
    /// The stored value of `name`; if there is none yet, stores `value` and answers it.
    async fn get_or_insert(&self, name: &str, value: Vec<u8>) -> Result<Vec<u8>, StoreError>;
}
