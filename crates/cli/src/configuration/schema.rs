//! The configuration's JSON Schema: keys, documentation and defaults from its types, ranges from what checks them.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::{Configuration, faults::AllowedRange};

/// The schema, in the words of JSON Schema 2020-12.
pub(crate) fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<Configuration>()
        .to_value();
    for (key, range) in Configuration::default().check().ranges {
        let place = format!("/properties/{}", key.replace('.', "/properties/"));
        if let Some(Value::Object(setting)) = schema.pointer_mut(&place) {
            let AllowedRange { least, most, or_zero } = range;
            // What the type alone allows.
            setting.shift_remove("minimum");
            setting.shift_remove("maximum");
            setting.shift_remove("format");
            if or_zero {
                setting.insert(
                    "anyOf".into(),
                    json!([{ "const": 0 }, { "minimum": least, "maximum": most }]),
                );
            } else {
                setting.insert("minimum".into(), least.into());
                setting.insert("maximum".into(), most.into());
            }
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Vec<(String, Value)> {
        let schema = schema();
        let mut settings = Vec::new();
        for (section, held) in schema["properties"].as_object().unwrap() {
            for (key, setting) in held["properties"].as_object().unwrap() {
                settings.push((format!("{section}.{key}"), setting.clone()));
            }
        }
        settings
    }

    #[test]
    fn every_number_has_a_range_and_every_setting_says_what_it_is() {
        let settings = settings();
        assert!(settings.len() > 60, "{}", settings.len());
        for (key, setting) in &settings {
            assert!(setting["description"].is_string(), "{key}: {setting}");
            if setting["type"] == "integer" {
                let ranged = setting.get("maximum").is_some() || setting.get("anyOf").is_some();
                assert!(
                    ranged,
                    "{key} has no range: its section's validate() gives it one"
                );
                assert!(setting.get("default").is_some(), "{key}");
            }
        }
    }

    #[test]
    fn every_range_that_is_checked_is_one_of_a_setting() {
        let settings = settings();
        for key in Configuration::default().check().ranges.into_keys() {
            assert!(settings.iter().any(|(name, _)| name == key), "{key}");
        }
    }

    #[test]
    fn ranges_and_defaults_are_those_of_the_code() {
        let settings = settings();
        let of = |key: &str| settings.iter().find(|(name, _)| name == key).unwrap().1.clone();
        let in_flight = of("delivery.max_in_flight");
        assert_eq!(in_flight["maximum"], 65_536);
        assert_eq!(in_flight["default"], 2_048);
        assert_eq!(of("retention.audit_days")["anyOf"][1]["minimum"], 7);
        assert_eq!(of("server.listen")["default"], "127.0.0.1:8080");
        let secret = of("security.master_key");
        assert!(secret.get("default").is_none_or(Value::is_null), "{secret}");
    }

    #[test]
    fn unknown_keys_are_errors_of_the_schema_too() {
        let schema = schema();
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["server"]["additionalProperties"], false);
    }
}
