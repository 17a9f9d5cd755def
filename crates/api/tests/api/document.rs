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
            let parameter = match parameter["$ref"].as_str() {
                Some(reference) => document.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
                None => parameter,
            };
            assert!(parameter["description"].is_string(), "{name}: {parameter}");
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            let response = match response["$ref"].as_str() {
                Some(reference) => document.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
                None => response,
            };
            assert!(response["headers"]["X-Request-Id"].is_object(), "{name} {status}");
            assert!(
                response["description"].as_str().is_some_and(|s| !s.is_empty()),
                "{name} {status}"
            );
            let problem = status.starts_with('4') || (status.starts_with('5') && !name.contains("/health/"));
            if problem {
                let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/Problem", "{name} {status}");
            }
        }
        let guarded = operation["x-permission"] != "public";
        assert!(!guarded || operation["responses"]["429"].is_object(), "{name}");
        if guarded && name.starts_with("post ") {
            let parameters = operation["parameters"].as_array().unwrap().iter();
            let key = parameters.filter(|parameter| {
                parameter["$ref"] == "#/components/parameters/Idempotency-Key"
                    || parameter["name"] == "Idempotency-Key"
            });
            assert_eq!(key.count(), 1, "{name} takes a key");
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

#[test]
fn links_lead_to_operations_and_fill_their_paths() {
    let document = document();
    let all = operations(&document);
    let by_id: std::collections::BTreeMap<_, _> = all
        .iter()
        .map(|(name, operation)| (operation["operationId"].as_str().unwrap(), name))
        .collect();
    let mut found = 0;
    for (name, operation) in &all {
        for response in operation["responses"].as_object().unwrap().values() {
            for link in response["links"]
                .as_object()
                .into_iter()
                .flat_map(|links| links.values())
            {
                let target = by_id[link["operationId"].as_str().unwrap()];
                let given: BTreeSet<_> = link["parameters"].as_object().unwrap().keys().cloned().collect();
                let asked = target
                    .split('/')
                    .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
                let asked: BTreeSet<_> = asked.map(ToOwned::to_owned).collect();
                assert_eq!(given, asked, "{name} -> {target}");
                found += 1;
            }
        }
    }
    assert!(found > 10);
    let created = &document["paths"]["/v1/applications"]["post"]["responses"]["201"]["links"];
    assert_eq!(
        created["getApplication"]["parameters"]["application"],
        "$response.body#/id"
    );
}

#[test]
fn what_is_shown_once_may_be_missing_and_is_then_said_to_have_been_shown() {
    let document = document();
    let mut found = 0;
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let parts = schema["allOf"]
            .as_array()
            .cloned()
            .unwrap_or_else(|| vec![schema.clone()]);
        for part in parts {
            let properties = &part["properties"];
            if properties["secret_already_shown"].is_null() {
                continue;
            }
            found += 1;
            let secret = ["secret", "token"]
                .into_iter()
                .find(|field| properties[*field].is_object());
            let secret = secret.unwrap_or_else(|| panic!("{name} shows a secret"));
            let required = part["required"].as_array().cloned().unwrap_or_default();
            assert!(!required.contains(&secret.into()), "{name}");
        }
    }
    assert_eq!(
        found, 5,
        "keys, invitations, portal tokens, new endpoints and rotated secrets"
    );
}
