use postrider_domain::{
    tokens::{RefreshToken, SecretHash, TokenSecret},
    users::RefreshHashes,
};
use sha2::{Digest as _, Sha256};

/// What is stored of a token's secret.
///
/// Comparing such hashes needs no constant time: whoever can choose hashes can find none of a 256-bit secret.
pub(crate) fn hash_secret(secret: &TokenSecret) -> SecretHash {
    SecretHash(Sha256::digest(secret.expose()).into())
}

/// What is stored of a refresh token.
pub(crate) fn hash_refresh(token: &RefreshToken) -> RefreshHashes {
    RefreshHashes {
        family: hash_secret(token.family()),
        current: hash_secret(token.current()),
    }
}
