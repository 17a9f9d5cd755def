//! Where something is wrong, in the words of an answer.

use std::fmt::Write as _;

use jsonschema::{ValidationError, error::ValidationErrorKind};
use postrider_application::Violation;
use serde_json::Value;

/// The most characters of a path; the names in it are whoever wrote the payload's.
const MAX_PATH: usize = 256;

/// A JSON pointer as a path: `/items/2/price` becomes `.items[2].price`. Without a value to look at, numbers are
/// places.
pub(crate) fn of_pointer(pointer: &str) -> String {
    path(pointer, None)
}

fn path(pointer: &str, mut value: Option<&Value>) -> String {
    let mut path = String::new();
    for segment in pointer.split('/').skip(1) {
        let name = segment.replace("~1", "/").replace("~0", "~");
        let place = match value {
            Some(Value::Object(_)) => None,
            _ => name.parse::<usize>().ok(),
        };
        value = value.and_then(|value| match place {
            Some(place) => value.get(place),
            None => value.get(&name),
        });
        // Writing to a text does not fail.
        let _ = match place {
            Some(place) => write!(path, "[{place}]"),
            None if is_plain(&name) => write!(path, ".{name}"),
            None => write!(path, "[{}]", Value::from(name)),
        };
        if path.len() > MAX_PATH {
            let end = (0..=MAX_PATH).rev().find(|end| path.is_char_boundary(*end));
            path.truncate(end.unwrap_or(0));
            path.push('…');
            break;
        }
    }
    path
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-$".contains(c))
}

/// What is wrong with a value below `field`, without the value.
pub(crate) fn of_value(field: &str, value: &Value, error: &ValidationError<'_>) -> Violation {
    let at = path(error.instance_path().as_str(), Some(value));
    let keyword = error.kind().keyword();
    let message = match error.kind() {
        ValidationErrorKind::Required {
            property: Value::String(name),
        } => format!("must have `{}`", name.chars().take(100).collect::<String>()),
        ValidationErrorKind::FalseSchema => "must not be there".to_owned(),
        ValidationErrorKind::RegexEngineFailure { .. } => "could not be held against a pattern".to_owned(),
        _ => format!("must be as the schema's `{keyword}` says"),
    };
    Violation {
        field: format!("{field}{at}").into(),
        rule: keyword.to_owned().into(),
        message,
    }
}

/// What is wrong with a text that is to be JSON.
pub(crate) fn not_json(field: &str, error: &serde_json::Error) -> Violation {
    let deep = error.to_string().starts_with("recursion limit");
    let (rule, message) = if deep {
        ("too_deep", "must nest at most 127 deep".to_owned())
    } else {
        (
            "json",
            format!(
                "must be JSON; it is not at line {} column {}",
                error.line(),
                error.column()
            ),
        )
    };
    Violation {
        field: field.to_owned().into(),
        rule: rule.into(),
        message,
    }
}

/// What would take too long.
pub(crate) fn too_costly(field: &str) -> Violation {
    Violation {
        field: field.to_owned().into(),
        rule: "too_costly".into(),
        message: "is too large to be held against a schema of this size".to_owned(),
    }
}

/// What is wrong with a schema that amounts to too much.
pub(crate) fn too_large() -> Violation {
    Violation {
        field: "schema".into(),
        rule: "too_large".into(),
        message: "amounts to too much when it is compiled".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_read_like_code() {
        let value = json!({"items": [{"price": 1}], "0": {"a b": 1, "a/b": [1]}});
        for (pointer, expected) in [
            ("", ""),
            ("/items/0/price", ".items[0].price"),
            ("/0/a b", ".0[\"a b\"]"),
            ("/0/a~1b/0", ".0[\"a/b\"][0]"),
        ] {
            assert_eq!(path(pointer, Some(&value)), expected);
        }
        let long = format!("/{}", "ä".repeat(10_000));
        assert!(path(&long, None).len() <= MAX_PATH + 3);
    }
}
