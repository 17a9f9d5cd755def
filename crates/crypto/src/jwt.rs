use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use jsonwebtoken::{Header, Validation, decode, decode_header, encode, errors::ErrorKind};
use postrider_application::{
    Error,
    ports::{AccessClaims, AccessTokens, Ids, Subject, TokenError},
};
use postrider_domain::{
    Timestamp,
    access::{Permission, PortalAccess},
};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    KeyRing, KeyRingError,
    signing_key::{ALGORITHM, is_kid},
};

/// The media type of access tokens (RFC 9068, section 2.1).
const TYPE: &str = "at+jwt";
/// The longest token that is looked at, in bytes; ours have some 800.
const MAX_TOKEN_BYTES: usize = 4_096;
/// How far ahead a token may be dated, in seconds: other nodes' clocks may be ahead of ours. A token of a later date
/// is not ours.
const ISSUED_AT_LEEWAY_SECONDS: i64 = 60;
/// How long after a key was replaced tokens may be dated that it signed: other nodes hear of the new one within
/// seconds, and clocks differ.
const SIGNS_ON_FOR: Duration = Duration::from_mins(5);
/// The longest that any token is good, in seconds.
const MAX_LIFETIME_SECONDS: i64 = 24 * 60 * 60;
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
    Portal,
}

/// The claims as they stand in the token. Each has exactly this form, and a token has all that its kind has and none
/// that only others have.
#[derive(Debug, Serialize, Deserialize)]
struct WireClaims {
    iss: String,
    aud: String,
    /// A person's id; of a portal token, its own.
    sub: String,
    iat: i64,
    exp: i64,
    /// The token's own id.
    jti: String,
    ten: String,
    kind: Kind,
    /// A person's session.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    sid: Option<String>,
    /// A portal token's application.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    app: Option<String>,
    /// A portal token's permissions (RFC 8693, section 4.2): their names, with a space between two.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    scope: Option<String>,
    /// After which revocation of its application's tokens a portal token was issued, in microseconds since the Unix
    /// epoch; absent: there was none.
    #[serde(
        rename = "gen",
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    generation: Option<i64>,
}

/// A claim that may be absent, but not null.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(claim: D) -> Result<Option<T>, D::Error> {
    T::deserialize(claim).map(Some)
}

/// Access tokens: JWTs signed with RS256, `typ: at+jwt` (RFC 9068).
///
/// The key, and with it the algorithm, is found by the token's `kid` among our own; whatever else the header says of
/// algorithms or keys is not believed. Expiry is judged by the caller's `now`, to the second and without leeway: a
/// token is expired from the second of its `exp` on. `iat` may be at most a minute ahead of `now`: the clocks of
/// several nodes must agree to a second.
pub struct JwtTokens {
    keys: Arc<KeyRing>,
    ids: Arc<dyn Ids>,
    options: TokenOptions,
    validation: Validation,
}

