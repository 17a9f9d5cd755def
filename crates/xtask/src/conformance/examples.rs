//! Real input: the example payloads of GitHub's webhooks, from the npm package `@octokit/webhooks-examples`.
//!
//! Read at run time and kept in a cache, never in the repository.

use anyhow::{Context, ensure};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::tools;

const PACKAGE: &str = "@octokit/webhooks-examples";
/// Pinned, so that figures of two runs can be compared.
const VERSION: &str = "7.6.1";

/// Texts that a careless server would rewrite: number forms, escapes, white space, repeated names, no object at all.
const AWKWARD: [&str; 8] = [
    "\"just a text, with \\u0000, \\/, \\ud83e\\udd40 and 🥀\"",
    "null",
    "-0.0",
    "[1e400, 12345678901234567890.12345678901234567890, 1E+2, 0.10]",
    "{ \"b\" : 1 ,\n\t\"a\":2, \"b\" :3 }",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[ ]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
    "{\"\":\"\",\"\u{2028}\":\"\u{feff}\"}",
    "[ ]",
];

/// A payload and the name of its event.
#[derive(Debug, Clone)]
pub(super) struct Example {
    pub(super) event_type: String,
    /// As it stands in its source, white space included.
    pub(super) payload: Box<RawValue>,
}

#[derive(Deserialize)]
struct Definition {
    name: String,
    examples: Vec<Box<RawValue>>,
}

/// All examples of all lists of the package (github.com and each version of the enterprise server).
pub(super) fn fetch() -> anyhow::Result<Vec<Example>> {
    let folder = tools::npm("webhooks-examples", &[&format!("{PACKAGE}@{VERSION}")])?;
    let package = folder.join("node_modules").join(PACKAGE);
    let mut lists: Vec<_> = std::fs::read_dir(&package)?
        .flatten()
        .map(|entry| entry.path().join("index.json"))
        .filter(|list| list.is_file())
        .collect();
    lists.sort();
    let mut examples = Vec::new();
    for list in &lists {
        let text = std::fs::read_to_string(list)?;
        examples.extend(parse(&text).with_context(|| format!("unexpected form: {}", list.display()))?);
    }
    ensure!(!examples.is_empty(), "no examples in {}", package.display());
    Ok(examples)
}

/// A few payloads of our own that are valid and unusual.
pub(super) fn awkward() -> anyhow::Result<Vec<Example>> {
    AWKWARD
        .iter()
        .map(|text| {
            Ok(Example {
                event_type: "conformance.awkward".to_owned(),
                payload: RawValue::from_string((*text).to_owned())?,
            })
        })
        .collect()
}

fn parse(text: &str) -> anyhow::Result<Vec<Example>> {
    let definitions: Vec<Definition> = serde_json::from_str(text)?;
    Ok(definitions
        .into_iter()
        .flat_map(|definition| {
            let event_type = definition.name;
            definition.examples.into_iter().map(move |payload| Example {
                event_type: event_type.clone(),
                payload,
            })
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_keep_their_bytes_and_get_their_events_name() {
        let examples = parse(
            r#"[{"name":"check_run","actions":[],"examples":[{ "a" : 1.0 },{}]},{"name":"push","examples":[[]]}]"#,
        )
        .unwrap();
        let found: Vec<_> = examples
            .iter()
            .map(|example| (example.event_type.as_str(), example.payload.get()))
            .collect();
        assert_eq!(
            found,
            [
                ("check_run", r#"{ "a" : 1.0 }"#),
                ("check_run", "{}"),
                ("push", "[]")
            ]
        );
    }

    #[test]
    fn awkward_payloads_are_valid_json_as_they_stand() {
        let texts: Vec<_> = awkward()
            .unwrap()
            .iter()
            .map(|one| one.payload.get().to_owned())
            .collect();
        assert_eq!(texts, AWKWARD);
    }
}
