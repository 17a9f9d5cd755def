//! Short texts that tenants write: bounded, and free of control characters (NUL among them, which
//! PostgreSQL cannot store).

use std::collections::BTreeMap;

use crate::{InvalidValue, Rule};

/// Refuses empty, over-long (in characters) or control-character text.
pub(crate) fn check_text(text: &str, max_chars: usize) -> Result<(), InvalidValue> {
    if text.trim().is_empty() {
        return Err(InvalidValue::new(Rule::Required, "must not be empty"));
    }
    check_optional_text(text, max_chars)
}

fn check_optional_text(text: &str, max_chars: usize) -> Result<(), InvalidValue> {
    if text.chars().count() > max_chars {
        return Err(InvalidValue::new(
            Rule::TooLong,
            format!("must be at most {max_chars} characters"),
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(InvalidValue::new(
            Rule::Charset,
            "must not contain control characters",
        ));
    }
    Ok(())
}

/// Accepts ASCII letters, digits and the characters of `also`.
pub(crate) fn check_token(text: &str, max: usize, also: &str) -> Result<(), InvalidValue> {
    if text.is_empty() {
        return Err(InvalidValue::new(Rule::Required, "must not be empty"));
    }
    if text.len() > max {
        return Err(InvalidValue::new(
            Rule::TooLong,
            format!("must be at most {max} characters"),
        ));
    }
    if !text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || also.contains(c))
    {
        return Err(InvalidValue::new(
            Rule::Charset,
            format!("may contain only letters, digits and the characters {also}"),
        ));
    }
    Ok(())
}

/// A display name: 1 to 120 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// The most characters that a name may have.
    pub const MAX_CHARS: usize = 120;

    /// Parses a name; surrounding white space counts, and is dropped.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        check_text(text, Self::MAX_CHARS)?;
        Ok(Self(text.trim().to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A free description: up to 1,000 characters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Description(String);

impl Description {
    /// The most characters that a description may have.
    pub const MAX_CHARS: usize = 1_000;

    /// Parses a description; it may be empty.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        check_optional_text(text, Self::MAX_CHARS)?;
        Ok(Self(text.trim().to_owned()))
    }

    /// The description as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name that a tenant itself gave to an application or an endpoint, usable wherever its id is.
///
/// 1 to 128 of `A-Z a-z 0-9 . _ - :`. It may not look like one of our own ids (`app_…`, `ep_…`), so that a
/// path segment is never ambiguous.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid(String);

impl Uid {
    /// The most characters that a uid may have.
    pub const MAX_CHARS: usize = 128;

    /// Parses a uid.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        check_token(text, Self::MAX_CHARS, "._-:")?;
        if text == "." || text == ".." {
            return Err(InvalidValue::new(
                Rule::Format,
                "must not be a relative path segment",
            ));
        }
        if ["app_", "ep_", "msg_", "ten_"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
        {
            return Err(InvalidValue::new(
                Rule::Format,
                "must not start with a prefix of Postrider's own ids",
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The uid as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A tenant's own notes on a resource: at most 50 pairs, keys of 1 to 64 and values of at most 500 characters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata(BTreeMap<String, String>);

impl Metadata {
    /// The most pairs.
    pub const MAX_PAIRS: usize = 50;
    /// The most characters of a key.
    pub const MAX_KEY_CHARS: usize = 64;
    /// The most characters of a value.
    pub const MAX_VALUE_CHARS: usize = 500;

    /// Checks the pairs.
    pub fn parse(pairs: BTreeMap<String, String>) -> Result<Self, InvalidValue> {
        if pairs.len() > Self::MAX_PAIRS {
            return Err(InvalidValue::new(
                Rule::TooLong,
                format!("must have at most {} keys", Self::MAX_PAIRS),
            ));
        }
        for (key, value) in &pairs {
            check_text(key, Self::MAX_KEY_CHARS)
                .map_err(|e| InvalidValue::new(e.rule, format!("a key {}", e.message)))?;
            check_optional_text(value, Self::MAX_VALUE_CHARS)
                .map_err(|e| InvalidValue::new(e.rule, format!("a value {}", e.message)))?;
        }
        Ok(Self(pairs))
    }

    /// The same with some keys set, and those without a value gone (a merge patch, RFC 7396).
    pub fn merged(&self, patch: BTreeMap<String, Option<String>>) -> Result<Self, InvalidValue> {
        let mut pairs = self.0.clone();
        for (key, value) in patch {
            match value {
                Some(value) => drop(pairs.insert(key, value)),
                None => drop(pairs.remove(&key)),
            }
        }
        Self::parse(pairs)
    }

    /// The pairs, by key.
    pub fn pairs(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!(Name::parse("  Acme  ").unwrap().as_str(), "Acme");
        assert_eq!(Name::parse("   ").unwrap_err().rule, Rule::Required);
        assert_eq!(Name::parse(&"x".repeat(121)).unwrap_err().rule, Rule::TooLong);
        assert!(
            Name::parse(&"é".repeat(120)).is_ok(),
            "characters are counted, not bytes"
        );
        assert_eq!(Name::parse("a\0b").unwrap_err().rule, Rule::Charset);
    }

    #[test]
    fn uids_never_look_like_ids() {
        assert!(Uid::parse("customer-42:eu").is_ok());
        assert_eq!(Uid::parse("app_01h").unwrap_err().rule, Rule::Format);
        assert_eq!(Uid::parse("..").unwrap_err().rule, Rule::Format);
        assert_eq!(Uid::parse("a/b").unwrap_err().rule, Rule::Charset);
    }

    #[test]
    fn metadata_is_merged_key_by_key() {
        let of = |pairs: &[(&str, &str)]| {
            let owned = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            Metadata::parse(owned.collect()).unwrap()
        };
        let patch = |pairs: &[(&str, Option<&str>)]| {
            let owned = pairs.iter().map(|(k, v)| ((*k).to_owned(), v.map(str::to_owned)));
            owned.collect::<BTreeMap<_, _>>()
        };
        let stored = of(&[("a", "1"), ("b", "2")]);
        let merged = stored.merged(patch(&[
            ("a", None),
            ("b", Some("3")),
            ("c", Some("4")),
            ("d", None),
        ]));
        assert_eq!(merged.unwrap(), of(&[("b", "3"), ("c", "4")]));
        assert_eq!(
            stored.merged(patch(&[("", Some("x"))])).unwrap_err().rule,
            Rule::Required
        );
    }

    #[test]
    fn metadata_is_bounded() {
        let pairs = |n: usize| (0..n).map(|i| (format!("k{i}"), String::new())).collect();
        assert!(Metadata::parse(pairs(50)).is_ok());
        assert_eq!(Metadata::parse(pairs(51)).unwrap_err().rule, Rule::TooLong);
        let bad = BTreeMap::from([("k".to_owned(), "a\u{1}".to_owned())]);
        assert_eq!(Metadata::parse(bad).unwrap_err().rule, Rule::Charset);
    }
}
