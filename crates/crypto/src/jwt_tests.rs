//! Forged, malformed and expired tokens of every kind, against tokens that are good.

use super::*;
use crate::{
    key_ring::tests::{StoredKeys, load, two_keys},
    test_support::CountingIds,
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
        subject: Subject::Portal(PortalTokenId::from_uuid(Uuid::from_u128(4)), access),
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
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), &tokens.keys.signing().private, ALGORITHM).unwrap();
    format!("{message}.{signature}")
}

fn header(tokens: &JwtTokens) -> Value {
    json!({"alg": "RS256", "typ": "at+jwt", "kid": tokens.keys.signing().kid})
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
    if let Subject::Portal(_, access) = &mut most.subject {
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
async fn a_token_may_be_dated_two_seconds_ahead_and_no_more() {
    let tokens = tokens().await;
    for claims in [claims(), portal_claims()] {
        let token = tokens.issue(&claims).unwrap();
        assert_eq!(tokens.verify(&token, at(NOW - 2)), Ok(claims));
        let before = Timestamp::from_micros((NOW - 2) * 1_000_000 - 1);
        assert_eq!(tokens.verify(&token, before), Err(TokenError::Malformed));
        assert_eq!(
            tokens.verify(&token, Timestamp::from_micros(i64::MIN)),
            Err(TokenError::Malformed)
        );
    }
    // As one is that is minted right after a revocation: good from the moment at which it was handed out.
    let revoked_at = Timestamp::from_micros(NOW * 1_000_000 + 1);
    let minted = AccessClaims {
        issued_at: at(NOW + 1),
        ..portal_claims()
    };
    let token = tokens.issue(&minted).unwrap();
    assert_eq!(tokens.verify(&token, revoked_at), Ok(minted));
}

#[tokio::test]
async fn no_character_can_be_altered_dropped_or_added() {
    let tokens = tokens().await;
    let token = tokens.issue(&claims()).unwrap();
    for position in 0..token.len() {
        let mut altered = token.clone().into_bytes();
        altered[position] = if altered[position] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(altered).unwrap();
        assert!(tokens.verify(&altered, at(NOW)).is_err(), "altered at {position}");
        assert!(
            tokens.verify(&token[..position], at(NOW)).is_err(),
            "cut at {position}"
        );
        let (head, tail) = token.split_at(position);
        assert!(
            tokens.verify(&format!("{head}.{tail}"), at(NOW)).is_err(),
            "stop at {position}"
        );
    }
    for more in ["A", ".", "=", " ", "\n"] {
        assert!(
            tokens.verify(&format!("{token}{more}"), at(NOW)).is_err(),
            "{more:?}"
        );
    }
}

#[tokio::test]
async fn a_signature_by_anything_but_our_key_is_forged() {
    let tokens = tokens().await;
    let good = tokens.issue(&claims()).unwrap();
    let message = good.rsplit_once('.').unwrap().0;
    let stranger = stranger().await;
    let sign = |key: &EncodingKey, algorithm| {
        jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).unwrap()
    };
    let ours = &tokens.keys.signing().private.clone();
    for signature in [
        sign(&stranger.keys.signing().private, Algorithm::RS256),
        // Our own key, another scheme than the header says.
        sign(ours, Algorithm::RS512),
        sign(ours, Algorithm::PS256),
        sign(&EncodingKey::from_secret(b"secret"), Algorithm::HS256),
        tokens
            .issue(&claims())
            .unwrap()
            .rsplit_once('.')
            .unwrap()
            .1
            .to_owned(),
        String::new(),
        URL_SAFE_NO_PAD.encode([0; 256]),
    ] {
        assert_eq!(
            tokens.verify(&format!("{message}.{signature}"), at(NOW)),
            Err(TokenError::Forged)
        );
    }
}

#[tokio::test]
async fn the_header_does_not_choose_the_algorithm() {
    let tokens = tokens().await;
    let good = header(&tokens);
    for unsigned in ["none", "None", "NONE", "nOnE", ""] {
        let mut none = good.clone();
        none["alg"] = json!(unsigned);
        let bare = format!("{}.{}.", part(&none), part(&wire()));
        assert_eq!(
            tokens.verify(&bare, at(NOW)),
            Err(TokenError::Malformed),
            "{unsigned}"
        );
        assert_eq!(
            tokens.verify(&signed(&tokens, &none, &wire()), at(NOW)),
            Err(TokenError::Malformed)
        );
    }
    // HS256 with the public key as the secret, in the forms in which a verifier might hold it.
    let set: Value = serde_json::from_str(&tokens.jwks()).unwrap();
    let modulus = URL_SAFE_NO_PAD
        .decode(set["keys"][0]["n"].as_str().unwrap())
        .unwrap();
    let key = set["keys"][0].to_string();
    for secret in [modulus.as_slice(), key.as_bytes(), tokens.jwks().as_bytes(), b""] {
        let mut hmac = good.clone();
        hmac["alg"] = json!("HS256");
        let message = format!("{}.{}", part(&hmac), part(&wire()));
        let key = EncodingKey::from_secret(secret);
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
        assert_eq!(
            tokens.verify(&format!("{message}.{signature}"), at(NOW)),
            Err(TokenError::Malformed)
        );
    }
    // Signed by our key indeed, by another algorithm of the same family.
    for (name, algorithm) in [
        ("RS384", Algorithm::RS384),
        ("RS512", Algorithm::RS512),
        ("PS256", Algorithm::PS256),
    ] {
        let mut other = good.clone();
        other["alg"] = json!(name);
        let message = format!("{}.{}", part(&other), part(&wire()));
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &tokens.keys.signing().private, algorithm)
                .unwrap();
        assert_eq!(
            tokens.verify(&format!("{message}.{signature}"), at(NOW)),
            Err(TokenError::Malformed),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_header_that_is_not_ours_is_malformed_even_if_well_signed() {
    let tokens = tokens().await;
    let altered = |member: &str, value: Value| {
        let mut header = header(&tokens);
        header[member] = value;
        tokens.verify(&signed(&tokens, &header, &wire()), at(NOW))
    };
    for typ in [
        json!("JWT"),
        json!("jwt"),
        json!("AT+JWT"),
        json!("id+jwt"),
        json!(""),
        json!(1),
        Value::Null,
    ] {
        assert_eq!(altered("typ", typ.clone()), Err(TokenError::Malformed), "{typ}");
    }
    for kid in [
        json!("other"),
        json!(""),
        json!("../../etc/passwd"),
        json!(1),
        Value::Null,
    ] {
        assert_eq!(altered("kid", kid.clone()), Err(TokenError::Malformed), "{kid}");
    }
    assert_eq!(altered("crit", json!(["exp"])), Err(TokenError::Malformed));
    for absent in ["alg", "typ", "kid"] {
        let mut header = header(&tokens);
        header.as_object_mut().unwrap().remove(absent);
        let verified = tokens.verify(&signed(&tokens, &header, &wire()), at(NOW));
        assert_eq!(verified, Err(TokenError::Malformed), "{absent}");
    }
    // A key that the token brings along is not used, and does no harm.
    let stranger = stranger().await;
    let foreign: Value = serde_json::from_str(&stranger.jwks()).unwrap();
    let mut with_key = header(&tokens);
    with_key["jwk"] = foreign["keys"][0].clone();
    let message = format!("{}.{}", part(&with_key), part(&wire()));
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), &stranger.keys.signing().private, ALGORITHM).unwrap();
    assert_eq!(
        tokens.verify(&format!("{message}.{signature}"), at(NOW)),
        Err(TokenError::Forged)
    );
}

#[tokio::test]
async fn a_key_that_may_be_another_nodes_is_unknown_only_in_a_header_that_may_be_ours() {
    let tokens = tokens().await;
    let stranger = stranger().await;
    let token = stranger.issue(&claims()).unwrap();
    assert_eq!(tokens.verify(&token, at(NOW)), Err(TokenError::UnknownKey));
    // By our key or by none: the key id decides which key is asked for, and the header whether at all.
    let kid = stranger.keys.signing().kid.clone();
    for (member, value) in [
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("alg", json!("RS512")),
        ("typ", json!("JWT")),
        ("typ", Value::Null),
        ("crit", json!(["exp"])),
        ("kid", json!(format!("{kid}A"))),
        ("kid", json!(&kid[1..])),
        ("kid", json!(format!("{}=", &kid[1..]))),
    ] {
        let mut header = header(&stranger);
        header[member] = value;
        let verified = tokens.verify(&signed(&stranger, &header, &wire()), at(NOW));
        assert_eq!(verified, Err(TokenError::Malformed), "{header}");
    }
    let mut ours = header(&tokens);
    ours["kid"] = json!(kid);
    let verified = tokens.verify(&signed(&tokens, &ours, &wire()), at(NOW));
    assert_eq!(verified, Err(TokenError::UnknownKey));
}

#[tokio::test]
async fn claims_that_are_absent_or_not_ours_are_malformed_even_if_well_signed() {
    let tokens = tokens().await;
    let verify = |claims: &Value| tokens.verify(&signed(&tokens, &header(&tokens), claims), at(NOW));
    for absent in ["iss", "aud", "sub", "iat", "exp", "jti", "ten", "sid", "kind"] {
        let mut claims = wire();
        claims.as_object_mut().unwrap().remove(absent);
        assert_eq!(verify(&claims), Err(TokenError::Malformed), "{absent} absent");
        claims[absent] = Value::Null;
        assert_eq!(verify(&claims), Err(TokenError::Malformed), "{absent} null");
    }
    let user = id("usr", 'a');
    for (member, value) in [
        ("iss", json!("https://hooks.example/")),
        ("iss", json!("HTTPS://HOOKS.EXAMPLE")),
        ("iss", json!(["https://hooks.example", "https://evil.example"])),
        ("aud", json!("other")),
        ("aud", json!(["postrider"])),
        ("aud", json!(["postrider", "other"])),
        ("sub", json!("usr_")),
        ("sub", json!(id("ten", '1'))),
        ("sub", json!(id("ptk", '1'))),
        ("sub", json!(user.to_uppercase())),
        ("sub", json!(1)),
        ("ten", json!(user)),
        ("ten", json!("")),
        ("sid", json!("ses_8zzzzzzzzzzzzzzzzzzzzzzzzz")),
        ("kind", json!("api_key")),
        ("kind", json!("operator")),
        ("kind", json!("User")),
        ("kind", json!("portal")),
        ("kind", json!("")),
        ("kind", json!(1)),
        // What only portal tokens have.
        ("app", json!(id("app", '5'))),
        ("app", Value::Null),
        ("app", json!("")),
        ("scope", json!("endpoints:read")),
        ("scope", json!("")),
        ("scope", Value::Null),
        ("jti", json!("")),
        ("iat", json!("1800000000")),
        ("iat", json!(NOW + 3)),
        ("iat", json!(-1)),
        ("exp", json!(NOW)),
        ("exp", json!(NOW - 1)),
        ("exp", json!(1.5)),
        ("exp", json!(1e300)),
        ("exp", json!(i64::MAX)),
        ("exp", json!(u64::MAX)),
        ("exp", json!(MAX_SECONDS + 1)),
    ] {
        let mut claims = wire();
        claims[member] = value;
        assert_eq!(verify(&claims), Err(TokenError::Malformed), "{claims}");
    }
    // A claim of a later version does no harm, unless it is huge.
    let mut more = wire();
    more["amr"] = json!("pwd ".repeat(100));
    assert_eq!(verify(&more), Ok(claims()));
    more["amr"] = json!("pwd ".repeat(1_000));
    assert_eq!(verify(&more), Err(TokenError::Malformed));
}

#[tokio::test]
async fn a_portal_token_without_known_permissions_or_with_a_persons_claims_is_malformed() {
    let tokens = tokens().await;
    let verify = |claims: &Value| tokens.verify(&signed(&tokens, &header(&tokens), claims), at(NOW));
    for absent in [
        "iss", "aud", "sub", "iat", "exp", "jti", "ten", "app", "scope", "kind",
    ] {
        let mut claims = portal_wire();
        claims.as_object_mut().unwrap().remove(absent);
        assert_eq!(verify(&claims), Err(TokenError::Malformed), "{absent} absent");
        claims[absent] = Value::Null;
        assert_eq!(verify(&claims), Err(TokenError::Malformed), "{absent} null");
    }
    for (member, value) in [
        ("scope", json!("")),
        ("scope", json!(" ")),
        ("scope", json!("everything")),
        ("scope", json!("endpoints:write everything")),
        ("scope", json!("Endpoints:Write")),
        ("scope", json!("endpoints:write  messages:read")),
        ("scope", json!(" endpoints:write")),
        ("scope", json!("endpoints:write ")),
        ("scope", json!("endpoints:write\tmessages:read")),
        ("scope", json!("endpoints:write,messages:read")),
        ("scope", json!("endpoints:write endpoints:write")),
        ("scope", json!(["endpoints:write"])),
        // Known, but nothing that a portal token may hold.
        ("scope", json!("tenant:read")),
        ("scope", json!("endpoints:write members:manage")),
        ("scope", json!("portal-tokens:issue")),
        ("app", json!("")),
        ("app", json!(id("ten", '5'))),
        ("app", json!(id("APP", '5'))),
        ("sub", json!(id("usr", '4'))),
        ("sub", json!(id("ptk", '5'))),
        ("jti", json!(id("ptk", '5'))),
        ("jti", json!("1")),
        ("kind", json!("user")),
        ("kind", json!("Portal")),
        ("sid", json!(id("ses", '3'))),
        ("sid", json!("")),
        ("sid", Value::Null),
        ("iat", json!(NOW + 3)),
    ] {
        let mut claims = portal_wire();
        claims[member] = value;
        assert_eq!(verify(&claims), Err(TokenError::Malformed), "{claims}");
    }
    // A person's id as the id of a token.
    let mut person = portal_wire();
    (person["sub"], person["jti"]) = (json!(id("usr", '1')), json!(id("usr", '1')));
    assert_eq!(verify(&person), Err(TokenError::Malformed));
    // Neither kind, with the claims of both.
    let mut both = portal_wire();
    (both["sid"], both["sub"]) = (json!(id("ses", '3')), json!(id("usr", '1')));
    for kind in ["user", "portal", "admin"] {
        both["kind"] = json!(kind);
        assert_eq!(verify(&both), Err(TokenError::Malformed), "{kind}");
    }
}

#[tokio::test]
async fn a_claim_that_stands_twice_is_malformed() {
    let tokens = tokens().await;
    for (claims, again) in [
        (wire(), r#"{"ten":"ten_00000000000000000000000009","#),
        (wire(), r#"{"kind":"user","#),
        (portal_wire(), r#"{"app":"app_00000000000000000000000009","#),
        (portal_wire(), r#"{"scope":"endpoints:read","#),
    ] {
        let text = claims.to_string().replacen('{', again, 1);
        let message = format!("{}.{}", part(&header(&tokens)), URL_SAFE_NO_PAD.encode(text));
        let key = &tokens.keys.signing().private;
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, ALGORITHM).unwrap();
        assert_eq!(
            tokens.verify(&format!("{message}.{signature}"), at(NOW)),
            Err(TokenError::Malformed),
            "{again}"
        );
    }
}

#[tokio::test]
async fn what_is_no_token_at_all_is_malformed() {
    let tokens = tokens().await;
    let huge = format!("{}.e30.", "A".repeat(1 << 20));
    for text in [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "e30.e30.",
        "prk_1_2",
        "é.é.é",
        "null.null.null",
        &huge,
    ] {
        assert_eq!(tokens.verify(text, at(NOW)), Err(TokenError::Malformed));
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_of_an_older_key_stay_good_and_those_of_a_newer_one_become_known() {
    let (older, newer) = two_keys().await;
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
