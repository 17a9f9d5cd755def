//! Claims that no token of ours has, in tokens that only we could have signed.

use super::*;

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
        ("gen", json!(1)),
        ("gen", Value::Null),
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
        ("gen", Value::Null),
        ("gen", json!("1")),
        ("gen", json!(1.5)),
        ("iat", json!(NOW + 61)),
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
        let key = &tokens.keys.signing().unwrap().private;
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, ALGORITHM).unwrap();
        assert_eq!(
            tokens.verify(&format!("{message}.{signature}"), at(NOW)),
            Err(TokenError::Malformed),
            "{again}"
        );
    }
}
