//! What there is to choose from: the values of a field or parameter that is one of several words.

use postrider_application::{
    endpoints::StatsPeriod,
    ports::{DeliveryState, MessageStatus},
};
use postrider_domain::{
    endpoints::SecretType,
    replays::ReplayMode,
    tenants::{SchemaValidation, UnregisteredEventTypes},
};
use serde_json::{Map, Value, json};

/// The words of a field of a component, or of a parameter of an operation.
fn choices() -> [(&'static str, &'static str, Vec<&'static str>); 13] {
    let secret_types = || SecretType::ALL.map(SecretType::as_str).to_vec();
    [
        ("listEndpoints", "status", vec!["enabled", "disabled"]),
        (
            "getEndpointStats",
            "period",
            StatsPeriod::ALL.map(StatsPeriod::as_str).to_vec(),
        ),
        (
            "listMessages",
            "status",
            MessageStatus::ALL.map(MessageStatus::as_str).to_vec(),
        ),
        (
            "searchDeliveries",
            "status",
            DeliveryState::ALL.map(DeliveryState::as_str).to_vec(),
        ),
        ("listAuditEntries", "outcome", vec!["done", "denied"]),
        ("NewEndpoint", "secret_type", secret_types()),
        ("EndpointContent", "secret_type", secret_types()),
        ("SecretRotation", "secret_type", secret_types()),
        (
            "NewReplay",
            "mode",
            ReplayMode::ALL.map(ReplayMode::as_str).to_vec(),
        ),
        (
            "TenantSettingsPatch",
            "schema_validation",
            SchemaValidation::ALL.iter().map(|one| one.as_str()).collect(),
        ),
        (
            "TenantSettingsPatch",
            "unregistered_event_types",
            UnregisteredEventTypes::ALL
                .iter()
                .map(|one| one.as_str())
                .collect(),
        ),
        (
            "TenantSettings",
            "schema_validation",
            SchemaValidation::ALL.iter().map(|one| one.as_str()).collect(),
        ),
        (
            "TenantSettings",
            "unregistered_event_types",
            UnregisteredEventTypes::ALL
                .iter()
                .map(|one| one.as_str())
                .collect(),
        ),
    ]
}

/// Says the words of a field or parameter of that name, if it has any.
pub(super) fn say(of: &str, name: &str, schema: &mut Map<String, Value>) {
    let found = choices()
        .into_iter()
        .find(|(place, field, _)| (*place, *field) == (of, name));
    if let Some((_, _, words)) = found {
        let mut words: Vec<Value> = words.into_iter().map(Value::from).collect();
        let nullable = schema
            .get("type")
            .and_then(Value::as_array)
            .is_some_and(|types| types.contains(&json!("null")));
        if nullable {
            words.push(Value::Null);
        }
        schema.insert("enum".to_owned(), Value::Array(words));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::openapi_json;

    #[test]
    fn every_choice_is_one_of_the_document() {
        let document: Value = serde_json::from_str(&openapi_json()).unwrap();
        let operations: Vec<&Value> = document["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|item| item.as_object().unwrap().values())
            .collect();
        for (of, name, words) in choices() {
            let field = &document["components"]["schemas"][of]["properties"][name];
            let operation = operations.iter().find(|operation| operation["operationId"] == of);
            let parameters = operation.and_then(|operation| operation["parameters"].as_array());
            let parameter = parameters.and_then(|all| all.iter().find(|one| one["name"] == name));
            let schema = parameter.map_or(field, |parameter| &parameter["schema"]);
            let said = schema["enum"]
                .as_array()
                .unwrap_or_else(|| panic!("{of} {name}: {schema}"));
            assert!(
                words.iter().all(|word| said.contains(&json!(word))),
                "{of} {name}"
            );
        }
    }
}
