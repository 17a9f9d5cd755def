//! Tokens that are good, and until when. Those that never were: in `claims` and `forgery`.

use super::*;
use crate::{
    key_ring::tests::load,
    test_support::{CountingIds, StoredKeys, two_keys},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, jwk::JwkSet};
use postrider_application::ports::StoredSigningKey;
use postrider_domain::{ApplicationId, PortalTokenId, SessionId, TenantId, UserId};
use serde_json::{Value, json};
use uuid::Uuid;

const NOW: i64 = 1_800_000_000;
const EXPIRY: i64 = NOW + 900;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn options() -> TokenOptions {
    TokenOptions {
        issuer: "https://hooks.example".to_owned(),
        audience: "postrider".to_owned(),
    }
}

/// Those who hold these keys.
async fn holding(keys: impl IntoIterator<Item = StoredSigningKey>) -> JwtTokens {
    let keys = load(&StoredKeys::holding(keys)).await.unwrap();
    JwtTokens::new(Arc::new(keys), Arc::new(CountingIds::default()), options())
}

async fn tokens() -> JwtTokens {
    holding([two_keys().await.0]).await
}

/// Somebody else's, who signs with another key.
async fn stranger() -> JwtTokens {
    holding([two_keys().await.1]).await
}

fn claims() -> AccessClaims {
    let (user, session) = (Uuid::from_u128(1), Uuid::from_u128(3));
    AccessClaims {
        subject: Subject::User(UserId::from_uuid(user), SessionId::from_uuid(session)),
        tenant: TenantId::from_uuid(Uuid::from_u128(2)),
        issued_at: at(NOW),
        expires_at: at(EXPIRY),
    }
}

fn portal_claims() -> AccessClaims {
    let access = PortalAccess {
        application: ApplicationId::from_uuid(Uuid::from_u128(5)),
        permissions: vec![Permission::EndpointsWrite, Permission::MessagesRead],
    };
    AccessClaims {
        subject: Subject::Portal(PortalTokenId::from_uuid(Uuid::from_u128(4)), access, None),
        ..claims()
    }
}

fn id(prefix: &str, n: char) -> String {
    format!("{prefix}_0000000000000000000000000{n}")
}

/// The claims of a good token, to be altered.
fn wire() -> Value {
    json!({
        "iss": "https://hooks.example", "aud": "postrider", "sub": id("usr", '1'),
        "iat": NOW, "exp": EXPIRY, "jti": "1", "ten": id("ten", '2'),
        "sid": id("ses", '3'), "kind": "user",
    })
}

