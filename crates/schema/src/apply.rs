//! One schema, compiled.

use jsonschema::{Draft, PatternOptions, Validator};
use postrider_application::Violation;
use serde_json::Value;

use crate::{
    LIMITS, faults,
    measure::{Measure, measure},
};

/// How large the programs of patterns may be, in bytes; the first that all of them fit in counts.
const PROGRAMS: [u64; 5] = [1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10];
/// How large the tables may become that a pattern's program is sped up by, in bytes.
const TABLES: usize = 64 << 10;
/// What a pattern is given to work with once it was applied, in bytes: tables, and what it has been through.
const WORKING: u64 = 256 << 10;
/// The most that the table of a pattern with groups takes, in bytes, and how much larger than its program it is.
const GROUPS: (u64, u64) = (1 << 20, 86);
/// What a value of a schema takes when it is compiled, beside its text, in bytes.
const NODE: u64 = 1 << 10;

/// The most that a schema takes when it is compiled, in bytes, if the programs of its patterns have `program` bytes.
/// Programs are there forwards, backwards, and for what they find quickly.
fn size(measure: Measure, program: u64) -> u64 {
    let nodes = measure.weight.saturating_mul(NODE);
    let texts = measure.text.saturating_mul(2);
    let programs = measure.patterns.saturating_mul(program).saturating_mul(3);
    let table = program.saturating_mul(GROUPS.1).min(GROUPS.0);
    let groups = measure.grouped.saturating_mul(table);
    [texts, programs, groups]
        .into_iter()
        .fold(nodes, u64::saturating_add)
}

/// A schema that payloads can be held to.
pub(crate) struct Compiled {
    validator: Validator,
    measure: Measure,
    /// What a byte of a payload costs at most, all patterns together.
    per_byte: u64,
    weight: u32,
}

impl Compiled {
    /// How large it is at most, in bytes, with what its patterns work with.
    pub(crate) const fn weight(&self) -> u32 {
        self.weight
    }

    /// Of a schema's text; or what is wrong with it.
    pub(crate) fn of(text: &str) -> Result<Self, Vec<Violation>> {
        let schema: Value =
            serde_json::from_str(text).map_err(|error| vec![faults::not_json("schema", &error)])?;
        let measure = measure(&schema).map_err(|fault| vec![fault])?;
        let mut refused = Vec::new();
        for program in PROGRAMS {
            let size = size(measure, program);
            if size > LIMITS.compiled {
                break;
            }
            let patterns = PatternOptions::regex()
                .size_limit(usize::try_from(program).unwrap_or(usize::MAX))
                .dfa_size_limit(TABLES);
            let built = jsonschema::options()
                .with_draft(Draft::Draft202012)
                .with_pattern_options(patterns)
                .offline()
                .build(&schema);
            match built {
                Ok(validator) => {
                    let working = measure.patterns.saturating_mul(WORKING);
                    return Ok(Self {
                        validator,
                        measure,
                        per_byte: measure.patterns * (program >> 10),
                        weight: u32::try_from(size.saturating_add(working)).unwrap_or(u32::MAX),
                    });
                }
                Err(error) => refused = vec![of_schema(&schema, &error)],
            }
            if measure.patterns == 0 {
                break;
            }
        }
        if refused.is_empty() {
            refused.push(faults::too_large());
        }
        Err(refused)
    }

    /// What holding a text of so many bytes to the schema costs at most. Every value takes a byte, and one beside it.
    pub(crate) fn most(&self, bytes: usize) -> u64 {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.cost(bytes / 2 + 1, bytes)
    }

    fn cost(&self, values: u64, bytes: u64) -> u64 {
        let tree = values.saturating_mul(self.measure.weight);
        tree.saturating_add(bytes.saturating_mul(self.per_byte))
    }

