//! What must stand in no log and in no span.

/// An endpoint's, of which host and port may be told and nothing else.
pub(crate) const URL: &str = "https://one.example:8443/hook/T0K3N?key=s3cret";

/// Of the URL, of what is signed with (bytes of 7, in Base64), of signatures, of the payload, of an answer.
const SECRETS: [&str; 8] = [
    "T0K3N",
    "s3cret",
    "/hook",
    "BwcHBwcH",
    "v1,",
    r#""a":1"#,
    r#"\"a\":1"#,
    "said in confidence",
];

/// Fails if a line of the text tells one of them.
pub(crate) fn tells_no_secret(text: &str) {
    for secret in SECRETS {
        let line = text.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}
