//! The documentation page: served from the binary, fetching nothing from elsewhere.

use crate::support::Api;

#[actix_web::test]
async fn the_page_comes_from_here_and_refers_to_nothing_elsewhere() {
    let api = Api::start().await;
    let redirect = api.get("", "/docs").await.expect(308);
    assert_eq!(redirect.header("location"), "/docs/");
    let page = api.get("", "/docs/").await.expect(200);
    assert!(page.header("content-type").starts_with("text/html"));
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("default-src 'self'") && !policy.contains("http"),
        "{policy}"
    );
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    let elsewhere = html.split(['"', '\'']).find(|text| text.contains("//"));
    assert_eq!(elsewhere, None);
    // Everything that it loads is there.
    let files: Vec<_> = html
        .split(['"', '\''])
        .filter(|text| {
            [".js", ".css", ".png"]
                .iter()
                .any(|extension| text.ends_with(extension))
        })
        .collect();
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        let path = format!("/docs/{}", file.trim_start_matches("./"));
        api.get("", &path).await.expect(200);
    }
    let script = api.get("", "/docs/swagger-initializer.js").await.expect(200);
    let script = String::from_utf8(script.body.to_vec()).unwrap();
    assert!(script.contains("\"/openapi.json\""), "{script}");
    assert!(script.contains("\"validatorUrl\": \"none\""), "{script}");
    assert!(!script.contains("http"), "{script}");
}
