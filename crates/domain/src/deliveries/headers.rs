use std::fmt;

/// What stands for a value that must not be kept.
const MASKED: &str = "***";
/// Parts of names of headers whose values are secret: they may let somebody in.
const SECRET: [&str; 7] = [
    "cookie",
    "authorization",
    "authentication",
    "token",
    "secret",
    "api-key",
    "apikey",
];

/// What was kept of the headers of a receiver's answer: at most [`Self::MAX_HEADERS`], and [`Self::MAX_BYTES`] in all.
/// Values that may let somebody in (cookies, tokens) are masked before they are kept.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct CapturedHeaders(Vec<(String, String)>);

impl CapturedHeaders {
    /// The most headers.
    pub const MAX_HEADERS: usize = 32;
    /// The most bytes of all names and values together.
    pub const MAX_BYTES: usize = 4 * 1_024;

    /// The first of these, as many as may be kept. A header that is too long is left out; what is no text stands as
    /// U+FFFD, and what is no part of a text at all (NUL) as well.
    pub fn capture<'h>(headers: impl IntoIterator<Item = (&'h str, &'h [u8])>) -> Self {
        let (mut kept, mut left) = (Vec::new(), Self::MAX_BYTES);
        for (name, value) in headers {
            if kept.len() >= Self::MAX_HEADERS {
                break;
            }
            let value = if is_secret(name) {
                MASKED.to_owned()
            } else {
                String::from_utf8_lossy(value).replace('\0', "\u{fffd}")
            };
            let bytes = name.len() + value.len();
            if bytes <= left {
                left -= bytes;
                kept.push((name.to_owned(), value));
            }
        }
        Self(kept)
    }

    /// As they were kept.
    pub const fn restore(headers: Vec<(String, String)>) -> Self {
        Self(headers)
    }

    /// Names and values, in the order of the answer.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// Whether nothing was kept.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // It says how to come in, not who did.
    name != "www-authenticate" && SECRET.iter().any(|part| name.contains(part))
}

impl fmt::Debug for CapturedHeaders {
    /// Their number only: what receivers answer is theirs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CapturedHeaders({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lets_somebody_in_is_masked() {
        let headers: [(&str, &[u8]); 6] = [
            ("content-type", b"text/plain"),
            ("Set-Cookie", b"session=1"),
            ("x-api-key", b"k"),
            ("proxy-authorization", b"Basic abc"),
            ("x-csrf-token", b"t"),
            ("server", b"a\xffb\0c"),
        ];
        let kept = CapturedHeaders::capture(headers);
        let values: Vec<_> = kept.pairs().iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(
            values,
            ["text/plain", "***", "***", "***", "***", "a\u{fffd}b\u{fffd}c"]
        );
        assert_eq!(format!("{kept:?}"), "CapturedHeaders(6)");
    }

    #[test]
    fn they_are_bounded() {
        let long = vec![b'x'; CapturedHeaders::MAX_BYTES];
        let many = (0..100).map(|_| ("a", b"b".as_slice()));
        assert_eq!(CapturedHeaders::capture(many).pairs().len(), 32);
        let headers = [("long", long.as_slice()), ("short", b"b")];
        let kept = CapturedHeaders::capture(headers);
        assert_eq!(kept.pairs(), [("short".to_owned(), "b".to_owned())]);
    }
}
