use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{ENDPOINTS, fault, given, is};

#[actix_web::test]
async fn secrets_are_rotated_with_an_overlap() {
    let (api, tenancy) = given().await;
    let owner = &tenancy.owner;
    let path = format!("{ENDPOINTS}/hook/secret");
    let rotate = format!("{path}/rotate");
    let first = api.get(owner, &path).await.expect(200).json();
    assert_eq!(
        (&first["type"], &first["public_key"]),
        (&json!("hmac"), &Value::Null)
    );
    let given = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let body = json!({"secret": given, "overlap_seconds": 60});
    let rotated = api.post(owner, &rotate, body.clone()).await.expect(200);
    assert_eq!(rotated.header("cache-control"), "no-store");
    let rotated = rotated.json();
    assert_eq!(rotated["secret"], given);
    assert!(rotated["previous"][0]["expires_at"].is_string());
    assert_eq!(
        rotated["previous"][0].get("secret"),
        None,
        "only the new one is shown"
    );
    let held = api.get(owner, &path).await.json();
    assert_eq!(held["secret"], given);
    assert_eq!(held["previous"][0]["secret"], first["secret"]);
    assert_eq!(
        fault(api.post(owner, &rotate, body).await),
        is("secret", "duplicate")
    );
    api.clock.advance(std::time::Duration::from_mins(1));
    let owner = &api
        .log_in("owner@acme.example")
        .await
        .expect(200)
        .text("access_token");
    assert_eq!(api.get(owner, &path).await.json()["previous"], json!([]));
}

#[actix_web::test]
async fn a_pair_of_keys_shows_its_public_one_and_bad_secrets_are_refused() {
    let (api, tenancy) = given().await;
    let owner = &tenancy.owner;
    let rotate = format!("{ENDPOINTS}/hook/secret/rotate");
    let seed = STANDARD.encode([1; 32]);
    let body = json!({"secret": format!("whsk_{seed}"), "overlap_seconds": 0});
    let pair = api.post(owner, &rotate, body).await.expect(200).json();
    let public = pair["public_key"].as_str().unwrap();
    assert!(public.starts_with("whpk_"), "{pair}");
    assert_eq!(
        (&pair["type"], &pair["secret"]),
        (&json!("ed25519"), &Value::Null)
    );
    assert_eq!(pair["previous"], json!([]), "without an overlap all end");
    for (body, field, rule) in [
        (json!({"secret": "x"}), "secret", "format"),
        (
            json!({"secret": format!("whsk_{}", STANDARD.encode([1; 64]))}),
            "secret",
            "format",
        ),
        (json!({"secret": format!("whsk_{seed}")}), "secret", "duplicate"),
        (json!({"secret_type": "rsa"}), "secret_type", "unknown"),
        (json!({"overlap_seconds": 604_801}), "overlap_seconds", "range"),
        (
            json!({"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "secret_type": "hmac"}),
            "secret_type",
            "exclusive",
        ),
    ] {
        assert_eq!(
            fault(api.post(owner, &rotate, body.clone()).await),
            is(field, rule),
            "{body}"
        );
    }
    for _ in 0..3 {
        api.post(owner, &rotate, json!({})).await.expect(200);
    }
    api.post(owner, &rotate, json!({}))
        .await
        .problem(409, "secret_limit_reached");
}

#[actix_web::test]
async fn an_endpoint_is_created_with_a_pair_of_keys() {
    let (api, tenancy) = given().await;
    let owner = &tenancy.owner;
    let body = json!({"url": "https://example.com/", "secret_type": "ed25519"});
    let created = api.post(owner, ENDPOINTS, body).await.expect(201).json();
    assert_eq!(
        (&created["secret"], &created["secret_type"]),
        (&Value::Null, &json!("ed25519"))
    );
    assert!(created["public_key"].as_str().unwrap().starts_with("whpk_"));
}
