//! Headers that a tenant wants to be sent with every webhook of an endpoint.

mod name;
mod value;

use std::collections::BTreeMap;

pub use name::HeaderName;
pub use value::HeaderValue;

use crate::{InvalidValue, Rule};

/// What is said of one header when an endpoint is made or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderPatch {
    /// The value; none: the stored one stays.
    pub value: Option<HeaderValue>,
    /// Whether it is never shown; none: nothing is said.
    pub secret: Option<bool>,
}

impl HeaderPatch {
    /// What becomes of a header.
    fn apply(self, stored: Option<&HeaderValue>) -> Result<HeaderValue, InvalidValue> {
        let was_secret = stored.is_some_and(HeaderValue::is_secret);
        let secret = self.secret.unwrap_or(was_secret);
        // What was secret is never shown, though somebody else says so who does not know it.
        let kept = || stored.filter(|_| secret || !was_secret).map(HeaderValue::kept);
        match self.value.or_else(kept) {
            Some(value) => Ok(value.hidden(secret)),
            None => Err(InvalidValue::new(Rule::Required, "must have a value")),
        }
    }
}

/// Why headers cannot be: each with the header that it is about, if it is about one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidHeaders(pub Vec<(Option<HeaderName>, InvalidValue)>);

/// Headers by name; those whose value is secret, without it.
pub type ShownHeaders = BTreeMap<HeaderName, Option<String>>;

/// At most 20 headers, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CustomHeaders(BTreeMap<HeaderName, HeaderValue>);

impl CustomHeaders {
    /// The most headers of an endpoint.
    pub const MAX: usize = 20;

    /// Checks how many there are.
    pub fn new(headers: BTreeMap<HeaderName, HeaderValue>) -> Result<Self, InvalidValue> {
        if headers.len() > Self::MAX {
            return Err(InvalidValue::new(Rule::TooLong, "must have at most 20 headers"));
        }
        Ok(Self(headers))
    }

    /// These headers and no others. One without a value keeps the one that is stored: so what was read, where secret
    /// values are left out, can be written back.
    pub fn replaced(&self, by: BTreeMap<HeaderName, HeaderPatch>) -> Result<Self, InvalidHeaders> {
        let by = by.into_iter().map(|(name, patch)| {
            let secret = patch.secret.or(Some(false));
            (name, Some(HeaderPatch { secret, ..patch }))
        });
        self.patched(BTreeMap::new(), by)
    }

    /// The same with some headers set, and those without anything gone (a merge patch, RFC 7396). A secret header
    /// stays secret unless it is said otherwise.
    pub fn merged(&self, patch: BTreeMap<HeaderName, Option<HeaderPatch>>) -> Result<Self, InvalidHeaders> {
        self.patched(self.kept().0, patch.into_iter())
    }

    fn patched(
        &self,
        mut headers: BTreeMap<HeaderName, HeaderValue>,
        patch: impl Iterator<Item = (HeaderName, Option<HeaderPatch>)>,
    ) -> Result<Self, InvalidHeaders> {
        let mut invalid = Vec::new();
        for (name, patch) in patch {
            let Some(patch) = patch else {
                headers.remove(&name);
                continue;
            };
            match patch.apply(self.0.get(&name)) {
                Ok(value) => drop(headers.insert(name, value)),
                Err(why) => invalid.push((Some(name), why)),
            }
        }
        if !invalid.is_empty() {
            return Err(InvalidHeaders(invalid));
        }
        Self::new(headers).map_err(|why| InvalidHeaders(vec![(None, why)]))
    }

    /// The same, as whoever changes their endpoint finds and keeps them.
    pub(super) fn kept(&self) -> Self {
        Self(
            self.0
                .iter()
                .map(|(name, value)| (name.clone(), value.kept()))
                .collect(),
        )
    }

