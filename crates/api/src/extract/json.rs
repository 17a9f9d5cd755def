//! From bytes to a wire type, saying which field is wrong and never what stood there.

use std::borrow::Cow;

use postrider_application::{Error, ErrorCode, Violation};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;

use super::strict::{MAX_DEPTH, check_keys, is_shallow};
use crate::wire::Object;

/// The most characters of a field's name that are repeated.
const MAX_FIELD: usize = 100;

/// Reads one JSON object and nothing after it. No key stands twice in it; what serde refuses in structs is also looked
/// for in the `maps` of the type, if it has any.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8], maps: bool) -> Result<T, Error> {
    if !is_shallow(bytes) {
        return Err(too_deep());
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let Object(value) =
        serde_path_to_error::deserialize::<_, Object<T>>(&mut deserializer).map_err(|error| {
            // A wrong field is told only of what is JSON to its end, whichever of the two comes first in the text.
            match serde_json::from_slice::<IgnoredAny>(bytes) {
                Ok(_) => refuse(&error.path().to_string(), error.inner()),
                Err(syntax) => malformed(&syntax),
            }
        })?;
    deserializer.end().map_err(|error| malformed(&error))?;
    if maps {
        check_keys(bytes).map_err(|error| refuse(".", &error))?;
    }
    Ok(value)
}

/// Reads a part of a body that was read before but for this: an object of its own, without maps.
pub(crate) fn part<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    parse(bytes, false)
}

fn too_deep() -> Error {
    Error::invalid(vec![Violation {
        field: "body".into(),
        rule: "too_deep".into(),
        message: format!("must not have more than {MAX_DEPTH} arrays and objects within each other"),
    }])
}

fn refuse(path: &str, error: &serde_json::Error) -> Error {
    if error.classify() != Category::Data {
        return malformed(error);
    }
    let text = error.to_string();
    if text.starts_with("duplicate field") {
        return Error::new(
            ErrorCode::MalformedRequest,
            format!("a field stands twice: {}", position(error)),
        );
    }
    Error::invalid(vec![violation(path, &text)])
}

/// Not JSON, or not all of it. The position helps; the value may be secret.
fn malformed(error: &serde_json::Error) -> Error {
    let what = match error.classify() {
        Category::Eof => "the body ends too early",
        _ => "the body is not valid JSON",
    };
    Error::new(
        ErrorCode::MalformedRequest,
        format!("{what}: {}", position(error)),
    )
}

fn position(error: &serde_json::Error) -> String {
    format!("line {}, column {}", error.line(), error.column())
}

/// serde says what is wrong in a sentence whose beginning is stable and whose end may repeat the value.
fn violation(path: &str, text: &str) -> Violation {
    let (field, rule, message) = if text.starts_with("unknown field") {
        (
            path.to_owned(),
            "unknown_field",
            "is not a known field".to_owned(),
        )
    } else if let Some(rest) = text.strip_prefix("missing field `") {
        let name = rest.split('`').next().unwrap_or_default();
        (join(path, name), "required", "is missing".to_owned())
    } else {
        (path.to_owned(), "type", format!("must be {}", expected(text)))
    };
    Violation {
        field: Cow::Owned(shown(&field)),
        rule: Cow::Borrowed(rule),
        message,
    }
}

