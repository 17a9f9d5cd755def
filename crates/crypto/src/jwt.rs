use std::{collections::HashSet, fmt, sync::Arc};

use jsonwebtoken::{Header, Validation, decode, decode_header, encode, errors::ErrorKind};
use postrider_application::{
    Error,
    ports::{AccessClaims, AccessTokens, Ids, TokenError},
};
use postrider_domain::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{KeyRing, key_ring::ALGORITHM};

/// The media type of access tokens (RFC 9068, section 2.1).
const TYPE: &str = "at+jwt";
/// The longest token that is looked at, in bytes; ours have some 800.
const MAX_TOKEN_BYTES: usize = 4_096;
/// How far ahead another node's clock may be, in seconds: a token issued later than that is not ours.
const ISSUED_AT_LEEWAY_SECONDS: i64 = 60;
/// 9999-12-31T23:59:59Z: what a point in time may be at most, in seconds.
const MAX_SECONDS: i64 = 253_402_300_799;

/// Whose tokens they are, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenOptions {
    /// `iss`: this installation.
    pub issuer: String,
    /// `aud`: its API.
    pub audience: String,
}

/// What kind of principal a token is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    User,
}

/// The claims as they stand in the token. All of them are required; each has exactly this form.
#[derive(Debug, Serialize, Deserialize)]
struct WireClaims {
    iss: String,
    aud: String,
    sub: String,
    iat: i64,
    exp: i64,
    jti: String,
    ten: String,
    sid: String,
    kind: Kind,
}

/// Access tokens: JWTs signed with RS256, `typ: at+jwt` (RFC 9068).
///
/// The key, and with it the algorithm, is found by the token's `kid` among our own; whatever else the header says of
/// algorithms or keys is not believed. Expiry is judged by the caller's `now`, to the second and without leeway: a
/// token is expired from the second of its `exp` on. `iat` may be at most 60 seconds ahead of `now`.
pub struct JwtTokens {
    keys: KeyRing,
    ids: Arc<dyn Ids>,
    options: TokenOptions,
    validation: Validation,
}

impl JwtTokens {
    /// Issues and verifies tokens with `keys`.
    pub fn new(keys: KeyRing, ids: Arc<dyn Ids>, options: TokenOptions) -> Self {
        let mut validation = Validation::new(ALGORITHM);
        validation.set_issuer(&[&options.issuer]);
        validation.set_audience(&[&options.audience]);
        validation.required_spec_claims = HashSet::from(["iss", "aud", "sub", "exp"].map(str::to_owned));
        // The library would read the wall clock; we compare with the caller's time.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Self {
            keys,
            ids,
            options,
            validation,
        }
    }
}

impl AccessTokens for JwtTokens {
    fn issue(&self, claims: &AccessClaims) -> Result<String, Error> {
        let key = self.keys.signing();
        let header = Header {
            typ: Some(TYPE.to_owned()),
            kid: Some(key.kid.clone()),
            ..Header::new(ALGORITHM)
        };
        let claims = WireClaims {
            iss: self.options.issuer.clone(),
            aud: self.options.audience.clone(),
            sub: claims.user.to_string(),
            iat: claims.issued_at.as_unix_seconds(),
            exp: claims.expires_at.as_unix_seconds(),
            jti: self.ids.next().to_string(),
            ten: claims.tenant.to_string(),
            sid: claims.session.to_string(),
            kind: Kind::User,
        };
        encode(&header, &claims, &key.private).map_err(Error::internal)
    }

    fn verify(&self, token: &str, now: Timestamp) -> Result<AccessClaims, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed);
        }
        let header = decode_header(token).map_err(|_| TokenError::Malformed)?;
        // `crit` names extensions that must be understood; we have none.
        if header.alg != ALGORITHM || header.typ.as_deref() != Some(TYPE) || header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        let key = header
            .kid
            .and_then(|kid| self.keys.find(&kid))
            .ok_or(TokenError::Malformed)?;
        let claims = decode::<WireClaims>(token, &key.public, &self.validation)
            .map_err(|error| match error.kind() {
                ErrorKind::InvalidSignature => TokenError::Forged,
                _ => TokenError::Malformed,
            })?
            .claims;
        check(&claims, now)
    }

    fn jwks(&self) -> String {
        self.keys.jwks().to_owned()
    }
}

impl fmt::Debug for JwtTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtTokens")
            .field("keys", &self.keys)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// What signed claims say, if they make sense at `now`. Issuer and audience are checked already.
fn check(claims: &WireClaims, now: Timestamp) -> Result<AccessClaims, TokenError> {
    let sensible = 0..=MAX_SECONDS;
    if claims.jti.is_empty() || !sensible.contains(&claims.iat) || !sensible.contains(&claims.exp) {
        return Err(TokenError::Malformed);
    }
    let now = now.as_unix_seconds();
    if claims.exp <= claims.iat || claims.iat > now.saturating_add(ISSUED_AT_LEEWAY_SECONDS) {
        return Err(TokenError::Malformed);
    }
    let Kind::User = claims.kind;
    let good = AccessClaims {
        user: claims.sub.parse().map_err(|_| TokenError::Malformed)?,
        tenant: claims.ten.parse().map_err(|_| TokenError::Malformed)?,
        session: claims.sid.parse().map_err(|_| TokenError::Malformed)?,
        issued_at: Timestamp::from_micros(claims.iat * 1_000_000),
        expires_at: Timestamp::from_micros(claims.exp * 1_000_000),
    };
    if claims.exp <= now {
        Err(TokenError::Expired)
    } else {
        Ok(good)
    }
}

#[cfg(test)]
#[path = "jwt_tests.rs"]
mod tests;