    /// Where `text` is not as the schema says, below `field`.
    pub(crate) fn apply(&self, field: &str, text: &[u8]) -> Vec<Violation> {
        let value: Value = match serde_json::from_slice(text) {
            Ok(value) => value,
            Err(error) => return vec![faults::not_json(field, &error)],
        };
        let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
        let cost = self.cost(values(&value), bytes);
        if cost > LIMITS.cost {
            return vec![faults::too_costly(field)];
        }
        // Whether it is good takes no memory; what is wrong with it may.
        if self.validator.is_valid(&value) {
            return Vec::new();
        }
        if cost > LIMITS.all_faults_cost {
            return vec![Violation {
                field: field.to_owned().into(),
                rule: "schema".into(),
                message: "must be as the schema says; it is too large to say where it is not".to_owned(),
            }];
        }
        let errors = self.validator.iter_errors(&value).take(LIMITS.faults);
        let found: Vec<_> = errors
            .map(|error| faults::of_value(field, &value, &error))
            .collect();
        if found.is_empty() {
            // Two ways of asking the same that do not agree.
            return vec![Violation {
                field: field.to_owned().into(),
                rule: "schema".into(),
                message: "must be as the schema says".to_owned(),
            }];
        }
        found
    }
}

/// How many values there are.
fn values(value: &Value) -> u64 {
    // Texts of JSON nest no deeper than 127 when they are read.
    1 + match value {
        Value::Array(list) => list.iter().map(values).sum(),
        Value::Object(named) => named.values().map(values).sum(),
        _ => 0,
    }
}

