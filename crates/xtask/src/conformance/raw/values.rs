//! Bodies that are JSON, or nearly, and the values in them.

use serde_json::json;

use super::case::{ACCEPTED, Case, INVALID, MALFORMED, Pen, TOO_LARGE};

const APPLICATIONS: &str = "/v1/applications";
const DEEP: usize = 100_000;

/// What is no JSON.
pub(super) fn json_bodies(pen: &Pen) -> Vec<Case> {
    let application = |body: &[u8]| pen.post(APPLICATIONS, body);
    let message = |body: &[u8]| pen.post(&pen.messages(), body);
    let named = |name: &[u8]| [b"{\"name\":\"", name, b"\"}"].concat();
    vec![
        Case::new("no body", MALFORMED, application(b"")),
        Case::new("half of a body", MALFORMED, application(b"{\"name\":\"a")),
        Case::new(
            "two bodies",
            MALFORMED,
            application(b"{\"name\":\"a\"}{\"name\":\"b\"}"),
        ),
        Case::new(
            "a byte order mark",
            MALFORMED,
            application(b"\xef\xbb\xbf{\"name\":\"a\"}"),
        ),
        Case::new(
            "bytes that are no UTF-8",
            MALFORMED,
            application(&named(b"\xff\xfe")),
        ),
        Case::new(
            "bytes that are no UTF-8 in a payload",
            MALFORMED,
            message(b"{\"event_type\":\"a\",\"payload\":\"\xff\"}"),
        ),
        Case::new("half of a surrogate", MALFORMED, application(&named(br"\ud800"))),
        Case::new("a raw NUL in a text", MALFORMED, application(&named(b"a\0b"))),
    ]
}

