//! Request lines, headers, and where a body begins and ends.

use super::case::{
    BARE, Case, GOOD, HEAD_TOO_LONG, INVALID, MALFORMED, NOT_FOUND, Pen, TOO_LARGE, UNAUTHENTICATED,
    UNSUPPORTED,
};

const TEN_MEGABYTES: usize = 10 << 20;
const APPLICATIONS: &str = "/v1/applications";

/// Too long, without an end, and no text.
pub(super) fn lengths(pen: &Pen) -> Vec<Case> {
    let large = format!("x-large: {}\r\n", "a".repeat(TEN_MEGABYTES));
    let many = "x-n: 1\r\n".repeat(TEN_MEGABYTES / 8);
    let endless = [&pen.get(APPLICATIONS)[..20], &vec![b'a'; TEN_MEGABYTES]].concat();
    let get = |path: &str| pen.get(path);
    vec![
        Case::new(
            "10 MB in one header",
            HEAD_TOO_LONG,
            pen.head("GET", APPLICATIONS, &large),
        )
        .or_closed(),
        Case::new(
            "10 MB in many headers",
            HEAD_TOO_LONG,
            pen.head("GET", APPLICATIONS, &many),
        )
        .or_closed(),
        Case::new(
            "100 headers",
            HEAD_TOO_LONG,
            pen.head("GET", APPLICATIONS, &"x-n: 1\r\n".repeat(100)),
        ),
        Case::new("10 MB of a line without end", HEAD_TOO_LONG, endless).or_closed(),
        Case::new(
            "a path of 60 kB",
            NOT_FOUND,
            get(&format!("/v1/{}", "a".repeat(60_000))),
        ),
        Case::new(
            "a path of 100 kB",
            BARE,
            get(&format!("/v1/{}", "a".repeat(100_000))),
        ),
        Case::new(
            "10,000 query parameters",
            MALFORMED_OR_INVALID,
            get(&format!("{APPLICATIONS}?{}", "a=1&".repeat(10_000))),
        ),
    ]
}

/// Paths and queries that are no text, or no text of ours.
pub(super) fn targets(pen: &Pen) -> Vec<Case> {
    let get = |path: &str| pen.get(path);
    let target = |target: &[u8]| {
        [
            b"GET ",
            target,
            b" HTTP/1.1\r\nhost: raw\r\nauthorization: Bearer ",
            pen.token.as_bytes(),
            b"\r\n\r\n",
        ]
        .concat()
    };
    vec![
        Case::new(
            "bytes that are no UTF-8 in the path",
            BARE_OR_NOT_FOUND,
            target(b"/v1/applications/\xff\xfe"),
        ),
        Case::new(
            "%FF in the path",
            NOT_FOUND_OR_INVALID,
            get("/v1/applications/%ff%fe"),
        ),
        Case::new(
            "%00 in the path",
            NOT_FOUND_OR_INVALID,
            get("/v1/applications/a%00b"),
        ),
        Case::new(
            "%0D%0A in the path",
            NOT_FOUND_OR_INVALID,
            get("/v1/applications/a%0d%0aset-cookie:b"),
        ),
        Case::new(
            "%2F..%2F in the path",
            NOT_FOUND_OR_INVALID,
            get("/v1/applications/..%2f..%2fv1%2fme"),
        ),
        Case::new("NUL in the path", BARE, target(b"/v1/applications/a\0b")),
        Case::new(
            "bytes that are no UTF-8 in the query",
            BARE_OR_INVALID,
            target(b"/v1/applications?cursor=\xff\xfe"),
        ),
        Case::new(
            "%FF in the query",
            MALFORMED_OR_INVALID,
            get("/v1/applications?cursor=%ff%fe"),
        ),
        Case::new(
            "%00 in the query",
            MALFORMED_OR_INVALID,
            get("/v1/event-types?state=a%00"),
        ),
    ]
}

