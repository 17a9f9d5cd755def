//! Forged, malformed and expired tokens of every kind, against tokens that are good.

use super::*;
use crate::{
    key_ring::tests::{Keys, load},
    test_support::CountingIds,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, jwk::JwkSet};
use postrider_domain::{SessionId, TenantId, UserId};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
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

/// Key generation is dear; all tests share one ring. (A `KeyRing` is immutable.)
async fn stored() -> &'static Keys {
    static STORE: OnceCell<Keys> = OnceCell::const_new();
    STORE
        .get_or_init(|| async {
            let store = Keys::for_racers(1);
            load(&store).await.unwrap();
            store
        })
        .await
}

async fn tokens() -> JwtTokens {
    JwtTokens::new(
        load(stored().await).await.unwrap(),
        Arc::new(CountingIds::default()),
        options(),
    )
}

fn claims() -> AccessClaims {
    AccessClaims {
        user: UserId::from_uuid(Uuid::from_u128(1)),
        tenant: TenantId::from_uuid(Uuid::from_u128(2)),
        session: SessionId::from_uuid(Uuid::from_u128(3)),
        issued_at: at(NOW),
        expires_at: at(EXPIRY),
    }
}

/// The claims of a good token, to be altered.
fn wire() -> Value {
    json!({
        "iss": "https://hooks.example", "aud": "postrider", "sub": claims().user.to_string(),
        "iat": NOW, "exp": EXPIRY, "jti": "1", "ten": claims().tenant.to_string(),
        "sid": claims().session.to_string(), "kind": "user",
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

#[tokio::test]
async fn what_was_issued_is_verified_and_holds_what_was_asked() {
    let tokens = tokens().await;
    let (a, b) = (tokens.issue(&claims()).unwrap(), tokens.issue(&claims()).unwrap());
    assert_eq!(tokens.verify(&a, at(NOW)), Ok(claims()));
    assert_ne!(a, b, "each token has an id of its own");
    let decoded = |n: usize| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(a.split('.').nth(n).unwrap()).unwrap()).unwrap()
    };
    assert_eq!(decoded(0), header(&tokens));
    let mut expected = wire();
    expected["jti"] = json!(Uuid::from_u128(1).to_string());
    assert_eq!(decoded(1), expected);
    // The test's own way of signing makes good tokens too, or the refusals below would prove nothing.
    assert_eq!(
        tokens.verify(&signed(&tokens, &header(&tokens), &wire()), at(NOW)),
        Ok(claims())
    );
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
    assert_eq!(theirs.claims["sub"], claims().user.to_string());
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
    // Issued by a node whose clock is ahead.
    assert_eq!(tokens.verify(&token, at(NOW - 60)), Ok(claims()));
    assert_eq!(tokens.verify(&token, at(NOW - 61)), Err(TokenError::Malformed));
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
    let stranger = load(&Keys::for_racers(1)).await.unwrap();
    let sign = |key: &EncodingKey, algorithm| {
        jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).unwrap()
    };
    let ours = &tokens.keys.signing().private;
    for signature in [
        sign(&stranger.signing().private, Algorithm::RS256),
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
    let stranger = load(&Keys::for_racers(1)).await.unwrap();
    let foreign: Value = serde_json::from_str(stranger.jwks()).unwrap();
    let mut with_key = header(&tokens);
    with_key["jwk"] = foreign["keys"][0].clone();
    let message = format!("{}.{}", part(&with_key), part(&wire()));
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), &stranger.signing().private, ALGORITHM).unwrap();
    assert_eq!(
        tokens.verify(&format!("{message}.{signature}"), at(NOW)),
        Err(TokenError::Forged)
    );
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
    let user = claims().user.to_string();
    for (member, value) in [
        ("iss", json!("https://hooks.example/")),
        ("iss", json!("HTTPS://HOOKS.EXAMPLE")),
        ("iss", json!(["https://hooks.example", "https://evil.example"])),
        ("aud", json!("other")),
        ("aud", json!(["postrider"])),
        ("aud", json!(["postrider", "other"])),
        ("sub", json!("usr_")),
        ("sub", json!(claims().tenant.to_string())),
        ("sub", json!(user.to_uppercase())),
        ("sub", json!(1)),
        ("ten", json!(user)),
        ("ten", json!("")),
        ("sid", json!("ses_8zzzzzzzzzzzzzzzzzzzzzzzzz")),
        ("kind", json!("api_key")),
        ("kind", json!("User")),
        ("jti", json!("")),
        ("iat", json!("1800000000")),
        ("iat", json!(NOW + 61)),
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
async fn a_claim_that_stands_twice_is_malformed() {
    let tokens = tokens().await;
    let text = wire()
        .to_string()
        .replacen('{', r#"{"ten":"ten_00000000000000000000000009","#, 1);
    let message = format!("{}.{}", part(&header(&tokens)), URL_SAFE_NO_PAD.encode(text));
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), &tokens.keys.signing().private, ALGORITHM).unwrap();
    assert_eq!(
        tokens.verify(&format!("{message}.{signature}"), at(NOW)),
        Err(TokenError::Malformed)
    );
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

#[tokio::test]
async fn tokens_of_an_older_key_stay_good() {
    let old = tokens().await;
    let token = old.issue(&claims()).unwrap();
    let both = Keys::for_racers(1);
    let newer = Keys::for_racers(1);
    load(&newer).await.unwrap();
    let mut newest = newer.stored.lock().unwrap().remove(0);
    newest.created_at = at(5_000);
    let oldest = stored().await.stored.lock().unwrap()[0].clone();
    both.stored.lock().unwrap().extend([newest, oldest]);
    let tokens = JwtTokens::new(
        load(&both).await.unwrap(),
        Arc::new(CountingIds::default()),
        options(),
    );
    assert_eq!(tokens.verify(&token, at(NOW)), Ok(claims()));
    let new = tokens.issue(&claims()).unwrap();
    assert_eq!(tokens.verify(&new, at(NOW)), Ok(claims()));
    assert_eq!(
        old.verify(&new, at(NOW)),
        Err(TokenError::Malformed),
        "a key that the old node does not know"
    );
}