/// What is wrong with a schema: it breaks the rules of schemas, or has a pattern that does not compile.
fn of_schema(schema: &Value, error: &jsonschema::ValidationError<'_>) -> Violation {
    let mut fault = faults::of_value("schema", schema, error);
    if fault.rule == "format" || fault.rule == "pattern" {
        "must be a pattern without look-around and back-references, of a moderate size, the less the more there are"
            .clone_into(&mut fault.message);
        fault.rule = "pattern".into();
    } else if !fault.message.starts_with("must have") {
        format!("must be a JSON Schema: see `{}`", fault.rule).clone_into(&mut fault.message);
    }
    fault
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(schema: &str, payload: &str) -> Vec<(String, String)> {
        let compiled = Compiled::of(schema).unwrap_or_else(|faults| panic!("{faults:?}"));
        let found = compiled.apply("payload", payload.as_bytes());
        let pair = |fault: Violation| (fault.field.into_owned(), fault.rule.into_owned());
        found.into_iter().map(pair).collect()
    }

    fn refused(schema: &str) -> String {
        match Compiled::of(schema) {
            Ok(_) => panic!("{schema} was not refused"),
            Err(faults) => faults[0].rule.clone().into_owned(),
        }
    }

    const INVOICE: &str = r##"{
        "type": "object",
        "required": ["invoice", "items"],
        "properties": {
            "invoice": {"type": "string", "pattern": "^in_[0-9]+$"},
            "items": {"type": "array", "items": {"$ref": "#/$defs/item"}},
            "note": {"maxLength": 3}
        },
        "additionalProperties": false,
        "$defs": {"item": {"properties": {"price": {"type": "number", "minimum": 0}}, "required": ["price"]}}
    }"##;

    #[test]
    fn every_failing_place_is_named_and_no_value() {
        assert!(faults(INVOICE, r#"{"invoice": "in_1", "items": [{"price": 1.5}]}"#).is_empty());
        let bad = r#"{"invoice": "secret", "items": [{"price": 1}, {}, {"price": -1}], "note": "long"}"#;
        let mut found = faults(INVOICE, bad);
        found.sort();
        let expected = [
            ("payload.invoice", "pattern"),
            ("payload.items[1]", "required"),
            ("payload.items[2].price", "minimum"),
            ("payload.note", "maxLength"),
        ];
        assert_eq!(
            found,
            expected.map(|(field, rule)| (field.to_owned(), rule.to_owned()))
        );
        let compiled = Compiled::of(INVOICE).unwrap_or_else(|_| panic!());
        let messages = compiled.apply("payload", bad.as_bytes());
        assert!(messages.iter().all(|fault| !fault.message.contains("secret")));
        let many = format!(
            r#"{{"items": [{}], "invoice": "in_1"}}"#,
            vec!["{}"; 100].join(",")
        );
        assert_eq!(faults(INVOICE, &many).len(), LIMITS.faults);
    }

    #[test]
    fn what_is_no_json_is_told_as_such() {
        for (payload, rule) in [
            ("{", "json"),
            ("\u{0}", "json"),
            ("1e999", "json"),
            (&"[".repeat(200), "too_deep"),
        ] {
            assert_eq!(faults("true", payload), [("payload".to_owned(), rule.to_owned())]);
        }
        let compiled = Compiled::of("true").unwrap_or_else(|_| panic!());
        assert_eq!(compiled.apply("raw", b"\"\xff\"")[0].rule, "json");
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        for (schema, rule) in [
            ("{", "json"),
            (r#"{"type": "strin"}"#, "anyOf"),
            (r#"{"minLength": -1}"#, "minimum"),
            (r#"{"required": "a"}"#, "type"),
            (r#"{"pattern": "("}"#, "pattern"),
            (r#"{"pattern": "(?=a)b"}"#, "pattern"),
            (r#"{"pattern": "(a)\\1"}"#, "pattern"),
            (r#"{"patternProperties": {"(?<!a)b": true}}"#, "pattern"),
            (r#"{"pattern": "((a{100}){100}){100}"}"#, "pattern"),
        ] {
            assert_eq!(refused(schema), rule, "{schema}");
        }
        let deep = format!("{}{}", r#"{"not":"#.repeat(1_000), "}".repeat(1_000));
        assert_eq!(refused(&deep), "too_deep");
    }

    #[test]
    fn what_a_schema_amounts_to_is_weighed_and_bounded() {
        let weight = |schema: &str| Compiled::of(schema).map(|compiled| u64::from(compiled.weight()));
        let plain = weight(INVOICE).unwrap_or_else(|faults| panic!("{faults:?}"));
        assert!(plain < 512 << 10, "{plain}");
        let many = |count: usize, pattern: &str| {
            let patterns: Vec<_> = (0..count)
                .map(|n| format!(r#"{{"pattern": "{pattern}a{n:02}"}}"#))
                .collect();
            format!(r#"{{"allOf": [{}]}}"#, patterns.join(","))
        };
        // A short text, and large programs: few of them are taken, and they weigh what they are.
        let large = r"\\p{L}{5}";
        let text = many(20, large);
        assert!(text.len() < 1_000);
        let weighed = weight(&text).unwrap_or_else(|faults| panic!("{faults:?}"));
        assert!(weighed > 20 * (256 << 10) * 3, "{weighed}");
        assert!(weighed <= LIMITS.compiled + 20 * WORKING, "{weighed}");
        assert_eq!(refused(&many(100, large)), "pattern");
        assert!(weight(&many(100, "^in_[0-9]+")).is_ok());
        assert_eq!(refused(&many(60, r"(\\p{L})")), "pattern");
    }

    #[test]
    fn patterns_that_others_take_for_ever_over_take_no_time() {
        let hostile = format!("\"{}!\"", "a".repeat(20_000));
        assert_eq!(faults(r#"{"pattern": "^(a+)+$"}"#, &hostile)[0].1, "pattern");
        assert!(faults(r#"{"pattern": "^.{1,255}$"}"#, r#""plain""#).is_empty());
    }

    #[test]
    fn what_would_take_too_long_is_not_begun() {
        let wide: Vec<String> = (0..1_000)
            .map(|n| format!(r#"{{"not": {{"const": {n}}}}}"#))
            .collect();
        let schema = format!(r#"{{"items": {{"allOf": [{}]}}}}"#, wide.join(","));
        let payload = format!("[{}]", vec!["-1"; 20_000].join(","));
        assert_eq!(faults(&schema, &payload)[0].1, "too_costly");
        assert!(faults(&schema, "[-1]").is_empty());
        assert_eq!(faults(&schema, "[-1, 5]")[0].0, "payload[1]");
        let long = format!("\"{}\"", "a".repeat(250_000));
        let patterns: Vec<String> = (0..100).map(|n| format!(r#"{{"pattern": "{n}"}}"#)).collect();
        let schema = format!(r#"{{"anyOf": [{}]}}"#, patterns.join(","));
        assert_eq!(faults(&schema, &long)[0].1, "too_costly");
    }
}
