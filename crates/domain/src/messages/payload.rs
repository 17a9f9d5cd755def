use std::{fmt, sync::Arc};

use crate::{InvalidValue, Rule};

/// The media type that a payload is sent with: `type/subtype`, parameters allowed, visible ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentType(String);

impl ContentType {
    /// The most characters of a media type.
    pub const MAX_CHARS: usize = 128;

    /// `application/json`.
    pub fn json() -> Self {
        Self("application/json".to_owned())
    }

    /// Parses a media type (RFC 9110, section 8.3.1, without checking parameters).
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        if text.len() > Self::MAX_CHARS {
            return Err(InvalidValue::new(Rule::TooLong, "must be at most 128 characters"));
        }
        if !text.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
            return Err(InvalidValue::new(
                Rule::Charset,
                "may contain only visible ASCII characters",
            ));
        }
        let essence = text.split(';').next().unwrap_or_default().trim_end();
        let token = |part: &str| {
            !part.is_empty()
                && part
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "!#$&^_.+-".contains(c))
        };
        if essence
            .split_once('/')
            .is_some_and(|(kind, subtype)| token(kind) && token(subtype))
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidValue::new(
                Rule::Format,
                "must be a media type such as application/json",
            ))
        }
    }

    /// The media type as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is delivered, byte for byte, and its media type. Cloning shares the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    content_type: ContentType,
    bytes: Arc<[u8]>,
}

impl Payload {
    /// A payload of `bytes`, at most `max_bytes` of them.
    pub fn new(
        bytes: impl Into<Arc<[u8]>>,
        content_type: ContentType,
        max_bytes: usize,
    ) -> Result<Self, InvalidValue> {
        let bytes = bytes.into();
        if bytes.len() > max_bytes {
            return Err(InvalidValue::new(
                Rule::TooLong,
                format!("must be at most {max_bytes} bytes"),
            ));
        }
        Ok(Self { content_type, bytes })
    }

    /// A payload as it was stored; bounds were checked when it was accepted.
    pub fn restore(bytes: impl Into<Arc<[u8]>>, content_type: ContentType) -> Self {
        Self {
            content_type,
            bytes: bytes.into(),
        }
    }

    /// The media type.
    pub fn content_type(&self) -> &ContentType {
        &self.content_type
    }

    /// The exact bytes.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }
}

impl fmt::Debug for Payload {
    /// Size only: a payload has no place in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types() {
        for good in [
            "application/json",
            "text/plain; charset=utf-8",
            "application/vnd.acme+json",
        ] {
            assert!(ContentType::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "json", "a/", "/b", "a/b\r\nX: y", "a/b/c", "text/plain\u{e9}"] {
            assert!(ContentType::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_payload_is_bounded_and_hides_in_debug() {
        assert_eq!(
            Payload::new(*b"12345", ContentType::json(), 4).unwrap_err().rule,
            Rule::TooLong
        );
        let payload = Payload::new(*b"1234", ContentType::json(), 4).unwrap();
        assert_eq!(format!("{payload:?}"), "Payload(4 bytes)");
    }
}
