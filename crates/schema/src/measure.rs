//! How much a schema is, with every reference written out.

use postrider_application::Violation;
use serde_json::{Map, Value};

use crate::LIMITS;

/// What a schema amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Measure {
    /// Values, references written out.
    pub(crate) weight: u64,
    /// Patterns among them.
    pub(crate) patterns: u64,
    /// Patterns that have groups or look for the edges of words: they may get a table of their own.
    pub(crate) grouped: u64,
    /// Bytes of names, texts and patterns, references written out.
    pub(crate) text: u64,
}

/// The dialect that is understood.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
/// Keywords whose value is a schema.
const ONE: [&str; 11] = [
    "not",
    "if",
    "then",
    "else",
    "items",
    "contains",
    "additionalProperties",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
];
/// Keywords whose value is a list of schemas.
const LIST: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
/// Keywords whose value is an object of schemas.
const BY_NAME: [&str; 5] = [
    "properties",
    "patternProperties",
    "dependentSchemas",
    "$defs",
    "definitions",
];
/// Keywords that lead elsewhere, or change what others mean.
const REFUSED: [&str; 8] = [
    "$dynamicRef",
    "$dynamicAnchor",
    "$anchor",
    "$recursiveRef",
    "$recursiveAnchor",
    "$vocabulary",
    "id",
    "dependencies",
];

/// Walks through a schema.
struct Walk<'s> {
    root: &'s Value,
    measure: Measure,
    /// The references that lead here.
    trail: Vec<&'s str>,
}