impl JwtTokens {
    /// Issues and verifies tokens with `keys`.
    pub fn new(keys: Arc<KeyRing>, ids: Arc<dyn Ids>, options: TokenOptions) -> Self {
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

#[async_trait]
impl AccessTokens for JwtTokens {
    fn issue(&self, claims: &AccessClaims) -> Result<String, Error> {
        let key = self
            .keys
            .signing()
            .ok_or_else(|| Error::internal(KeyRingError::Lost))?;
        let header = Header {
            typ: Some(TYPE.to_owned()),
            kid: Some(key.kid.clone()),
            ..Header::new(ALGORITHM)
        };
        encode(&header, &self.wire(claims), &key.private).map_err(Error::internal)
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
        // What cannot be a key of ours is not worth asking for.
        let kid = header
            .kid
            .filter(|kid| is_kid(kid))
            .ok_or(TokenError::Malformed)?;
        let (key, replaced_at) = self.keys.find(&kid).ok_or(TokenError::UnknownKey)?;
        let claims = decode::<WireClaims>(token, &key.public, &self.validation)
            .map_err(|error| match error.kind() {
                ErrorKind::InvalidSignature => TokenError::Forged,
                _ => TokenError::Malformed,
            })?
            .claims;
        let good = check(&claims, now)?;
        // Nodes sign with a replaced key until they have heard of the new one, seconds later. Whoever else does stole
        // it: such a token must be dated back, and nothing that is dated back is good for long.
        let signed_too_late = |replaced: Timestamp| good.issued_at > replaced.plus(SIGNS_ON_FOR);
        if replaced_at.is_some_and(signed_too_late) {
            return Err(TokenError::Forged);
        }
        Ok(good)
    }

    fn removed_keys(&self) -> u64 {
        self.keys.removals()
    }

    async fn refresh_keys(&self) -> Result<(), Error> {
        self.keys.refresh().await.map_err(KeyRingError::answer)
    }

    fn jwks(&self) -> String {
        self.keys.jwks()
    }
}

impl JwtTokens {
    fn wire(&self, claims: &AccessClaims) -> WireClaims {
        let (kind, sub, jti, sid, portal, generation) = match &claims.subject {
            Subject::User(user, session) => {
                let session = Some(session.to_string());
                (
                    Kind::User,
                    user.to_string(),
                    self.ids.next().to_string(),
                    session,
                    None,
                    None,
                )
            }
            Subject::Portal(id, access, generation) => {
                let id = id.to_string();
                let generation = generation.map(Timestamp::as_micros);
                (Kind::Portal, id.clone(), id, None, Some(access), generation)
            }
        };
        WireClaims {
            iss: self.options.issuer.clone(),
            aud: self.options.audience.clone(),
            sub,
            iat: claims.issued_at.as_unix_seconds(),
            exp: claims.expires_at.as_unix_seconds(),
            jti,
            ten: claims.tenant.to_string(),
            kind,
            sid,
            app: portal.map(|access| access.application.to_string()),
            scope: portal.map(|access| scope(&access.permissions)),
            generation,
        }
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
    if claims.exp - claims.iat > MAX_LIFETIME_SECONDS {
        return Err(TokenError::Malformed);
    }
    if claims.exp <= claims.iat || claims.iat > now.saturating_add(ISSUED_AT_LEEWAY_SECONDS) {
        return Err(TokenError::Malformed);
    }
    let good = AccessClaims {
        subject: subject(claims).ok_or(TokenError::Malformed)?,
        tenant: claims.ten.parse().map_err(|_| TokenError::Malformed)?,
        issued_at: Timestamp::from_micros(claims.iat * 1_000_000),
        expires_at: Timestamp::from_micros(claims.exp * 1_000_000),
    };
    if claims.exp <= now {
        Err(TokenError::Expired)
    } else {
        Ok(good)
    }
}

/// Whom the claims name, if they have what their kind has and nothing of another.
fn subject(claims: &WireClaims) -> Option<Subject> {
    match (claims.kind, &claims.sid, &claims.app, &claims.scope) {
        (Kind::User, Some(session), None, None) => {
            let user = Subject::User(claims.sub.parse().ok()?, session.parse().ok()?);
            claims.generation.is_none().then_some(user)
        }
        (Kind::Portal, None, Some(application), Some(scope)) if claims.sub == claims.jti => {
            let access = PortalAccess {
                application: application.parse().ok()?,
                permissions: permissions(scope)?,
            };
            let generation = claims.generation.map(Timestamp::from_micros);
            Some(Subject::Portal(claims.jti.parse().ok()?, access, generation))
        }
        _ => None,
    }
}

fn scope(permissions: &[Permission]) -> String {
    let names: Vec<_> = permissions.iter().map(|permission| permission.as_str()).collect();
    names.join(" ")
}

/// The permissions of a `scope`, if there is at least one, a portal token may hold each, and none stands twice.
fn permissions(scope: &str) -> Option<Vec<Permission>> {
    let mut permissions = Vec::new();
    for name in scope.split(' ') {
        let permission = Permission::parse(name).ok().filter(|known| known.in_portal())?;
        if permissions.contains(&permission) {
            return None;
        }
        permissions.push(permission);
    }
    Some(permissions)
}

#[cfg(test)]
#[path = "jwt_tests.rs"]
mod tests;
