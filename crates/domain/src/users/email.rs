use std::fmt;

use crate::{InvalidValue, Rule};

/// A normalised e-mail address: ASCII, lower case, `local@domain`.
///
/// Non-ASCII addresses are refused rather than folded, so that two look-alike spellings can never be two
/// accounts of one person or one account of two.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Email(String);

impl Email {
    /// The most characters of an address (RFC 5321, section 4.5.3.1.3, without the angle brackets).
    pub const MAX_CHARS: usize = 254;

    /// Parses and normalises an address.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidValue::new(Rule::Required, "must not be empty"));
        }
        if text.len() > Self::MAX_CHARS {
            return Err(InvalidValue::new(Rule::TooLong, "must be at most 254 characters"));
        }
        if !text.chars().all(|c| c.is_ascii_graphic()) {
            return Err(InvalidValue::new(
                Rule::Charset,
                "may contain only visible ASCII characters",
            ));
        }
        let well_formed = text.split_once('@').is_some_and(|(local, domain)| {
            (1..=64).contains(&local.len())
                && !domain.contains('@')
                && domain.contains('.')
                && domain.split('.').all(|label| {
                    !label.is_empty()
                        && label.len() <= 63
                        && !label.starts_with('-')
                        && !label.ends_with('-')
                        && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
                })
        });
        if !well_formed {
            return Err(InvalidValue::new(Rule::Format, "must be an e-mail address"));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// The normalised address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Email {
    /// Masked: an address is personal data and has no place in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_cases_are_one_address() {
        assert_eq!(
            Email::parse(" Ada@Example.COM ").unwrap(),
            Email::parse("ada@example.com").unwrap()
        );
    }

    #[test]
    fn refuses_what_is_no_address() {
        for bad in [
            "",
            "ada",
            "ada@",
            "@example.com",
            "a@b",
            "a@b..com",
            "a@-b.com",
            "a b@c.com",
            "a@b@c.com",
        ] {
            assert!(Email::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(
            Email::parse("аda@example.com").unwrap_err().rule,
            Rule::Charset,
            "Cyrillic look-alike"
        );
    }
}
