use std::fmt;

use crate::{InvalidValue, Rule};

/// The value of a header: 1 to 1,024 visible ASCII characters, spaces and tabs inside. Never printed.
#[derive(Clone)]
pub struct HeaderValue {
    text: String,
    secret: bool,
    /// Whether it was kept when its endpoint was changed, rather than given anew by whoever changes it.
    kept: bool,
}

/// How somebody came by a value does not make it another.
impl PartialEq for HeaderValue {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.secret) == (&other.text, other.secret)
    }
}

impl Eq for HeaderValue {}

impl HeaderValue {
    /// The most characters of a value.
    pub const MAX_CHARS: usize = 1_024;

    /// Parses a value. A `secret` one is encrypted at rest and never shown again.
    pub fn parse(text: &str, secret: bool) -> Result<Self, InvalidValue> {
        if text.is_empty() {
            return Err(InvalidValue::new(Rule::Required, "must not be empty"));
        }
        if text.len() > Self::MAX_CHARS {
            return Err(InvalidValue::new(
                Rule::TooLong,
                "must be at most 1024 characters",
            ));
        }
        if !text.bytes().all(|b| matches!(b, b'\t' | b' '..=b'~')) {
            return Err(InvalidValue::new(
                Rule::Charset,
                "may contain only visible ASCII characters, spaces and tabs",
            ));
        }
        if text.trim() != text {
            return Err(InvalidValue::new(
                Rule::Format,
                "must not begin or end with white space",
            ));
        }
        Ok(Self {
            text: text.to_owned(),
            secret,
            kept: false,
        })
    }

    /// The value as text, for the request; to be shown only if it is not secret ([`Self::shown`]).
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The value, if it may be shown.
    pub fn shown(&self) -> Option<&str> {
        (!self.secret).then_some(self.text.as_str())
    }

    /// Whether it is never shown.
    pub const fn is_secret(&self) -> bool {
        self.secret
    }

    /// The same value, never shown if `secret`.
    pub(super) fn hidden(self, secret: bool) -> Self {
        Self { secret, ..self }
    }

    /// The same, as whoever changes its endpoint finds and keeps it.
    pub(super) fn kept(&self) -> Self {
        Self {
            kept: true,
            ..self.clone()
        }
    }

    /// Whether it was kept when its endpoint was changed, rather than given anew.
    pub(super) const fn is_kept(&self) -> bool {
        self.kept
    }
}

impl fmt::Debug for HeaderValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeaderValue(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_one_line_of_visible_text() {
        let rule = |text: &str| HeaderValue::parse(text, false).unwrap_err().rule;
        assert!(HeaderValue::parse("Bearer a\tb", true).is_ok());
        assert_eq!(rule(""), Rule::Required);
        assert_eq!(rule(&"x".repeat(1_025)), Rule::TooLong);
        for bad in ["a\r\nx: y", "a\nb", "a\rb", "a\0b", "é", "\u{7f}"] {
            assert_eq!(rule(bad), Rule::Charset, "{bad:?}");
        }
        for bad in [" a", "a ", "\ta", " "] {
            assert_eq!(rule(bad), Rule::Format, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_is_one_line(value in ".{0,80}") {
            if let Ok(value) = HeaderValue::parse(&value, false) {
                prop_assert!(value.expose().bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b)));
            }
        }
    }
}