fn join(path: &str, name: &str) -> String {
    if path == "." {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn shown(field: &str) -> String {
    match field {
        "." => "body".to_owned(),
        _ => field.chars().take(MAX_FIELD).collect(),
    }
}

/// What should have stood there; the words after "expected" are ours or serde's, not the caller's.
fn expected(text: &str) -> &'static str {
    let wanted = text.rsplit_once(", expected ").map_or("", |(_, wanted)| wanted);
    let wanted = wanted.split(" at line ").next().unwrap_or_default();
    match wanted {
        "a string" => "a string",
        "a boolean" => "true or false",
        "a sequence" => "an array",
        "a map" | "a JSON object" => "an object",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more",
        _ => "of another type",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::value::RawValue;
    use std::collections::BTreeMap;

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only read in")]
        number: u64,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        name: String,
        inner: Option<Object<Inner>>,
        #[serde(default)]
        list: Vec<Object<Inner>>,
        #[serde(default)]
        notes: BTreeMap<String, String>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Envelope {
        raw: Box<RawValue>,
    }

    fn error(text: &str) -> Error {
        let parsed = parse::<Outer>(text.as_bytes(), true);
        parsed.err().unwrap_or_else(|| panic!("{text} was taken"))
    }

    #[test]
    fn a_broken_shape_names_its_field_and_its_rule() {
        for (text, field, rule) in [
            (r#"{"name":1}"#, "name", "type"),
            (r#"{"name":null}"#, "name", "type"),
            (r"{}", "name", "required"),
            (r#"{"name":"a","nmae":1}"#, "nmae", "unknown_field"),
            (r#"{"name":"a","inner":{"number":"1"}}"#, "inner.number", "type"),
            (r#"{"name":"a","inner":{"number":-1}}"#, "inner.number", "type"),
            (r#"{"name":"a","inner":{"number":1.5}}"#, "inner.number", "type"),
            (r#"{"name":"a","inner":{}}"#, "inner.number", "required"),
            (r#"{"name":"a","inner":{"x":1}}"#, "inner.x", "unknown_field"),
            (r#"{"name":"a","inner":[1]}"#, "inner", "type"),
            (
                r#"{"name":"a","list":[{"number":1},{"number":true}]}"#,
                "list[1].number",
                "type",
            ),
            (r#"{"name":"a","list":[[1]]}"#, "list[0]", "type"),
            (r#"{"name":"a","notes":{"k":1}}"#, "notes.k", "type"),
            (r#"["a"]"#, "body", "type"),
            (r#""a""#, "body", "type"),
            ("null", "body", "type"),
        ] {
            let error = error(text);
            assert_eq!(error.code(), ErrorCode::ValidationFailed, "{text}");
            let [violation] = error.violations() else {
                panic!("{text}")
            };
            assert_eq!((&*violation.field, &*violation.rule), (field, rule), "{text}");
        }
    }

    #[test]
    fn what_is_not_json_is_malformed_and_says_where() {
        for text in [
            "",
            " ",
            "{",
            r#"{"name":"#,
            r#"{"name":"a"}x"#,
            r#"{"name":"a"}{}"#,
            r#"{"name":1,"#,
            r#"{"nmae":1}x"#,
            r#"{"name":"a",}"#,
            r#"{"name":"a","name":"b"}"#,
            r#"{"name":"a","\u006eame":"b"}"#,
            r#"{"name":"a","notes":{"k":"v","k":"v"}}"#,
            r#"{"name":"a","notes":{"k":"v","\u006b":"w"}}"#,
            "{'name':1}",
            "\u{feff}{}",
            "{\"name\":\"a\u{0}\"}",
        ] {
            let error = error(text);
            assert_eq!(error.code(), ErrorCode::MalformedRequest, "{text}");
            assert!(error.detail().contains("line 1, column"), "{}", error.detail());
        }
        assert_eq!(
            parse::<Outer>(b"{\"name\":\"\xff\"}", true).err().unwrap().code(),
            ErrorCode::MalformedRequest
        );
    }

    #[test]
    fn no_value_is_ever_repeated() {
        for text in [
            r#"{"name":"a","inner":"hunter2"}"#,
            r#"{"name":"a","inner":{"number":"hunter2"}}"#,
            r#"{"name":"a","notes":"hunter2, expected a string"}"#,
            r#"{"name":hunter2}"#,
            r#""hunter2""#,
        ] {
            let error = error(text);
            assert!(!error.chain().contains("hunter2"), "{}", error.chain());
            assert!(error.violations().iter().all(|v| !v.message.contains("hunter2")));
        }
    }

    #[test]
    fn raw_values_keep_their_bytes() {
        // The envelope is one of them.
        let deep = format!("{}{}", "[".repeat(MAX_DEPTH - 1), "]".repeat(MAX_DEPTH - 1));
        for raw in [
            r#"{ "b" : 1.50, "a":"\u0000\ud83d\ude00" }"#,
            "null",
            "1e999",
            &deep,
        ] {
            let text = format!(r#"{{"raw": {raw} }}"#);
            let envelope =
                parse::<Envelope>(text.as_bytes(), false).unwrap_or_else(|e| panic!("{}", e.chain()));
            assert_eq!(envelope.raw.get(), raw);
        }
        let open = format!(r#"{{"raw":{}"#, "[".repeat(MAX_DEPTH - 1));
        let error_of_open = parse::<Envelope>(open.as_bytes(), false).err().unwrap();
        assert_eq!(error_of_open.code(), ErrorCode::MalformedRequest);
        let typed = format!(r#"{{"name":{deep}}}"#);
        assert_eq!(error(&typed).code(), ErrorCode::ValidationFailed);
        for text in [format!(r#"{{"raw":[{deep}]}}"#), "[".repeat(100_000)] {
            let error = parse::<Envelope>(text.as_bytes(), false).err().unwrap();
            assert_eq!(error.violations()[0].rule, "too_deep");
        }
    }

    #[test]
    fn a_good_body_is_read() {
        let text = br#" {"name":"a","inner":{"number":1},"list":[{"number":2}],"notes":{"k":"v"}} "#;
        let outer: Outer = parse(text, true).unwrap();
        assert!(
            outer.name == "a" && outer.inner.is_some() && outer.list.len() == 1 && outer.notes.len() == 1
        );
    }
}
