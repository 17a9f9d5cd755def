use crate::{InvalidValue, Rule};

/// The name of a header, lower case: 1 to 64 characters of a token (RFC 9110, section 5.6.2), and none that says what
/// Postrider itself says, or what a connection is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderName(String);

impl HeaderName {
    /// The most characters of a name.
    pub const MAX_CHARS: usize = 64;
    /// Names that nobody else says, lower case: what Postrider itself says, what a connection is about, and what
    /// proxies and browsers say.
    pub const RESERVED: [&str; 16] = [
        "connection",
        "cookie",
        "date",
        "expect",
        "forwarded",
        "host",
        "http2-settings",
        "keep-alive",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "via",
    ];
    /// How names begin that nobody else says, lower case.
    pub const RESERVED_PREFIXES: [&str; 4] = ["content-", "proxy-", "webhook-", "x-forwarded-"];

    /// Parses a name, in whatever case.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        if text.is_empty() {
            return Err(InvalidValue::new(Rule::Required, "a name must not be empty"));
        }
        if text.len() > Self::MAX_CHARS {
            return Err(InvalidValue::new(
                Rule::TooLong,
                "a name must be at most 64 characters",
            ));
        }
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if !text.chars().all(token) {
            return Err(InvalidValue::new(
                Rule::Charset,
                "a name may contain only letters, digits and the characters !#$%&'*+-.^_`|~",
            ));
        }
        let name = text.to_ascii_lowercase();
        let reserved = Self::RESERVED.contains(&name.as_str())
            || Self::RESERVED_PREFIXES
                .iter()
                .any(|prefix| name.starts_with(prefix));
        if reserved {
            return Err(InvalidValue::new(
                Rule::Reserved,
                "is reserved: Postrider itself or the connection says it",
            ));
        }
        Ok(Self(name))
    }

    /// The name as text, lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rule(name: &str) -> Rule {
        HeaderName::parse(name).unwrap_err().rule
    }

    #[test]
    fn names_are_tokens_in_lower_case() {
        assert_eq!(HeaderName::parse("X-Api-Key").unwrap().as_str(), "x-api-key");
        assert!(HeaderName::parse("authorization").is_ok());
        assert_eq!(rule(""), Rule::Required);
        assert_eq!(rule(&"x".repeat(65)), Rule::TooLong);
        for bad in ["a b", "a:", "a\r\nb", "a\0", ":path", "é", "a(b)", "a/b", "a\t"] {
            assert_eq!(rule(bad), Rule::Charset, "{bad:?}");
        }
    }

    #[test]
    fn what_postrider_or_the_connection_says_is_reserved() {
        for name in [
            "Webhook-Id",
            "webhook-x",
            "HOST",
            "Content-Length",
            "content-type",
            "Content-Encoding",
            "Transfer-Encoding",
            "Connection",
            "Upgrade",
            "TE",
            "Trailer",
            "Proxy-Authorization",
            "User-Agent",
            "traceparent",
            "tracestate",
            "Expect",
            "Keep-Alive",
            "Date",
            "Cookie",
            "X-Forwarded-For",
            "Via",
        ] {
            assert_eq!(rule(name), Rule::Reserved, "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_is_a_token(name in ".{0,80}") {
            if let Ok(name) = HeaderName::parse(&name) {
                prop_assert!(name.as_str().bytes().all(|b| b.is_ascii_graphic() && b != b':'));
            }
        }
    }
}
