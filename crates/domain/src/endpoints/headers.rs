//! Headers that a tenant wants to be sent with every webhook of an endpoint.

use std::{collections::BTreeMap, fmt};

use crate::{InvalidValue, Rule};

/// The name of a header, lower case: 1 to 64 characters of a token (RFC 9110, section 5.6.2), and none that says what
/// Postrider itself says, or what a connection is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderName(String);

/// What Postrider itself says, what a connection is about, and what proxies and browsers say.
const RESERVED: [&str; 16] = [
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

/// All names that begin like this are reserved too.
const RESERVED_PREFIXES: [&str; 4] = ["content-", "proxy-", "webhook-", "x-forwarded-"];

impl HeaderName {
    /// The most characters of a name.
    pub const MAX_CHARS: usize = 64;
    /// Names that nobody else says, lower case.
    pub const RESERVED: [&str; 16] = RESERVED;
    /// How names begin that nobody else says, lower case.
    pub const RESERVED_PREFIXES: [&str; 4] = RESERVED_PREFIXES;

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
        let reserved = RESERVED.contains(&name.as_str())
            || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
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

    fn kept(&self) -> Self {
        Self {
            kept: true,
            ..self.clone()
        }
    }
}

impl fmt::Debug for HeaderValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeaderValue(…)")
    }
}

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
            Some(value) => Ok(HeaderValue { secret, ..value }),
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
        let kept = self.0.iter().filter(|(_, value)| value.secret && value.kept);
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

    proptest! {
        #[test]
        fn what_is_taken_is_one_line_of_http(name in ".{0,80}", value in ".{0,80}") {
            if let Ok(name) = HeaderName::parse(&name) {
                prop_assert!(name.as_str().bytes().all(|b| b.is_ascii_graphic() && b != b':'));
            }
            if let Ok(value) = HeaderValue::parse(&value, false) {
                prop_assert!(value.expose().bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b)));
            }
        }
    }
}
