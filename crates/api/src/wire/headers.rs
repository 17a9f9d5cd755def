//! Headers of the tenant's own, as they are written and shown.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use postrider_application::Violation;
use postrider_domain::{
    InvalidValue, Rule,
    endpoints::{HeaderName, HeaderPatch, HeaderValue, ShownHeaders},
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, OneOfBuilder, Ref, RefOr, Schema, Type, schema::SchemaType},
};

use super::{Checked, Checks};

/// The most headers of one request: more than an endpoint may have, as some of them may be named only to go.
const MAX_NAMED: usize = 100;
/// The most characters of a name that are repeated.
const MAX_SHOWN: usize = 64;

/// The value of a header: a text, or an object that says whether it is secret.
// No `Debug`: it may hold a secret.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Header {
    /// 1 to 1,024 visible ASCII characters, spaces and tabs inside.
    Text(String),
    /// The same, with whether it is secret.
    Full(FullHeader),
}

/// A header that is set, or null: then it goes. How the document tells of an `Option<Header>` in a map.
pub(crate) struct HeaderChange;

impl PartialSchema for HeaderChange {
    fn schema() -> RefOr<Schema> {
        let null = ObjectBuilder::new().schema_type(Type::Null).build();
        let either = OneOfBuilder::new()
            .description(Some("A header, or null: then it goes."))
            .item(Ref::from_schema_name(Header::name()))
            .item(null)
            .build();
        RefOr::T(Schema::OneOf(either))
    }
}

impl ToSchema for HeaderChange {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("HeaderChange")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Header::name().into_owned(), Header::schema()));
        Header::schemas(schemas);
    }
}

/// The value of a header of a new endpoint, where none is stored that could stay. How the document tells of a
/// [`Header`] there.
pub(crate) struct NewHeader;

impl PartialSchema for NewHeader {
    fn schema() -> RefOr<Schema> {
        let text = |description: &str| {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .description(Some(description))
        };
        let secret = ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::Boolean, Type::Null]))
            .description(Some(
                "Whether the value is encrypted at rest and never shown again.",
            ));
        let full = ObjectBuilder::new()
            .description(Some("The same, with whether it is secret."))
            .property("value", text("The value. Never shown if it is secret."))
            .required("value")
            .property("secret", secret);
        let either = OneOfBuilder::new()
            .description(Some(
                "The value of a header: a text, or an object that says whether it is secret.",
            ))
            .item(text(
                "1 to 1,024 visible ASCII characters, spaces and tabs inside.",
            ))
            .item(full)
            .build();
        RefOr::T(Schema::OneOf(either))
    }
}

impl ToSchema for NewHeader {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("NewHeader")
    }
}

/// A header whose value may be secret.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FullHeader {
    /// The value. Never shown if it is secret; without one, the stored one stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// Whether the value is encrypted at rest and never shown again.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<bool>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;

        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an object")
            }

            fn visit_str<E>(self, text: &str) -> Result<Header, E> {
                Ok(Header::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Header, A::Error> {
                FullHeader::deserialize(MapAccessDeserializer::new(map)).map(Header::Full)
            }
        }

        deserializer.deserialize_any(HeaderVisitor)
    }
}

impl Header {
    fn parse(self) -> Result<HeaderPatch, InvalidValue> {
        let (value, secret) = match self {
            Self::Text(text) => (Some(text), None),
            Self::Full(full) => (full.value, full.secret),
        };
        let value = value
            .map(|text| HeaderValue::parse(&text, secret.unwrap_or(false)))
            .transpose()?;
        Ok(HeaderPatch { value, secret })
    }
}

/// Headers as they are shown: secret ones without their value.
pub(crate) fn shown(headers: ShownHeaders) -> BTreeMap<String, Header> {
    let header = |(name, value): (HeaderName, Option<String>)| {
        let secret = FullHeader {
            value: None,
            secret: Some(true),
        };
        let shown = value.map_or(Header::Full(secret), Header::Text);
        (name.as_str().to_owned(), shown)
    };
    headers.into_iter().map(header).collect()
}