/// Texts with a NUL, which no text of a database may hold.
pub(super) fn texts(pen: &Pen) -> Vec<Case> {
    let application = |body: &[u8]| pen.post(APPLICATIONS, body);
    let message = |body: &[u8]| pen.post(&pen.messages(), body);
    let payload =
        |payload: &str| format!("{{\"event_type\":\"raw.value\",\"payload\":{payload}}}").into_bytes();
    let named = |name: &[u8]| [b"{\"name\":\"", name, b"\"}"].concat();
    vec![
        Case::new("\\u0000 in a name", INVALID, application(&named(br"a\u0000b"))),
        Case::new(
            "\\u0000 in metadata",
            INVALID,
            application(br#"{"name":"a","metadata":{"a\u0000":"b\u0000"}}"#),
        ),
        Case::new(
            "\\u0000 in a uid",
            INVALID,
            application(br#"{"name":"a","uid":"a\u0000"}"#),
        ),
        Case::new(
            "\\u0000 in an event_id",
            INVALID,
            message(br#"{"event_type":"a","payload":1,"event_id":"a\u0000"}"#),
        ),
        Case::new(
            "\\u0000 in a channel",
            INVALID,
            message(br#"{"event_type":"a","payload":1,"channels":["a\u0000"]}"#),
        ),
        Case::new(
            "\\u0000 in a payload, which is kept as it is",
            ACCEPTED,
            message(&payload(r#""a\u0000b""#)),
        ),
        Case::new(
            "NUL in an e-mail address",
            NOT_LET_IN,
            pen.post(
                "/v1/auth/login",
                br#"{"email":"a\u0000@example.com","password":"b"}"#,
            ),
        ),
    ]
}

/// JSON in JSON in JSON.
pub(super) fn depths(pen: &Pen) -> Vec<Case> {
    let application = |body: &[u8]| pen.post(APPLICATIONS, body);
    let message = |body: &[u8]| pen.post(&pen.messages(), body);
    let arrays = format!("{}{}", "[".repeat(DEEP), "]".repeat(DEEP));
    let objects = format!("{}1{}", "{\"a\":".repeat(DEEP), "}".repeat(DEEP));
    let payload =
        |payload: &str| format!("{{\"event_type\":\"raw.value\",\"payload\":{payload}}}").into_bytes();
    vec![
        Case::new(
            "an array in 100,000 arrays",
            INVALID,
            application(arrays.as_bytes()),
        ),
        Case::new("a payload of 100,000 arrays", INVALID, message(&payload(&arrays))),
        Case::new(
            "a payload of 100,000 objects",
            INVALID,
            message(&payload(&objects)),
        ),
        Case::new(
            "60,000 opened arrays, to a login",
            INVALID,
            pen.post("/v1/auth/login", "[".repeat(60_000)),
        ),
        // Whoever shows no credential may send 64 KiB.
        Case::new(
            "100,000 opened arrays, to a login",
            TOO_LARGE,
            pen.post("/v1/auth/login", "[".repeat(DEEP)),
        )
        .or_closed(),
    ]
}

/// Keys that are said twice, or that are many.
pub(super) fn keys(pen: &Pen) -> Vec<Case> {
    let application = |body: &[u8]| pen.post(APPLICATIONS, body);
    let many = (0..20_000)
        .map(|n| format!("\"k{n}\":\"v\""))
        .collect::<Vec<_>>()
        .join(",");
    vec![
        Case::new(
            "a key twice",
            MALFORMED,
            application(br#"{"name":"a","name":"b"}"#),
        ),
        Case::new(
            "a key twice, once escaped",
            MALFORMED,
            application(br#"{"name":"a","n\u0061me":"b"}"#),
        ),
        Case::new(
            "a key twice in metadata",
            MALFORMED,
            application(br#"{"name":"a","metadata":{"a":"1","a":"2"}}"#),
        ),
        Case::new(
            "20,000 keys in metadata",
            INVALID,
            application(format!("{{\"name\":\"a\",\"metadata\":{{{many},\"z\":\"v\"}}}}").as_bytes()),
        ),
        Case::new(
            "20,000 unknown keys",
            INVALID,
            application(format!("{{{many},\"name\":\"a\"}}").as_bytes()),
        ),
    ]
}

/// Numbers out of all range.
pub(super) fn numbers(pen: &Pen) -> Vec<Case> {
    let application = |body: &[u8]| pen.post(APPLICATIONS, body);
    let message = |body: &[u8]| pen.post(&pen.messages(), body);
    let payload =
        |payload: &str| format!("{{\"event_type\":\"raw.value\",\"payload\":{payload}}}").into_bytes();
    let digits = "9".repeat(100_000);
    vec![
        Case::new(
            "1e999 where a text belongs",
            INVALID_OR_MALFORMED,
            application(br#"{"name":1e999}"#),
        ),
        Case::new(
            "1e400 milliseconds",
            INVALID_OR_MALFORMED,
            pen.post(
                &pen.endpoints(),
                br#"{"url":"https://example.com/","timeout_ms":1e400}"#,
            ),
        ),
        Case::new(
            "100,000 digits of milliseconds",
            INVALID_OR_MALFORMED,
            pen.post(
                &pen.endpoints(),
                format!("{{\"url\":\"https://example.com/\",\"timeout_ms\":{digits}}}"),
            ),
        ),
        Case::new(
            "-1 milliseconds",
            INVALID,
            pen.post(
                &pen.endpoints(),
                br#"{"url":"https://example.com/","timeout_ms":-1}"#,
            ),
        ),
        Case::new(
            "a payload of 100,000 digits, which is kept as it is",
            ACCEPTED,
            message(&payload(&digits)),
        ),
    ]
}

const NOT_LET_IN: &[(u16, &str)] = &[(422, "validation_failed"), (401, "invalid_credentials")];
const INVALID_OR_MALFORMED: &[(u16, &str)] = &[(422, "validation_failed"), (400, "malformed_request")];

/// What would be sent on in a header or a URL.
pub(super) fn injections(pen: &Pen) -> Vec<Case> {
    let endpoint = |headers: &serde_json::Value| {
        pen.post(
            &pen.endpoints(),
            json!({"url": "https://example.com/", "headers": headers}).to_string(),
        )
    };
    vec![
        Case::new(
            "CR LF in an endpoint's header",
            INVALID,
            endpoint(&json!({"x-a": "b\r\nevil: 1"})),
        ),
        Case::new(
            "CR LF in an endpoint's header's name",
            INVALID,
            endpoint(&json!({"x-a: b\r\nevil": "1"})),
        ),
        Case::new(
            "NUL in an endpoint's header",
            INVALID,
            endpoint(&json!({"x-a": "b\u{0}"})),
        ),
        Case::new(
            "CR LF in an endpoint's URL",
            INVALID,
            pen.post(
                &pen.endpoints(),
                json!({"url": "https://example.com/\r\nevil: 1"}).to_string(),
            ),
        ),
        Case::new(
            "CR LF in a content type",
            INVALID,
            pen.post(
                &pen.messages(),
                json!({"event_type": "a", "raw": "YQ==", "content_type": "text/plain\r\nevil: 1"})
                    .to_string(),
            ),
        ),
    ]
}

/// Keys that say that a request is one of before.
pub(super) fn idempotency_keys(pen: &Pen) -> Vec<Case> {
    vec![
        Case::new(
            "bytes that are no UTF-8 in an Idempotency-Key",
            INVALID,
            [
                pen.head(
                    "POST",
                    &pen.messages(),
                    "content-type: application/json\r\ncontent-length: 32\r\nidempotency-key: ",
                )
                .strip_suffix(b"\r\n")
                .unwrap_or_default(),
                b"\xff\r\n\r\n{\"event_type\":\"a\",\"payload\":123}",
            ]
            .concat(),
        ),
        Case::new(
            "an Idempotency-Key twice",
            INVALID,
            pen.with(
                "POST",
                &pen.messages(),
                "idempotency-key: a\r\nidempotency-key: b\r\n",
                r#"{"event_type":"a","payload":1}"#,
            ),
        ),
        Case::new(
            "an Idempotency-Key of 10,000 characters",
            INVALID,
            pen.with(
                "POST",
                &pen.messages(),
                &format!("idempotency-key: {}\r\n", "a".repeat(10_000)),
                r#"{"event_type":"a","payload":1}"#,
            ),
        ),
    ]
}

/// Times that there are not, or that nobody may name.
pub(super) fn times(pen: &Pen) -> Vec<Case> {
    let times = [
        json!("9999-12-31T23:59:59Z"),
        json!("9999-12-31T23:59:59.999999999+23:59"),
        json!("10000-01-01T00:00:00Z"),
        json!("-0001-01-01T00:00:00Z"),
        json!("0000-00-00T00:00:00Z"),
        json!("2026-02-30T00:00:00Z"),
        json!("-1"),
        json!(-1),
        json!(1e18),
        json!(""),
        json!("2026-11-23T00:00:00+99:99"),
    ];
    let case = |time: &serde_json::Value| {
        let body = json!({"event_type": "raw.time", "payload": 1, "deliver_at": time});
        Case::new(
            format!("deliver_at {time}"),
            INVALID,
            pen.post(&pen.messages(), body.to_string()),
        )
    };
    times.iter().map(case).collect()
}
