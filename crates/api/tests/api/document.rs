//! The OpenAPI document.

use std::collections::BTreeSet;

use serde_json::Value;

fn document() -> Value {
    serde_json::from_str(&postrider_api::openapi_json()).unwrap()
}

fn operations(document: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            all.push((format!("{method} {path}"), operation.clone()));
        }
    }
    all
}

#[test]
fn it_is_openapi_3_1_and_the_same_each_time() {
    assert_eq!(document()["openapi"], "3.1.0");
    assert_eq!(postrider_api::openapi_json(), postrider_api::openapi_json());
    assert!(postrider_api::openapi_json().ends_with("}\n"));
}

#[test]
fn every_operation_is_complete() {
    let document = document();
    let tags: BTreeSet<_> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["name"].clone().to_string())
        .collect();
    let mut ids = BTreeSet::new();
    for (name, operation) in operations(&document) {
        let id = operation["operationId"]
            .as_str()
            .unwrap_or_else(|| panic!("{name} has no id"));
        assert!(ids.insert(id.to_owned()), "{id} stands twice");
        assert!(
            operation["summary"].as_str().is_some_and(|s| !s.is_empty()),
            "{name}"
        );
        let operation_tags = operation["tags"].as_array().unwrap();
        assert_eq!(operation_tags.len(), 1, "{name}");
        assert!(tags.contains(&operation_tags[0].to_string()), "{name}");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["description"].is_string(), "{name}: {parameter}");
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(
                response["description"].as_str().is_some_and(|s| !s.is_empty()),
                "{name} {status}"
            );
            let problem = status.starts_with('4') || (status.starts_with('5') && !name.contains("ready"));
            if problem {
                let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/Problem", "{name} {status}");
            }
        }
        let needs = operation["x-permission"].as_str();
        match needs.unwrap_or_else(|| panic!("{name} does not say what it needs")) {
            "public" => assert_eq!(operation["security"], serde_json::json!([]), "{name}"),
            needed => {
                assert!(operation["security"][0].is_object(), "{name}");
                let description = operation["description"].as_str().unwrap();
                assert!(description.contains(needed) || needed == "principal", "{name}");
            }
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).map(ToOwned::to_owned));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 100);
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn the_routes_are_those_that_were_agreed() {
    let names: Vec<_> = operations(&document())
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    insta::assert_snapshot!(names.join("\n"));
}
