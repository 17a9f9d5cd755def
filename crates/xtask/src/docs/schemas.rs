//! The wire schemas of section 13, compared with those of docs/openapi.json: names, fields, what may be left out.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::api::Document;
use super::form::block;
use super::signatures::{Field, Form, shapes};
use super::{Finding, Page};

/// The field that holds another schema's fields as its own.
const FLAT: &str = "flat";
/// The one generic type: there, each of its uses has a name of its own, which begins so.
const LIST: &str = "List";

/// The properties of a schema, and whether each may be absent or null.
type Properties = BTreeMap<String, bool>;

pub(super) fn check(page: &Page, document: &Document) -> Vec<Finding> {
    let Some((first, text)) = block(page, 13, "rust") else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    let mut finding = |line: usize, what: String, mend: &str| {
        findings.push(Finding::new(&page.file, first + line, what, mend));
    };
    let (found, faults) = match shapes(text) {
        Ok(read) => read,
        Err((line, what)) => {
            finding(line, what, "write types that Rust can parse");
            return findings;
        }
    };
    for (line, what) in faults {
        finding(line, what, "leave types only");
    }
    for (name, shape) in &found {
        let differences = match (&shape.form, schema(document, name)) {
            // A list of words, which there stands in each place where it is used.
            (Form::Choice, _) => Vec::new(),
            (_, None) => vec![format!("`{name}` is no schema of the API")],
            (Form::Fields(fields), Some(schema)) => differences(name, fields, schema, &document.schemas),
            (Form::Alias(of), Some(schema)) => likeness(name, of, schema, &document.schemas),
        };
        for what in differences {
            finding(shape.line, what, "write it as docs/openapi.json has it");
        }
    }
    findings
}

fn schema<'a>(document: &'a Document, name: &str) -> Option<&'a Value> {
    document.schemas.get(name).or_else(|| {
        let mut lists = document.schemas.iter();
        let (_, list) = lists.find(|(schema, _)| name == LIST && schema.starts_with("List_"))?;
        Some(list)
    })
}

fn differences(name: &str, fields: &[Field], schema: &Value, all: &Map<String, Value>) -> Vec<String> {
    let there = properties(schema, all);
    let mut told = Properties::new();
    for field in fields {
        if field.name == FLAT {
            told.extend(of_name(&field.of, all));
        } else {
            told.insert(field.name.clone(), field.optional);
        }
    }
    let names: BTreeSet<_> = there.keys().chain(told.keys()).collect();
    names
        .into_iter()
        .filter_map(|field| match (there.get(field), told.get(field)) {
            (Some(_), None) => Some(format!("`{name}` lacks its field `{field}`")),
            (None, Some(_)) => Some(format!("`{name}` has no field `{field}`")),
            (Some(true), Some(false)) => Some(format!("`{name}.{field}` may be absent or null")),
            (Some(false), Some(true)) => Some(format!("`{name}.{field}` is always there")),
            _ => None,
        })
        .collect()
}

/// `Part<T>` has some of the fields of `T`; `Patch<T>` too, and each may be left out; `T` has the same.
fn likeness(name: &str, of: &str, schema: &Value, all: &Map<String, Value>) -> Vec<String> {
    let inner = |wrapper: &str| {
        of.strip_prefix(wrapper)
            .and_then(|rest| rest.strip_prefix('<'))
            .and_then(|rest| rest.strip_suffix('>'))
    };
    let there = properties(schema, all);
    let is_patch = inner("Patch").is_some();
    let whole = of_name(inner("Patch").or_else(|| inner("Part")).unwrap_or(of), all);
    let mut differences: Vec<_> = there
        .iter()
        .filter_map(|(field, optional)| match whole.get(field) {
            None => Some(format!("`{name}` has a field `{field}` that `{of}` has not")),
            Some(_) if is_patch && !optional => Some(format!("`{name}.{field}` is always there")),
            Some(_) => None,
        })
        .collect();
    if there.is_empty() || whole.len() > there.len() && inner("Patch").or_else(|| inner("Part")).is_none() {
        differences.push(format!("`{name}` is not the same as `{of}`"));
    }
    differences
}

fn of_name(name: &str, all: &Map<String, Value>) -> Properties {
    all.get(name)
        .map(|schema| properties(schema, all))
        .unwrap_or_default()
}

fn properties(schema: &Value, all: &Map<String, Value>) -> Properties {
    let mut found = Properties::new();
    for part in schema["allOf"].as_array().into_iter().flatten() {
        let name = part["$ref"].as_str().and_then(|name| name.rsplit('/').next());
        let part = name.and_then(|name| all.get(name)).unwrap_or(part);
        found.extend(properties(part, all));
    }
    let required: Vec<_> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let optional = !required.contains(&name.as_str()) || is_nullable(property);
        found.insert(name.clone(), optional);
    }
    found
}

fn is_nullable(schema: &Value) -> bool {
    let is_null = |of: &Value| of == "null";
    let any = |list: &Value| list.as_array().is_some_and(|parts| parts.iter().any(is_nullable));
    is_null(&schema["type"])
        || schema["type"]
            .as_array()
            .is_some_and(|types| types.iter().any(is_null))
        || any(&schema["oneOf"])
        || any(&schema["anyOf"])
}
