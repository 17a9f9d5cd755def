//! One input and the answers that are right for it.

/// One input.
pub(super) struct Case {
    /// What it is, for people.
    pub(super) name: String,
    /// What is sent.
    pub(super) bytes: Vec<u8>,
    /// Statuses and problem codes that are right; without a code: an answer of the parser's own, without a body.
    pub(super) right: &'static [(u16, &'static str)],
    /// Whether the connection may be closed without an answer that still arrives.
    pub(super) may_close: bool,
}

impl Case {
    /// Bytes as they are.
    pub(super) fn new(
        name: impl Into<String>,
        right: &'static [(u16, &'static str)],
        bytes: impl Into<Vec<u8>>,
    ) -> Self {
        Self {
            name: name.into(),
            bytes: bytes.into(),
            right,
            may_close: false,
        }
    }

    /// What is too long may be cut off: the answer may be lost with what the server did not read.
    pub(super) fn or_closed(mut self) -> Self {
        self.may_close = true;
        self
    }
}

/// Our parser's word for what is no HTTP: no request, so no problem.
pub(super) const BARE: &[(u16, &str)] = &[(400, "")];
/// Its word for a head that is too long.
pub(super) const HEAD_TOO_LONG: &[(u16, &str)] = &[(431, "")];
pub(super) const MALFORMED: &[(u16, &str)] = &[(400, "malformed_request")];
pub(super) const INVALID: &[(u16, &str)] = &[(422, "validation_failed")];
pub(super) const TOO_LARGE: &[(u16, &str)] = &[(413, "payload_too_large")];
pub(super) const UNSUPPORTED: &[(u16, &str)] = &[(415, "unsupported_media_type")];
pub(super) const NOT_FOUND: &[(u16, &str)] = &[(404, "not_found")];
pub(super) const UNAUTHENTICATED: &[(u16, &str)] = &[(401, "unauthenticated"), (401, "invalid_token")];
pub(super) const GOOD: &[(u16, &str)] = &[(200, "")];
pub(super) const ACCEPTED: &[(u16, &str)] = &[(202, "")];

/// How requests are written.
pub(super) struct Pen {
    /// What is sent in `Authorization`.
    pub(super) token: String,
    /// The path of an application.
    pub(super) application: String,
}

impl Pen {
    /// A head with these further lines, each with its end, and the empty line.
    pub(super) fn head(&self, method: &str, path: &str, lines: &str) -> Vec<u8> {
        format!(
            "{method} {path} HTTP/1.1\r\nhost: raw\r\nauthorization: Bearer {}\r\n{lines}\r\n",
            self.token
        )
        .into_bytes()
    }

    /// GET.
    pub(super) fn get(&self, path: &str) -> Vec<u8> {
        self.head("GET", path, "")
    }

    /// A JSON body, with its length.
    pub(super) fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
        self.with("POST", path, "", body)
    }

    /// A JSON body, with its length and further lines.
    pub(super) fn with(&self, method: &str, path: &str, lines: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
        let body = body.as_ref();
        let lines = format!(
            "content-type: application/json\r\ncontent-length: {}\r\n{lines}",
            body.len()
        );
        [self.head(method, path, &lines).as_slice(), body].concat()
    }

    /// A JSON body in chunks that are written as they are.
    pub(super) fn chunked(&self, path: &str, chunks: impl AsRef<[u8]>) -> Vec<u8> {
        let lines = "content-type: application/json\r\ntransfer-encoding: chunked\r\n";
        [self.head("POST", path, lines).as_slice(), chunks.as_ref()].concat()
    }

    /// Where messages are published.
    pub(super) fn messages(&self) -> String {
        format!("{}/messages", self.application)
    }

    /// Where endpoints are made.
    pub(super) fn endpoints(&self) -> String {
        format!("{}/endpoints", self.application)
    }
}