/// Headers that are no text, and what is no HTTP/1.1.
pub(super) fn headers(pen: &Pen) -> Vec<Case> {
    let get = |path: &str| pen.get(path);
    let header = |line: &[u8]| {
        let mut head = pen.get(APPLICATIONS);
        let end = head.len() - 2;
        head.splice(end..end, [line, b"\r\n"].concat());
        head
    };
    vec![
        Case::new(
            "bytes that are no UTF-8 in a header of no meaning",
            GOOD,
            header(b"x-request-id: \xff\xfe"),
        ),
        Case::new(
            "bytes that are no UTF-8 in Accept-Encoding",
            GOOD,
            header(b"accept-encoding: \xff"),
        ),
        Case::new(
            "bytes that are no UTF-8 in Authorization",
            UNAUTHENTICATED,
            b"GET /v1/me HTTP/1.1\r\nhost: raw\r\nauthorization: Bearer \xff\xfe\r\n\r\n",
        ),
        Case::new(
            "a byte that is no UTF-8 in a header's name",
            BARE,
            header(b"x-\xff: 1"),
        ),
        Case::new("NUL in a header's value", BARE, header(b"x-a: a\0b")),
        Case::new("CR in a header's value", BARE, header(b"x-a: a\rb: c")),
        Case::new("a folded header", BARE, header(b"x-a: a\r\n b")),
        Case::new("a header without a colon", BARE, header(b"nothing")),
        Case::new("a space before the colon", BARE, header(b"x-a : 1")),
        Case::new(
            "a limit of 30 digits",
            INVALID,
            get(&format!("{APPLICATIONS}?limit={}", "9".repeat(30))),
        ),
        Case::new("a limit of -1", INVALID, get("/v1/applications?limit=-1")),
        Case::new(
            "a TLS greeting",
            BARE,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        ),
        Case::new("an HTTP/2 preface", BARE, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        Case::new("HTTP/9.9", BARE, b"GET /v1/me HTTP/9.9\r\nhost: raw\r\n\r\n"),
        Case::new("no Host", BARE, b"GET /health/live HTTP/1.1\r\n\r\n"),
        Case::new(
            "two Hosts",
            BARE,
            b"GET /health/live HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        ),
        Case::new(
            "a method of 60 kB",
            BARE_OR_NOT_ALLOWED,
            [&vec![b'A'; 60_000], &pen.get(APPLICATIONS)[3..]].concat(),
        ),
    ]
}

const MALFORMED_OR_INVALID: &[(u16, &str)] = &[(400, "malformed_request"), (422, "validation_failed")];
const NOT_FOUND_OR_INVALID: &[(u16, &str)] = &[(404, "not_found"), (422, "validation_failed")];
const BARE_OR_INVALID: &[(u16, &str)] = &[(400, ""), (400, "malformed_request"), (422, "validation_failed")];
const BARE_OR_NOT_FOUND: &[(u16, &str)] = &[(400, ""), (404, "not_found"), (422, "validation_failed")];
const BARE_OR_NOT_ALLOWED: &[(u16, &str)] = &[(400, ""), (405, "method_not_allowed")];

/// A head that says in two ways where its body ends, and then what one of them takes for the next request.
fn hiding(pen: &Pen, lines: &str) -> Vec<u8> {
    let lines = format!("content-type: application/json\r\n{lines}");
    [
        pen.head("POST", APPLICATIONS, &lines),
        format!("0\r\n\r\n{HIDDEN}").into_bytes(),
    ]
    .concat()
}

const HIDDEN: &str = "GET /v1/me HTTP/1.1\r\nhost: raw\r\n\r\n";

/// Two opinions about where a body ends are a way to smuggle a request past whoever stands in front: there must be one
/// answer, and it must be a refusal. Here by its length.
pub(super) fn lengths_of_bodies(pen: &Pen) -> Vec<Case> {
    let hiding = |lines: &str| hiding(pen, lines);
    vec![
        Case::new(
            "Content-Length twice, the same",
            BARE,
            hiding("content-length: 5\r\ncontent-length: 5\r\n"),
        ),
        Case::new(
            "Content-Length twice, different",
            BARE,
            hiding("content-length: 5\r\ncontent-length: 0\r\n"),
        ),
        Case::new("Content-Length: 5, 5", BARE, hiding("content-length: 5, 5\r\n")),
        Case::new("Content-Length: +5", BARE, hiding("content-length: +5\r\n")),
        Case::new("Content-Length: -1", BARE, hiding("content-length: -1\r\n")),
        Case::new("Content-Length: 0x5", BARE, hiding("content-length: 0x5\r\n")),
        Case::new(
            "Content-Length above 2^64",
            BARE,
            hiding("content-length: 18446744073709551621\r\n"),
        ),
    ]
}

/// The same by its coding.
pub(super) fn codings(pen: &Pen) -> Vec<Case> {
    let hiding = |lines: &str| hiding(pen, lines);
    let one_zero = format!(
        "POST {APPLICATIONS} HTTP/1.0\r\nhost: raw\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"
    );
    vec![
        Case::new(
            "Content-Length and Transfer-Encoding",
            BARE,
            hiding("content-length: 5\r\ntransfer-encoding: chunked\r\n"),
        ),
        Case::new(
            "Transfer-Encoding twice",
            BARE,
            hiding("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n"),
        ),
        Case::new(
            "Transfer-Encoding: chunked, identity",
            BARE,
            hiding("transfer-encoding: chunked, identity\r\n"),
        ),
        Case::new(
            "Transfer-Encoding: identity",
            BARE,
            hiding("transfer-encoding: identity\r\ncontent-length: 5\r\n"),
        ),
        Case::new(
            "Transfer-Encoding: xchunked",
            BARE,
            hiding("transfer-encoding: xchunked\r\n"),
        ),
        Case::new(
            "Transfer-Encoding with a vertical tab",
            BARE,
            hiding("transfer-encoding: \u{b}chunked\r\n"),
        ),
        Case::new(
            "Transfer-Encoding with a space before the colon",
            BARE,
            hiding("transfer-encoding : chunked\r\n"),
        ),
        Case::new("Transfer-Encoding in HTTP/1.0", BARE, one_zero),
    ]
}

/// Chunks that are wrong.
pub(super) fn chunks(pen: &Pen) -> Vec<Case> {
    let chunks = |chunks: &str| pen.chunked(APPLICATIONS, chunks);
    vec![
        Case::new("a chunk size of zz", MALFORMED, chunks("zz\r\n{}\r\n0\r\n\r\n")),
        Case::new("a chunk size of -1", MALFORMED, chunks("-1\r\n{}\r\n0\r\n\r\n")),
        Case::new(
            "a chunk size of 2^64 and more",
            MALFORMED,
            chunks("fffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
        ),
        Case::new(
            "a chunk that is longer than it says",
            MALFORMED,
            chunks("1\r\n{\"a\":1}\r\n0\r\n\r\n"),
        ),
        Case::new(
            "a chunk size without CR LF",
            MALFORMED,
            chunks("5 x{\"a\":1}\r\n0\r\n\r\n"),
        ),
        Case::new(
            "control characters in a chunk's extension",
            MALFORMED,
            chunks("2;\u{1}\r\n{}\r\n0\r\n\r\n"),
        ),
    ]
}

/// Bodies that are too long, encoded, or of another type.
pub(super) fn bodies(pen: &Pen) -> Vec<Case> {
    let chunks = |chunks: &str| pen.chunked(APPLICATIONS, chunks);
    let long = format!("{{\"name\":\"{}\"}}", "a".repeat(3 << 20));
    let long_chunks = format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
    let announced = "content-type: application/json\r\ncontent-length: 109951162777600\r\n";
    let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xab\x56\xca\x4b\xcc\x4d\x55\xb2\x52\x4a\x54\xaa\x05\0";
    let login = "/v1/auth/login";
    vec![
        Case::new("3 MB with their length", TOO_LARGE, pen.post(APPLICATIONS, &long)).or_closed(),
        Case::new("3 MB in chunks", TOO_LARGE, chunks(&long_chunks)).or_closed(),
        Case::new("3 MB to a login", TOO_LARGE, pen.post(login, &long)).or_closed(),
        Case::new(
            "100 TB announced",
            TOO_LARGE,
            pen.head("POST", APPLICATIONS, announced),
        ),
        Case::new(
            "a body in gzip",
            UNSUPPORTED,
            pen.with("POST", APPLICATIONS, "content-encoding: gzip\r\n", gzip),
        ),
        Case::new(
            "a body in br, then gzip",
            UNSUPPORTED,
            pen.with("POST", APPLICATIONS, "content-encoding: br, gzip\r\n", gzip),
        ),
        Case::new(
            "a body in UTF-16",
            UNSUPPORTED,
            pen.head(
                "POST",
                APPLICATIONS,
                "content-type: application/json; charset=utf-16\r\ncontent-length: 0\r\n",
            ),
        ),
        Case::new(
            "no Content-Type",
            UNSUPPORTED,
            pen.head("POST", APPLICATIONS, "content-length: 0\r\n"),
        ),
    ]
}
