//! The API of section 12, compared with docs/openapi.json: routes, names, bodies, answers.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use serde_json::{Map, Value};

use super::code::Named;
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

/// Operations that only one of code and document has.
pub(super) fn current(document: &Document, operations: &[Named]) -> Vec<Finding> {
    const MEND: &str = "run `cargo xtask generate`";
    let mut findings = Vec::new();
    for operation in operations {
        if !document
            .operations
            .iter()
            .any(|known| known.name == snake(&operation.name))
        {
            let what = format!("the operation `{}` is missing in {OPENAPI}", operation.name);
            findings.push(Finding::new(&operation.file, operation.line, what, MEND));
        }
    }
    for known in &document.operations {
        if !operations
            .iter()
            .any(|operation| snake(&operation.name) == known.name)
        {
            let what = format!("no function of the API is {} ({})", known.route, known.name);
            findings.push(Finding::new(OPENAPI, 1, what, MEND));
        }
    }
    findings
}

/// A line within the block, from 0; what is wrong there; what to do.
type Fault = (usize, String, &'static str);

pub(super) fn check(page: &Page, document: &Document) -> Vec<Finding> {
    let Some((first, text)) = block(page, 12, "rust") else {
        return Vec::new();
    };
    let faults = match signatures(text) {
        Ok((found, faults)) => {
            let form = faults
                .into_iter()
                .map(|(line, what)| (line, what, "leave signatures without bodies"));
            form.chain(compared(document, &routes(text), &found)).collect()
        }
        Err((line, what)) => vec![(line, what, "write signatures that Rust can parse")],
    };
    faults
        .into_iter()
        .map(|(line, what, mend)| Finding::new(&page.file, first + line, what, mend))
        .collect()
}

/// The routes of the page and the signatures behind them, against those of the document.
fn compared(document: &Document, listed: &[Route], found: &BTreeMap<String, Signature>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for operation in &document.operations {
        if !listed.iter().any(|route| route.operation == operation.route) {
            let what = format!("the route {} ({OPENAPI}) is missing", operation.route);
            faults.push((0, what, "add its signature"));
        }
    }
    for (index, route) in listed.iter().enumerate() {
        let of_route = |operation: &&Operation| operation.route == route.operation;
        let Some(operation) = document.operations.iter().find(of_route) else {
            let what = format!("{} is no route of {OPENAPI}", route.operation);
            faults.push((route.line, what, "take it out, or write it as it is there"));
            continue;
        };
        let mut before = listed[..index].iter();
        if before.any(|before| before.operation == route.operation) {
            let what = format!("{} stands twice", route.operation);
            faults.push((route.line, what, "take one of them out"));
        }
        let differences = differences(route, operation, found).into_iter();
        faults.extend(differences.map(|what| (route.line, what, "write it as it is there")));
    }
    for (name, signature) in found {
        if !listed.iter().any(|route| route.name.as_ref() == Some(name)) {
            let what = format!("`{name}` stands behind no route");
            faults.push((signature.line, what, "put `/* METHOD /path */` before it"));
        }
    }
    faults
}

fn differences(route: &Route, operation: &Operation, found: &BTreeMap<String, Signature>) -> Vec<String> {
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