/// A fault and where it is, as a JSON pointer into the schema.
struct Fault(String, &'static str, String);

/// How much the schema is; or what is wrong with it.
pub(crate) fn measure(root: &Value) -> Result<Measure, Violation> {
    let mut walk = Walk {
        root,
        measure: Measure::default(),
        trail: Vec::new(),
    };
    walk.schema(root, "", 0)
        .map_err(|Fault(at, rule, message)| Violation {
            field: format!("schema{}", crate::faults::of_pointer(&at)).into(),
            rule: rule.into(),
            message,
        })?;
    Ok(walk.measure)
}

fn refuse(at: &str, rule: &'static str, message: impl Into<String>) -> Fault {
    Fault(at.to_owned(), rule, message.into())
}

impl<'s> Walk<'s> {
    fn count(&mut self, at: &str, weight: u64) -> Result<(), Fault> {
        self.measure.weight = self.measure.weight.saturating_add(weight);
        if self.measure.weight > LIMITS.weight {
            let message = format!(
                "must hold at most {} values, with every reference written out",
                LIMITS.weight
            );
            return Err(refuse(at, "too_large", message));
        }
        Ok(())
    }

    /// A text that is kept as often as it is reached.
    fn text(&mut self, at: &str, text: &str) -> Result<(), Fault> {
        let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
        self.measure.text = self.measure.text.saturating_add(bytes);
        if self.measure.text > LIMITS.text {
            let message = format!(
                "must hold at most {} bytes of names and texts, with every reference written out",
                LIMITS.text
            );
            return Err(refuse(at, "too_large", message));
        }
        Ok(())
    }

    /// A pattern, which costs as often as it is applied.
    fn pattern(&mut self, at: &str, pattern: &str) -> Result<(), Fault> {
        self.measure.patterns += 1;
        if is_grouped(pattern) {
            self.measure.grouped += 1;
        }
        self.text(at, pattern)?;
        if self.measure.patterns > LIMITS.patterns {
            let message = format!(
                "must hold at most {} patterns, with every reference written out",
                LIMITS.patterns
            );
            return Err(refuse(at, "too_large", message));
        }
        Ok(())
    }

    fn schema(&mut self, schema: &'s Value, at: &str, depth: u32) -> Result<(), Fault> {
        if depth > LIMITS.depth {
            let message = format!(
                "must nest at most {} deep, with every reference written out",
                LIMITS.depth
            );
            return Err(refuse(at, "too_deep", message));
        }
        self.count(at, 1)?;
        match schema {
            Value::Object(keywords) => self.keywords(keywords, at, depth),
            Value::Bool(_) => Ok(()),
            _ => Err(refuse(at, "type", "must be an object or a boolean")),
        }
    }

    fn keywords(&mut self, keywords: &'s Map<String, Value>, at: &str, depth: u32) -> Result<(), Fault> {
        let begun = self.measure;
        for (keyword, value) in keywords {
            let here = format!("{at}/{}", escaped(keyword));
            let name = keyword.as_str();
            self.text(&here, name)?;
            if REFUSED.contains(&name) || (name == "$id" && !at.is_empty()) {
                return Err(refuse(
                    &here,
                    "unsupported",
                    "is a keyword that is not supported here",
                ));
            }
            match (name, value) {
                ("$schema", Value::String(dialect)) if dialect.trim_end_matches('#') != DIALECT => {
                    return Err(refuse(&here, "unsupported", format!("must be {DIALECT}")));
                }
                ("$ref", Value::String(reference)) => self.reference(reference, &here, depth)?,
                ("pattern", Value::String(pattern)) => {
                    self.count(&here, 1)?;
                    self.pattern(&here, pattern)?;
                }
                (name, value) if ONE.contains(&name) => self.schema(value, &here, depth + 1)?,
                (name, Value::Array(list)) if LIST.contains(&name) => {
                    for (index, one) in list.iter().enumerate() {
                        self.schema(one, &format!("{here}/{index}"), depth + 1)?;
                    }
                }
                (name, Value::Object(named)) if BY_NAME.contains(&name) => {
                    for (key, one) in named {
                        let below = format!("{here}/{}", escaped(key));
                        if name == "patternProperties" {
                            self.pattern(&below, key)?;
                        } else {
                            self.text(&below, key)?;
                        }
                        self.schema(one, &below, depth + 1)?;
                    }
                }
                // Data, or a keyword that nobody knows: it is compared, at most.
                (_, value) => self.data(value, &here, depth)?,
            }
        }
        if keywords.keys().any(|keyword| keyword.starts_with("unevaluated")) {
            // What others evaluated is found out by evaluating it again.
            self.measure.patterns += self.measure.patterns - begun.patterns;
            self.measure.grouped += self.measure.grouped - begun.grouped;
            self.count(at, self.measure.weight - begun.weight)?;
        }
        Ok(())
    }

    fn data(&mut self, value: &Value, at: &str, depth: u32) -> Result<(), Fault> {
        if depth > LIMITS.depth {
            let message = format!("must nest at most {} deep", LIMITS.depth);
            return Err(refuse(at, "too_deep", message));
        }
        self.count(at, 1)?;
        match value {
            Value::Array(list) => list.iter().try_for_each(|one| self.data(one, at, depth + 1)),
            Value::Object(named) => named.iter().try_for_each(|(name, one)| {
                self.text(at, name)?;
                self.data(one, at, depth + 1)
            }),
            Value::String(text) => self.text(at, text),
            _ => Ok(()),
        }
    }

    fn reference(&mut self, reference: &'s str, at: &str, depth: u32) -> Result<(), Fault> {
        self.count(at, 1)?;
        let Some(pointer) = reference.strip_prefix('#') else {
            let message =
                "must be a JSON pointer into this schema, such as #/$defs/price: nothing is fetched";
            return Err(refuse(at, "reference", message));
        };
        // A percent sign would have to be decoded first; names that need one can be written otherwise.
        if pointer.contains('%') || !(pointer.is_empty() || pointer.starts_with('/')) {
            let message = "must be a JSON pointer into this schema, such as #/$defs/price";
            return Err(refuse(at, "reference", message));
        }
        if self.trail.contains(&pointer) || pointer.is_empty() {
            return Err(refuse(at, "recursive", "must not lead back to itself"));
        }
        let Some(target) = self.root.pointer(pointer) else {
            return Err(refuse(at, "reference", "must point to something"));
        };
        self.trail.push(pointer);
        let walked = self.schema(target, at, depth + 1);
        self.trail.pop();
        walked
    }
}

/// Whether a pattern may have groups that are kept, or edges of words. Rather once too often.
fn is_grouped(pattern: &str) -> bool {
    let opens = |(at, _)| {
        let inside = &pattern[at + 1..];
        !inside.starts_with('?') || inside.starts_with("?<") || inside.starts_with("?P<")
    };
    pattern.match_indices('(').any(opens) || pattern.contains("\\b") || pattern.contains("\\B")
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(schema: &Value) -> Result<Measure, (String, String)> {
        measure(schema).map_err(|fault| (fault.field.into_owned(), fault.rule.into_owned()))
    }

    fn rule(schema: &Value) -> String {
        of(schema).unwrap_err().1
    }

    #[test]
    fn references_count_as_often_as_they_are_followed() {
        let one = json!({"$defs": {"a": {"type": "string"}}, "items": {"$ref": "#/$defs/a"}});
        // The root; the definition and its type; the items, the reference, and what it leads to.
        assert_eq!(of(&one).unwrap().weight, 7);
        assert_eq!(
            of(&json!(true)).unwrap(),
            Measure {
                weight: 1,
                ..Measure::default()
            }
        );
    }

    #[test]
    fn a_schema_that_doubles_itself_is_refused_though_it_is_short() {
        let mut definitions = serde_json::Map::new();
        for n in 0..30 {
            let next = format!("#/$defs/d{}", n + 1);
            definitions.insert(
                format!("d{n}"),
                json!({"anyOf": [{"$ref": next}, {"$ref": next}]}),
            );
        }
        definitions.insert("d30".to_owned(), json!({"type": "string"}));
        let bomb = json!({"$ref": "#/$defs/d0", "$defs": definitions});
        assert!(["too_large", "too_deep"].contains(&rule(&bomb).as_str()));
    }

    #[test]
    fn texts_count_as_often_as_they_are_reached() {
        let long = "x".repeat(40_000);
        let of_references = |count: usize| {
            let references = vec![json!({"$ref": "#/$defs/a"}); count];
            json!({"$defs": {"a": {"const": long}}, "anyOf": references})
        };
        assert!(of(&of_references(10)).unwrap().text > 11 * 40_000);
        assert_eq!(rule(&of_references(50)), "too_large");
    }

    #[test]
    fn groups_of_patterns_are_seen() {
        for (pattern, grouped) in [
            ("^in_[0-9]+$", 0),
            ("^(?:a|b)$", 0),
            ("^(a|b)$", 1),
            ("^(?<year>[0-9]{4})", 1),
            ("^(?P<year>[0-9]{4})", 1),
            (r"\bword", 1),
        ] {
            let found = of(&json!({"pattern": pattern})).unwrap();
            assert_eq!((found.patterns, found.grouped), (1, grouped), "{pattern}");
        }
        let by_name = json!({"patternProperties": {"^(a)": true}, "unevaluatedProperties": false});
        assert_eq!(of(&by_name).unwrap().grouped, 2);
    }

    #[test]
    fn what_leads_back_or_out_is_refused() {
        for (schema, rule_of_it) in [
            (json!({"$ref": "#"}), "recursive"),
            (
                json!({"$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}}),
                "recursive",
            ),
            (
                json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"not": {"$ref": "#/$defs/a"}}}}),
                "recursive",
            ),
            (json!({"$ref": "https://example.com/schema"}), "reference"),
            (json!({"$ref": "file:///etc/passwd"}), "reference"),
            (json!({"$ref": "other.json"}), "reference"),
            (json!({"$ref": "#name"}), "reference"),
            (json!({"$ref": "#/$defs/absent"}), "reference"),
            (json!({"$ref": "#/%24defs/a", "$defs": {"a": true}}), "reference"),
            (json!({"$dynamicRef": "#x"}), "unsupported"),
            (
                json!({"properties": {"a": {"$id": "https://example.com/"}}}),
                "unsupported",
            ),
            (
                json!({"$schema": "http://json-schema.org/draft-07/schema#"}),
                "unsupported",
            ),
            (json!({"items": [true]}), "type"),
            (json!("a"), "type"),
        ] {
            assert_eq!(rule(&schema), rule_of_it, "{schema}");
        }
        let deep = (0..40).fold(json!(true), |schema, _| json!({"items": schema}));
        assert_eq!(rule(&deep), "too_deep");
        let deep = (0..40).fold(json!(1), |data, _| json!([data]));
        assert_eq!(rule(&json!({"const": deep})), "too_deep");
        let wide: Vec<u32> = (0..6_000).collect();
        assert_eq!(rule(&json!({"enum": wide})), "too_large");
    }

    #[test]
    fn names_of_properties_are_no_keywords() {
        let schema = json!({
            "$schema": DIALECT,
            "$id": "https://example.com/invoice",
            "properties": {"$ref": {"type": "string"}, "id": true, "$id": true, "pattern": {"pattern": "^a"}},
            "patternProperties": {"^x-": true},
            "examples": [{"$ref": "elsewhere"}]
        });
        assert_eq!(of(&schema).unwrap().patterns, 2);
    }

    #[test]
    fn nested_unevaluated_keywords_weigh_more_with_each_level() {
        let nest = |levels: usize| {
            (0..levels).fold(
                json!({"type": "object"}),
                |schema, _| json!({"allOf": [schema], "unevaluatedProperties": false}),
            )
        };
        let weights: Vec<_> = (1..=3).map(|levels| of(&nest(levels)).unwrap().weight).collect();
        assert!(weights[2] - weights[1] > weights[1] - weights[0], "{weights:?}");
        assert!(of(&nest(30)).is_err());
    }
}
