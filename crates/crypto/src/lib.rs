//! Postrider's cryptography, behind the application's ports. One provider for all of it: aws-lc-rs (the argon2
//! crate for passwords, which aws-lc-rs does not have).
//!
//! | here | for the port | is |
//! |---|---|---|
//! | [`AeadSealer`], [`MasterKey`] | `Sealer` | AES-256-GCM of what is stored secretly, under the master key, or several |
//! | [`JwtTokens`] | `AccessTokens` | RS256 access tokens (RFC 9068) |
//! | [`KeyRing`], [`KeyRingRefresher`] | `SigningKeys` | the keys of access tokens: several, replaced while serving |
//! | [`Argon2Passwords`] | `PasswordHasher` | argon2id, off the async threads, bounded |
//! | [`StandardSigner`] | `WebhookSigner`, `KeyPairs` | Standard Webhooks signatures, HMAC-SHA256 and Ed25519 |
//! | [`WebhookVerifier`] | | the receiver's side of them |
//! | [`OsRandomness`] | `Randomness` | the operating system's generator |
//! | [`AskedKeys`] | | stands for what was asked under an idempotency key |
//! | [`CursorKeys`] | | vouches for cursors of lists |
//! | [`OperatorTokens`] | | the hashed tokens of whoever runs the installation |
//!
//! Nothing here prints a secret: not in `Debug`, not in errors, not in logs.

mod asked;
mod cursors;
mod jwt;
mod key_ring;
mod key_ring_refresher;
mod master_key;
mod master_key_check;
mod operator_tokens;
mod passwords;
mod randomness;
mod sealer;
mod signing_key;
#[cfg(test)]
mod test_support;
mod webhooks;

pub use asked::AskedKeys;
pub use cursors::CursorKeys;
pub use jwt::{JwtTokens, TokenOptions};
pub use key_ring::{KeyRing, KeyRingError};
pub use key_ring_refresher::KeyRingRefresher;
pub use master_key::{MasterKey, MasterKeyError};
pub use master_key_check::{MasterKeyCheckError, verify_master_key};
pub use operator_tokens::{MalformedHash, OperatorTokens};
pub use passwords::{Argon2Passwords, InvalidPasswordOptions, PasswordOptions};
pub use randomness::OsRandomness;
pub use sealer::{AeadSealer, KeyId};
pub use webhooks::{ReceivedWebhook, StandardSigner, VerifyError, WebhookVerifier};
