//! Answers that several operations have in common become components, so that the document says them once.

use std::collections::BTreeMap;

use postrider_application::ErrorCode;
use utoipa::openapi::{Components, Paths, Ref, RefOr, Response};

use super::{is_problem, operations};

/// What is said at least so often is said once.
const OFTEN: usize = 3;

/// Moves the problems that many operations answer into the components.
pub(super) fn share_problems(paths: &mut Paths, components: &mut Components) {
    let mut often: BTreeMap<String, (usize, Response)> = BTreeMap::new();
    for item in paths.paths.values_mut() {
        for (_, operation) in operations(item) {
            for (status, response) in &operation.responses.responses {
                if let RefOr::T(response) = response
                    && is_problem(status)
                {
                    often
                        .entry(key(status, response))
                        .or_insert_with(|| (0, response.clone()))
                        .0 += 1;
                }
            }
        }
    }
    often.retain(|_, (times, _)| *times >= OFTEN);
    let mut names = BTreeMap::new();
    for (key, (_, response)) in often {
        let name = free_name(&response.description, components);
        components.responses.insert(name.clone(), response.into());
        names.insert(key, name);
    }
    for item in paths.paths.values_mut() {
        for (_, operation) in operations(item) {
            for (status, response) in &mut operation.responses.responses {
                let name = match response {
                    RefOr::T(found) => names.get(&key(status, found)),
                    RefOr::Ref(_) => None,
                };
                if let Some(name) = name {
                    *response = RefOr::Ref(Ref::new(format!("#/components/responses/{name}")));
                }
            }
        }
    }
}

/// Equal for answers that are the same.
fn key(status: &str, response: &Response) -> String {
    // Strings, numbers, lists and maps; what could not be written would be shared with nothing.
    let text = serde_json::to_string(response).unwrap_or_default();
    format!("{status} {text}")
}

/// The first code of the description as a name: `not_found` becomes `NotFound`; then `NotFound2`.
fn free_name(description: &str, components: &Components) -> String {
    let is_code = |word: &&str| ErrorCode::ALL.iter().any(|code| code.as_str() == *word);
    let code = description.split('`').find(is_code).unwrap_or("problem");
    let name: String = code
        .split('_')
        .flat_map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            [first.to_uppercase(), rest.to_owned()]
        })
        .collect();
    let mut number = 1;
    loop {
        let name = match number {
            1 => name.clone(),
            more => format!("{name}{more}"),
        };
        if !components.responses.contains_key(&name) {
            return name;
        }
        number += 1;
    }
}
