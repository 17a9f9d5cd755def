use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey,
    jwk::{Jwk, PublicKeyUse, ThumbprintHash},
};
use postrider_application::ports::{Sealer, StoredSigningKey};
use postrider_domain::Timestamp;
use tokio::task::JoinError;
use zeroize::Zeroizing;

use crate::KeyRingError;

/// The one algorithm of access tokens.
pub(crate) const ALGORITHM: Algorithm = Algorithm::RS256;

/// The characters of a key id: a SHA-256 in base64url without padding.
const KID_CHARS: usize = 43;

/// One key pair, and what it publishes.
pub(crate) struct SigningKey {
    pub(crate) kid: String,
    pub(crate) private: EncodingKey,
    pub(crate) public: DecodingKey,
    pub(crate) jwk: Jwk,
}

impl SigningKey {
    /// The key of a PKCS #8 document; nothing if it holds no RSA key.
    fn from_pkcs8(pkcs8: &[u8]) -> Option<Self> {
        // The library takes PKCS #8 in PEM only.
        let body = Zeroizing::new(STANDARD.encode(pkcs8));
        let pem = Zeroizing::new(format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            &*body
        ));
        let private = EncodingKey::from_rsa_pem(pem.as_bytes()).ok()?;
        let mut jwk = Jwk::from_encoding_key(&private, ALGORITHM).ok()?;
        // RFC 7638: the same key has the same id, wherever it is computed.
        let kid = jwk.thumbprint(ThumbprintHash::SHA256).ok()?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        let public = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self {
            kid,
            private,
            public,
            jwk,
        })
    }

    /// The key that was stored so.
    pub(crate) fn open(stored: &StoredSigningKey, sealer: &dyn Sealer) -> Result<Self, KeyRingError> {
        let kid = || stored.kid.clone();
        let pkcs8 = sealer
            .open(
                &StoredSigningKey::seal_context(&stored.kid),
                &stored.sealed_private_key,
            )
            .map(Zeroizing::new)
            .map_err(|cause| KeyRingError::Sealed { kid: kid(), cause })?;
        Self::from_pkcs8(&pkcs8)
            .filter(|key| key.kid == stored.kid)
            .ok_or_else(|| KeyRingError::Malformed { kid: kid() })
    }

    /// A new key to be stored: 2,048 bits of RSA, generated on a blocking thread by the provider's own generator.
    pub(crate) async fn generate(
        sealer: &dyn Sealer,
        created_at: Timestamp,
    ) -> Result<StoredSigningKey, KeyRingError> {
        let (kid, pkcs8) = tokio::task::spawn_blocking(generate)
            .await
            .map_err(|error: JoinError| KeyRingError::Generation(error.into()))??;
        Ok(StoredSigningKey {
            sealed_private_key: sealer.seal(&StoredSigningKey::seal_context(&kid), pkcs8.as_ref()),
            kid,
            created_at,
        })
    }
}

/// Whether a text can be the id of one of our keys at all.
pub(crate) fn is_kid(text: &str) -> bool {
    text.len() == KID_CHARS
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn generate() -> Result<(String, Pkcs8V1Der<'static>), KeyRingError> {
    let failed = |cause: &'static str| KeyRingError::Generation(cause.into());
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| failed("the provider refused"))?;
    let pkcs8: Pkcs8V1Der<'static> = pair.as_der().map_err(|_| failed("it has no PKCS #8 form"))?;
    let key = SigningKey::from_pkcs8(pkcs8.as_ref()).ok_or_else(|| failed("it cannot be read back"))?;
    Ok((key.kid, pkcs8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_ids_are_the_thumbprints_of_rfc_7638() {
        // The example of RFC 7638, section 3.1.
        let jwk: Jwk = serde_json::from_str(
            r#"{"kty":"RSA","e":"AQAB","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}"#,
        )
        .unwrap();
        let kid = jwk.thumbprint(ThumbprintHash::SHA256).unwrap();
        assert_eq!(kid, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        assert!(is_kid(&kid));
        for other in [
            "",
            "other",
            &kid[1..],
            &format!("{kid}A"),
            &kid.replace('-', "+"),
            &kid.replace("cd", "é"),
        ] {
            assert!(!is_kid(other), "{other}");
        }
    }
}
