//! Tokens that are not good: expired, forged, foreign. All of them are answered alike.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::support::Api;

const PATH: &str = "/v1/applications/app-1";

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn read(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// Header, claims, signature.
fn parts(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().unwrap()
}

/// A DER value of `tag`.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut bytes = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 128 => bytes.push(short),
        Ok(long) => bytes.extend([0x81, long]),
        Err(_) => bytes.extend([
            0x82,
            u8::try_from(length >> 8).unwrap(),
            u8::try_from(length & 0xff).unwrap(),
        ]),
    }
    bytes.extend_from_slice(content);
    bytes
}

/// The public key of a JWK as the PEM file that everybody has of it (RFC 8017, RFC 5280).
fn pem(jwk: &Value) -> String {
    let integer = |name: &str| {
        let mut bytes = URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        bytes.insert(0, 0);
        der(2, if name == "e" { &bytes[1..] } else { &bytes })
    };
    let key = der(0x30, &[integer("n"), integer("e")].concat());
    let rsa = [
        0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0,
    ];
    let bits = der(3, &[&[0][..], &key].concat());
    let info = der(0x30, &[&rsa[..], &bits].concat());
    let text = base64::engine::general_purpose::STANDARD.encode(info);
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(64)
        .map(|l| std::str::from_utf8(l).unwrap())
        .collect();
    format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        lines.join("\n")
    )
}

#[actix_web::test]
async fn forged_tokens_are_refused() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    let rival = api.tenancy("rival").await;
    let token = tenancy.owner.as_str();
    api.get(token, PATH).await.expect(200);
    let [header, claims, signature] = parts(token);
    let head = read(header);
    assert_eq!((&head["alg"], &head["typ"]), (&json!("RS256"), &json!("at+jwt")));
    let jwk = api.get("", "/.well-known/jwks.json").await.json()["keys"][0].clone();
    assert_eq!(head["kid"], jwk["kid"]);

    let with = |name: &str, value: Value| {
        let mut header = head.clone();
        header[name] = value;
        part(&header)
    };
    let mut other_tenant = read(claims);
    other_tenant["ten"] = rival.id.clone().into();
    let mut longer = read(claims);
    longer["exp"] = json!(longer["exp"].as_i64().unwrap() + 1_000_000);

    let hs256 = |secret: &[u8]| {
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(head["kid"].as_str().unwrap().to_owned());
        encode(&header, &read(claims), &EncodingKey::from_secret(secret)).unwrap()
    };
    let pem = pem(&jwk);
    for (what, forged) in [
        (
            "alg none, no signature",
            format!("{}.{claims}.", with("alg", "none".into())),
        ),
        (
            "alg none, old signature",
            format!("{}.{claims}.{signature}", with("alg", "none".into())),
        ),
        ("alg None", format!("{}.{claims}.", with("alg", "None".into()))),
        ("HS256 with the public PEM", hs256(pem.as_bytes())),
        (
            "HS256 with the public PEM, trimmed",
            hs256(pem.trim_end().as_bytes()),
        ),
        ("HS256 with the JWK", hs256(jwk.to_string().as_bytes())),
        (
            "HS256 with the modulus",
            hs256(&URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap()),
        ),
        (
            "unknown kid",
            format!("{}.{claims}.{signature}", with("kid", "other".into())),
        ),
        (
            "no kid",
            format!("{}.{claims}.{signature}", with("kid", Value::Null)),
        ),
        (
            "other type",
            format!("{}.{claims}.{signature}", with("typ", "JWT".into())),
        ),
        (
            "key of its own",
            format!("{}.{claims}.{signature}", with("jwk", jwk.clone())),
        ),
        (
            "other tenant",
            format!("{header}.{}.{signature}", part(&other_tenant)),
        ),
        ("longer life", format!("{header}.{}.{signature}", part(&longer))),
        ("no signature", format!("{header}.{claims}.")),
        ("two parts", format!("{header}.{claims}")),
        ("four parts", format!("{token}.x")),
        ("cut", token[..token.len() - 1].to_owned()),
    ] {
        let answer = api.get(&forged, PATH).await;
        assert_eq!(answer.status, 401, "{what}");
        let problem = answer.problem(401, "unauthenticated");
        assert_eq!(
            problem.text("detail"),
            "the credential is not valid, or not any more",
            "{what}"
        );
    }
    // The test's PEM is the key: an HS256 token over it is refused for what it is, not because the PEM is wrong.
    let key = jsonwebtoken::DecodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
    let signed = format!("{header}.{claims}");
    let bytes = signed.as_bytes();
    assert!(jsonwebtoken::crypto::verify(signature, bytes, &key, Algorithm::RS256).unwrap());
}

#[actix_web::test]
async fn a_token_of_another_installation_is_refused() {
    let (api, other) = (Api::start().await, Api::start().await);
    api.tenancy("acme").await;
    // Both installations are alike to the last id; only their keys differ.
    let foreign = other.tenancy("acme").await;
    other.get(&foreign.owner, PATH).await.expect(200);
    api.get(&foreign.owner, PATH)
        .await
        .problem(401, "unauthenticated");
    let key = other.key(&foreign.owner, json!([{"role": "admin"}])).await;
    other.get(&key, PATH).await.expect(200);
    api.get(&key, PATH).await.problem(401, "unauthenticated");
    api.get(&other.operator, PATH)
        .await
        .problem(401, "unauthenticated");
}

#[actix_web::test]
async fn tokens_and_keys_expire() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    let body = json!({"name": "k", "grants": [{"role": "viewer"}], "expires_at": "2026-11-02T09:00:00Z"});
    let key = api
        .post(&tenancy.owner, "/v1/api-keys", body)
        .await
        .expect(201)
        .text("token");
    api.get(&key, PATH).await.expect(200);
    api.clock.advance(Duration::from_mins(9));
    api.get(&tenancy.owner, PATH).await.expect(200);
    api.clock.advance(Duration::from_mins(1));
    api.get(&tenancy.owner, PATH)
        .await
        .problem(401, "unauthenticated");
    api.get(&key, PATH).await.expect(200);
    api.clock.advance(Duration::from_mins(20));
    api.get(&key, PATH).await.problem(401, "unauthenticated");
}

#[actix_web::test]
async fn a_key_with_one_wrong_character_is_refused() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    let key = api.key(&tenancy.owner, json!([{"role": "viewer"}])).await;
    api.get(&key, PATH).await.expect(200);
    let wrong = |token: &str| {
        let last = if token.ends_with('0') { "1" } else { "0" };
        format!("{}{last}", &token[..token.len() - 1])
    };
    for token in [wrong(&key), wrong(&api.operator)] {
        api.get(&token, PATH).await.problem(401, "unauthenticated");
    }
}
