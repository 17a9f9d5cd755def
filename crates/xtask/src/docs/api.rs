//! The API of section 12, compared with docs/openapi.json: routes, names, bodies, answers.

use std::collections::BTreeSet;

use anyhow::Context;
use serde_json::{Map, Value};

use super::form::block;
use super::signatures::{Route, Signature, routes, signatures};
use super::{Finding, Page, Repository};

const OPENAPI: &str = "docs/openapi.json";
const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];
const REFERENCE: &str = "#/components/schemas/";

/// The OpenAPI document, as far as it is compared.
pub(super) struct Document {
    operations: Vec<Operation>,
    /// Schemas by name.
    pub(super) schemas: Map<String, Value>,
}

struct Operation {
    route: String,
    /// As a function is named.
    name: String,
    /// The schema of the body; none if there is none, or it has no name.
    body: Option<String>,
    answers: Answers,
}

#[derive(Default)]
struct Answers {
    /// The schemas of what is answered if it went well.
    named: BTreeSet<String>,
    /// Whether anything is answered that has no name.
    others: bool,
}

impl Document {
    pub(super) fn read(repository: &Repository) -> anyhow::Result<Self> {
        let document: Value = serde_json::from_str(&repository.read(OPENAPI)?)
            .with_context(|| format!("{OPENAPI} is no JSON"))?;
        let schemas = document["components"]["schemas"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        let mut operations = Vec::new();
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                if METHODS.contains(&method.as_str()) {
                    operations.push(Operation {
                        route: format!("{} {path}", method.to_uppercase()),
                        name: snake(operation["operationId"].as_str().unwrap_or_default()),
                        body: named(&operation["requestBody"]["content"]),
                        answers: answers(&operation["responses"]),
                    });
                }
            }
        }
        anyhow::ensure!(!operations.is_empty(), "{OPENAPI} has no operations");
        Ok(Self { operations, schemas })
    }
}

pub(super) fn check(page: &Page, document: &Document) -> Vec<Finding> {
    let Some((first, text)) = block(page, 12, "rust") else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    let mut finding = |line: usize, what: String, mend: &str| {
        findings.push(Finding::new(&page.file, first + line, what, mend));
    };
    let (found, faults) = match signatures(text) {
        Ok(read) => read,
        Err((line, what)) => {
            finding(line, what, "write signatures that Rust can parse");
            return findings;
        }
    };
    for (line, what) in faults {
        finding(line, what, "leave signatures without bodies");
    }
    let listed = routes(text);
    for operation in &document.operations {
        if !listed.iter().any(|route| route.operation == operation.route) {
            let what = format!("the route {} ({OPENAPI}) is missing", operation.route);
            finding(0, what, "add its signature");
        }
    }
    for (index, route) in listed.iter().enumerate() {
        let operation = document
            .operations
            .iter()
            .find(|operation| operation.route == route.operation);
        let Some(operation) = operation else {
            let what = format!("{} is no route of {OPENAPI}", route.operation);
            finding(route.line, what, "take it out, or write it as it is there");
            continue;
        };
        if listed[..index]
            .iter()
            .any(|before| before.operation == route.operation)
        {
            finding(
                route.line,
                format!("{} stands twice", route.operation),
                "take one of them out",
            );
        }
        for what in differences(route, operation, &found) {
            finding(route.line, what, "write it as it is there");
        }
    }
    let without_route = found.iter().filter(|(name, _)| {
        !listed
            .iter()
            .any(|route| route.name.as_deref() == Some(name.as_str()))
    });
    for (name, signature) in without_route {
        finding(
            signature.line,
            format!("`{name}` stands behind no route"),
            "put `/* METHOD /path */` before it",
        );
    }
    findings
}

fn differences(
    route: &Route,
    operation: &Operation,
    found: &std::collections::BTreeMap<String, Signature>,
) -> Vec<String> {
    let of = &operation.route;
    let Some((name, signature)) = route
        .name
        .as_ref()
        .and_then(|name| Some((name, found.get(name)?)))
    else {
        return vec![format!("{of} has no signature")];
    };
    let mut differences = Vec::new();
    if *name != operation.name {
        differences.push(format!("{of} is `{}` in {OPENAPI}, not `{name}`", operation.name));
    }
    if signature.body != operation.body {
        differences.push(format!(
            "the body of {of} is {} in {OPENAPI}, not {}",
            shown(operation.body.as_deref()),
            shown(signature.body.as_deref())
        ));
    }
    let answers = &operation.answers;
    let is_told = match &signature.answer {
        None => answers.named.is_empty() && !answers.others,
        Some(answer) => answers.named.contains(answer) || answers.named.is_empty() && answers.others,
    };
    if !is_told {
        let names: Vec<_> = answers.named.iter().map(String::as_str).collect();
        differences.push(format!(
            "the answer of {of} is {} in {OPENAPI}, not {}",
            shown((!names.is_empty()).then(|| names.join(" or ")).as_deref()),
            shown(signature.answer.as_deref())
        ));
    }
    differences
}

fn shown(name: Option<&str>) -> &str {
    name.unwrap_or("nothing that has a name")
}

fn answers(responses: &Value) -> Answers {
    let mut answers = Answers::default();
    for (status, response) in responses.as_object().into_iter().flatten() {
        if !status.starts_with('2') {
            continue;
        }
        match named(&response["content"]) {
            Some(name) => {
                answers.named.insert(name);
            }
            None => {
                answers.others |= response["content"]
                    .as_object()
                    .is_some_and(|content| !content.is_empty());
            }
        }
    }
    answers
}

/// The name of the schema of a content; of a list's, as a generic type is written.
fn named(content: &Value) -> Option<String> {
    let mut types = content.as_object()?.values();
    let reference = types.find_map(|content| content["schema"]["$ref"].as_str())?;
    let name = reference.strip_prefix(REFERENCE)?;
    Some(match name.split_once('_') {
        Some((of, argument)) => format!("{of}<{argument}>"),
        None => name.to_owned(),
    })
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}