/// The claims of a good portal token.
fn portal_wire() -> Value {
    json!({
        "iss": "https://hooks.example", "aud": "postrider", "sub": id("ptk", '4'),
        "iat": NOW, "exp": EXPIRY, "jti": id("ptk", '4'), "ten": id("ten", '2'),
        "app": id("app", '5'), "scope": "endpoints:write messages:read", "kind": "portal",
    })
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// Signs whatever header and claims with our own key: what only we could have made.
fn signed(tokens: &JwtTokens, header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", part(header), part(claims));
    let signature = jsonwebtoken::crypto::sign(
        message.as_bytes(),
        &tokens.keys.signing().unwrap().private,
        ALGORITHM,
    )
    .unwrap();
    format!("{message}.{signature}")
}

fn header(tokens: &JwtTokens) -> Value {
    json!({"alg": "RS256", "typ": "at+jwt", "kid": tokens.keys.signing().unwrap().kid})
}

fn decoded(token: &str, part: usize) -> Value {
    serde_json::from_slice(
        &URL_SAFE_NO_PAD
            .decode(token.split('.').nth(part).unwrap())
            .unwrap(),
    )
    .unwrap()
}

#[tokio::test]
async fn what_was_issued_is_verified_and_holds_what_was_asked() {
    let tokens = tokens().await;
    let (a, b) = (tokens.issue(&claims()).unwrap(), tokens.issue(&claims()).unwrap());
    assert_eq!(tokens.verify(&a, at(NOW)), Ok(claims()));
    assert_ne!(a, b, "each token has an id of its own");
    assert_eq!(decoded(&a, 0), header(&tokens));
    let mut expected = wire();
    expected["jti"] = json!(Uuid::from_u128(1).to_string());
    assert_eq!(decoded(&a, 1), expected);
    // The test's own way of signing makes good tokens too, or the refusals below would prove nothing.
    assert_eq!(
        tokens.verify(&signed(&tokens, &header(&tokens), &wire()), at(NOW)),
        Ok(claims())
    );
}

#[tokio::test]
async fn a_portal_token_holds_its_application_and_permissions_and_nobody() {
    let tokens = tokens().await;
    let token = tokens.issue(&portal_claims()).unwrap();
    assert_eq!(tokens.verify(&token, at(NOW)), Ok(portal_claims()));
    assert_eq!(decoded(&token, 0), header(&tokens));
    assert_eq!(decoded(&token, 1), portal_wire());
    let again = signed(&tokens, &header(&tokens), &portal_wire());
    assert_eq!(tokens.verify(&again, at(NOW)), Ok(portal_claims()));
    // All that one may hold.
    let mut most = portal_claims();
    if let Subject::Portal(_, access, _) = &mut most.subject {
        access.permissions = Permission::ALL.into_iter().filter(|p| p.in_portal()).collect();
    }
    assert_eq!(tokens.verify(&tokens.issue(&most).unwrap(), at(NOW)), Ok(most));
}

#[tokio::test]
async fn others_can_verify_by_the_published_keys() {
    let tokens = tokens().await;
    let set: JwkSet = serde_json::from_str(&tokens.jwks()).unwrap();
    let token = tokens.issue(&claims()).unwrap();
    let kid = decode_header(&token).unwrap().kid.unwrap();
    let key = DecodingKey::from_jwk(set.find(&kid).unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&["postrider"]);
    validation.set_issuer(&["https://hooks.example"]);
    validation.validate_exp = false;
    let theirs = decode::<Value>(&token, &key, &validation).unwrap();
    assert_eq!(theirs.claims["sub"], id("usr", '1'));
}

#[tokio::test]
async fn expiry_is_judged_by_the_given_time_to_the_second() {
    let tokens = tokens().await;
    let token = tokens.issue(&claims()).unwrap();
    let just_before = Timestamp::from_micros(EXPIRY * 1_000_000 - 1);
    assert_eq!(tokens.verify(&token, just_before), Ok(claims()));
    assert_eq!(tokens.verify(&token, at(EXPIRY)), Err(TokenError::Expired));
    assert_eq!(
        tokens.verify(&token, at(EXPIRY + 1_000_000)),
        Err(TokenError::Expired)
    );
    assert_eq!(
        tokens.verify(&token, Timestamp::from_micros(i64::MAX)),
        Err(TokenError::Expired)
    );
}

#[tokio::test]
async fn a_token_may_be_dated_a_minute_ahead_and_no_more() {
    let tokens = tokens().await;
    for claims in [claims(), portal_claims()] {
        let token = tokens.issue(&claims).unwrap();
        assert_eq!(tokens.verify(&token, at(NOW - 60)), Ok(claims));
        let before = Timestamp::from_micros((NOW - 60) * 1_000_000 - 1);
        assert_eq!(tokens.verify(&token, before), Err(TokenError::Malformed));
        assert_eq!(
            tokens.verify(&token, Timestamp::from_micros(i64::MIN)),
            Err(TokenError::Malformed)
        );
    }
    // Issued after a revocation: the token says which.
    let mut after = portal_claims();
    if let Subject::Portal(_, _, generation) = &mut after.subject {
        *generation = Some(Timestamp::from_micros(1_234_567));
    }
    let token = tokens.issue(&after).unwrap();
    assert_eq!(tokens.verify(&token, at(NOW)), Ok(after));
}

#[tokio::test(start_paused = true)]
async fn tokens_of_an_older_key_stay_good_and_those_of_a_newer_one_become_known() {
    let (older, newer) = two_keys().await;
    let newer = StoredSigningKey {
        created_at: at(NOW),
        ..newer
    };
    let store = StoredKeys::holding([older]);
    let here = JwtTokens::new(
        Arc::new(load(&store).await.unwrap()),
        Arc::new(CountingIds::default()),
        options(),
    );
    let token = here.issue(&claims()).unwrap();
    // Another node has rotated the key, and signs with it at once.
    store.stored.lock().unwrap().push(newer);
    let there = JwtTokens::new(
        Arc::new(load(&store).await.unwrap()),
        Arc::new(CountingIds::default()),
        options(),
    );
    assert_eq!(there.verify(&token, at(NOW)), Ok(claims()));
    let new = there.issue(&claims()).unwrap();
    assert_eq!(here.verify(&new, at(NOW)), Err(TokenError::UnknownKey));
    here.refresh_keys().await.unwrap();
    assert_eq!(here.verify(&new, at(NOW)), Ok(claims()));
    assert_eq!(here.verify(&token, at(NOW)), Ok(claims()));
    assert_eq!(here.jwks(), there.jwks());
    let newest = here.issue(&claims()).unwrap();
    assert_eq!(
        decoded(&newest, 0),
        decoded(&new, 0),
        "it signs with the new key too"
    );
}

#[path = "jwt_claims_tests.rs"]
mod claims;
#[path = "jwt_forgery_tests.rs"]
mod forgery;