    /// Refuses secret values that whoever changes the endpoint has not given anew: they are about to be sent to
    /// another place, and it need not be one that may know them.
    pub(super) fn check_given_anew(&self) -> Result<(), InvalidHeaders> {
        let required = |name: &HeaderName| {
            let why = "the URL is of another origin: give the secret value anew, or remove the header";
            (Some(name.clone()), InvalidValue::new(Rule::Required, why))
        };
        let kept = self
            .0
            .iter()
            .filter(|(_, value)| value.is_secret() && value.is_kept());
        let invalid: Vec<_> = kept.map(|(name, _)| required(name)).collect();
        if invalid.is_empty() {
            Ok(())
        } else {
            Err(InvalidHeaders(invalid))
        }
    }

    /// All of them, by name.
    pub const fn all(&self) -> &BTreeMap<HeaderName, HeaderValue> {
        &self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What may be shown of them.
    pub fn shown(&self) -> ShownHeaders {
        let shown =
            |(name, value): (&HeaderName, &HeaderValue)| (name.clone(), value.shown().map(str::to_owned));
        self.0.iter().map(shown).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_values_are_not_shown_and_none_is_printed() {
        let name = HeaderName::parse("a").unwrap();
        let of = |secret| {
            let value = HeaderValue::parse("hunter2", secret).unwrap();
            CustomHeaders::new(BTreeMap::from([(name.clone(), value)])).unwrap()
        };
        assert_eq!(of(true).shown()[&name], None);
        assert_eq!(of(false).shown()[&name].as_deref(), Some("hunter2"));
        assert!(!format!("{:?}{:?}", of(true), of(false)).contains("hunter2"));
        let many = (0..21).map(|n| {
            let value = HeaderValue::parse("v", false).unwrap();
            (HeaderName::parse(&format!("x-{n}")).unwrap(), value)
        });
        assert_eq!(
            CustomHeaders::new(many.collect()).unwrap_err().rule,
            Rule::TooLong
        );
    }

    fn patch(value: Option<&str>, secret: Option<bool>) -> HeaderPatch {
        HeaderPatch {
            value: value.map(|text| HeaderValue::parse(text, false).unwrap()),
            secret,
        }
    }

    fn named(name: &str) -> HeaderName {
        HeaderName::parse(name).unwrap()
    }

    fn stored() -> CustomHeaders {
        let by = [
            (named("plain"), patch(Some("1"), None)),
            (named("token"), patch(Some("2"), Some(true))),
        ];
        CustomHeaders::default().replaced(BTreeMap::from(by)).unwrap()
    }

    #[test]
    fn what_was_read_can_be_written_back() {
        let stored = stored();
        let by = [
            (named("plain"), patch(Some("1"), None)),
            (named("token"), patch(None, Some(true))),
        ];
        assert_eq!(stored.replaced(BTreeMap::from(by)).unwrap(), stored);
        let unknown = BTreeMap::from([(named("other"), patch(None, Some(true)))]);
        let InvalidHeaders(why) = stored.replaced(unknown).unwrap_err();
        assert_eq!(
            (&why[0].0, why[0].1.rule),
            (&Some(named("other")), Rule::Required)
        );
    }

    #[test]
    fn a_patch_keeps_what_it_does_not_name_and_what_is_secret() {
        let patched = stored()
            .merged(BTreeMap::from([
                (named("plain"), None),
                (named("token"), Some(patch(Some("3"), None))),
                (named("new"), Some(patch(Some("4"), None))),
            ]))
            .unwrap();
        let all: Vec<_> = patched
            .all()
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose(), value.is_secret()))
            .collect();
        assert_eq!(all, [("new", "4", false), ("token", "3", true)]);
        let reveal = BTreeMap::from([(named("token"), Some(patch(None, Some(false))))]);
        let InvalidHeaders(why) = stored().merged(reveal).unwrap_err();
        assert_eq!(why[0].1.rule, Rule::Required, "a secret is not revealed");
        let hide = BTreeMap::from([(named("plain"), Some(patch(None, Some(true))))]);
        assert_eq!(stored().merged(hide).unwrap().shown()[&named("plain")], None);
    }
}
