//! Tokens that were altered, signed by somebody else, or signed in another way than ours are.

use super::*;

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
    let ours = &tokens.keys.signing().unwrap().private.clone();
    for signature in [
        sign(&stranger.keys.signing().unwrap().private, Algorithm::RS256),
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
        let signature = jsonwebtoken::crypto::sign(
            message.as_bytes(),
            &tokens.keys.signing().unwrap().private,
            algorithm,
        )
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
    let signature = jsonwebtoken::crypto::sign(
        message.as_bytes(),
        &stranger.keys.signing().unwrap().private,
        ALGORITHM,
    )
    .unwrap();
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
    let kid = stranger.keys.signing().unwrap().kid.clone();
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