/// Headers that are set.
pub(crate) fn given(
    checks: &mut Checks,
    headers: Option<BTreeMap<String, Header>>,
) -> Checked<BTreeMap<HeaderName, HeaderPatch>> {
    let headers = headers.unwrap_or_default();
    let headers = headers.into_iter().map(|(name, header)| (name, Some(header)));
    let patched = patched(checks, headers.collect())?;
    Some(
        patched
            .into_iter()
            .filter_map(|(name, patch)| Some((name, patch?)))
            .collect(),
    )
}

/// Headers that are set, or go.
pub(crate) fn patched(
    checks: &mut Checks,
    headers: BTreeMap<String, Option<Header>>,
) -> Checked<BTreeMap<HeaderName, Option<HeaderPatch>>> {
    if headers.len() > MAX_NAMED {
        let many = InvalidValue::new(Rule::TooLong, "must name at most 100 headers");
        return checks.check("headers", Err(many));
    }
    let (mut parsed, mut good) = (BTreeMap::new(), true);
    for (text, header) in headers {
        let field = format!("headers.{}", text.chars().take(MAX_SHOWN).collect::<String>());
        let name = checks.check(field.clone(), HeaderName::parse(&text));
        let patch = match header {
            None => Some(None),
            Some(header) => checks.check(field.clone(), header.parse()).map(Some),
        };
        let (Some(name), Some(patch)) = (name, patch) else {
            good = false;
            continue;
        };
        if parsed.insert(name, patch).is_some() {
            let twice = InvalidValue::new(Rule::Duplicate, "stands twice: names are the same in any case");
            checks.push(Violation::new(field, twice));
            good = false;
        }
    }
    good.then_some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn faults(headers: serde_json::Value) -> Vec<(String, String)> {
        let headers: BTreeMap<String, Option<Header>> = serde_json::from_value(headers).unwrap();
        let mut checks = Checks::default();
        let read = patched(&mut checks, headers);
        match checks.all((read,)) {
            Ok(_) => Vec::new(),
            Err(error) => error
                .violations()
                .iter()
                .map(|violation| (violation.field.to_string(), violation.rule.to_string()))
                .collect(),
        }
    }

    #[test]
    fn each_header_is_told_of_by_its_name() {
        let read = faults(json!({
            "x-good": "1", "x-secret": {"value": "2", "secret": true}, "x-gone": null, "x-kept": {"secret": true},
        }));
        assert!(read.is_empty(), "{read:?}");
        let read = faults(json!({
            "X-A": "1", "x-a": "2", "host": "h", "x-split": "a\r\nb: c", "a b": "", "x-empty": {"value": ""},
        }));
        let read: Vec<_> = read.iter().map(|(f, r)| (f.as_str(), r.as_str())).collect();
        assert_eq!(
            read,
            [
                ("headers.a b", "charset"),
                ("headers.a b", "required"),
                ("headers.host", "reserved"),
                ("headers.x-a", "duplicate"),
                ("headers.x-empty", "required"),
                ("headers.x-split", "charset"),
            ]
        );
    }

    #[test]
    fn huge_maps_and_names_cost_and_repeat_little() {
        let many: BTreeMap<_, _> = (0..10_000).map(|n| (format!("x-{n}"), "v")).collect();
        assert_eq!(
            faults(json!(many)),
            [("headers".to_owned(), "too_long".to_owned())]
        );
        let read = faults(json!({"x".repeat(100_000): "v"}));
        assert_eq!((read[0].0.len(), read[0].1.as_str()), (8 + MAX_SHOWN, "too_long"));
    }

    #[test]
    fn a_header_is_a_text_or_an_object() {
        for bad in [
            json!(1),
            json!(["a"]),
            json!({"value": "a", "x": 1}),
            json!({"secret": "yes"}),
        ] {
            assert!(serde_json::from_value::<Header>(bad.clone()).is_err(), "{bad}");
        }
        let header: Header = serde_json::from_value(json!({"secret": true})).unwrap();
        assert_eq!(serde_json::to_value(header).unwrap(), json!({"secret": true}));
    }
}
