//! Operations of the API that pages name, `POST /v1/applications` or `GET …/secret`: they must exist.

use anyhow::Context;
use serde_json::Value;

/// The generated document.
pub(super) const DOCUMENT: &str = "docs/openapi.json";
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// What the API can do: methods with their paths.
#[derive(Debug)]
pub(super) struct Routes(Vec<(String, Vec<String>)>);

impl Routes {
    /// Those of an `OpenAPI` document.
    pub(super) fn of(document: &str) -> anyhow::Result<Self> {
        let document: Value = serde_json::from_str(document).context(DOCUMENT)?;
        let paths = document["paths"].as_object().context("no paths")?;
        let mut routes = Vec::new();
        for (path, operations) in paths {
            for method in operations.as_object().into_iter().flat_map(serde_json::Map::keys) {
                routes.push((method.to_ascii_uppercase(), segments(path)));
            }
        }
        Ok(Self(routes))
    }

    /// The operations in this text that do not exist.
    pub(super) fn unknown(&self, text: &str) -> Vec<String> {
        let named = METHODS.into_iter().flat_map(|method| {
            let word = format!("`{method} ");
            let places: Vec<&str> = text.split(word.as_str()).skip(1).collect();
            places.into_iter().map(move |rest| (method, path(rest)))
        });
        named
            .filter(|(method, path)| is_of_the_api(path) && !self.have(method, path))
            .map(|(method, path)| format!("{method} {path}"))
            .collect()
    }

    fn have(&self, method: &str, path: &str) -> bool {
        let asked = segments(path.trim_start_matches('…'));
        self.0.iter().any(|(known, segments)| {
            let end = match segments.len().checked_sub(asked.len()) {
                Some(0) => segments.as_slice(),
                Some(more) if path.starts_with('…') => &segments[more..],
                _ => return false,
            };
            known == method && end.iter().zip(&asked).all(|(known, asked)| fits(known, asked))
        })
    }
}

/// Up to where the path ends.
fn path(text: &str) -> &str {
    let end = text.find(|letter: char| letter.is_whitespace() || matches!(letter, '`' | '?' | ','));
    &text[..end.unwrap_or(text.len())]
}

fn is_of_the_api(path: &str) -> bool {
    path.starts_with("/v1/") || path.starts_with("…/")
}

fn segments(path: &str) -> Vec<String> {
    path.split('/')
        .filter(|segment| !segment.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A place of the document takes whatever stands there.
fn fits(known: &str, asked: &str) -> bool {
    known == asked || known.starts_with('{')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_api_can_do_is_named() {
        let routes = Routes::of(
            r#"{"paths":{"/v1/applications/{application}/messages":{"post":{},"get":{}},"/v1/me":{"get":{}}}}"#,
        )
        .unwrap();
        let good =
            "`GET /v1/me`, `POST /v1/applications/fern/messages`, `GET …/messages?limit=1`, `GET /health`";
        assert_eq!(routes.unknown(good), Vec::<String>::new());
        let wrong = "`PUT /v1/me`, `POST …/message`, `GET /v1/applications/{application}`";
        assert_eq!(
            routes.unknown(wrong),
            [
                "GET /v1/applications/{application}",
                "POST …/message",
                "PUT /v1/me"
            ]
        );
    }
}
