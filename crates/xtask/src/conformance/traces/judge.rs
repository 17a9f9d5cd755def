//! What a trace must be: spans, parents, links, attributes; and what must not be in it.

use anyhow::{Context, ensure};
use serde_json::Value;

/// One span, as Jaeger's API has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span<'t>(&'t Value);

impl<'t> Span<'t> {
    pub(super) fn id(self) -> &'t str {
        self.0["spanID"].as_str().unwrap_or_default()
    }

    pub(super) fn tag(self, name: &str) -> Option<String> {
        let tags = self.0["tags"].as_array()?;
        let tag = tags.iter().find(|tag| tag["key"] == name)?;
        Some(match &tag["value"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }

    /// The trace and the span of each reference of this kind.
    fn references(self, kind: &str) -> Vec<(&'t str, &'t str)> {
        let all = self.0["references"].as_array().map_or(&[][..], Vec::as_slice);
        let of_kind = all.iter().filter(|reference| reference["refType"] == kind);
        of_kind
            .filter_map(|reference| Some((reference["traceID"].as_str()?, reference["spanID"].as_str()?)))
            .collect()
    }

    pub(super) fn parent(self) -> Option<&'t str> {
        Some(self.references("CHILD_OF").first()?.1)
    }

    pub(super) fn links(self) -> Vec<(&'t str, &'t str)> {
        self.references("FOLLOWS_FROM")
    }

    /// An error unless each attribute is as it must be.
    pub(super) fn has(self, expected: &[(&str, &str)]) -> anyhow::Result<()> {
        let name = self.0["operationName"].as_str().unwrap_or_default();
        for (key, value) in expected {
            let found = self.tag(key);
            ensure!(
                found.as_deref() == Some(value),
                "{key} of `{name}` is {found:?} and not {value}"
            );
        }
        Ok(())
    }
}

/// One trace.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trace<'t>(&'t Value);

impl<'t> Trace<'t> {
    /// That of this id.
    pub(super) fn find(traces: &'t [Value], id: &str) -> Option<Self> {
        traces.iter().find(|trace| trace["traceID"] == id).map(Self)
    }

    /// That in which this message was published.
    pub(super) fn of_message(traces: &'t [Value], message: &str) -> Option<Self> {
        let is_its = |publish: &Span<'_>| publish.tag("messaging.message.id").as_deref() == Some(message);
        let mut all = traces.iter().map(Self);
        all.find(|trace| trace.named("publish").iter().any(is_its))
    }

    pub(super) fn id(self) -> &'t str {
        self.0["traceID"].as_str().unwrap_or_default()
    }

    pub(super) fn spans(self) -> Vec<Span<'t>> {
        let spans = self.0["spans"].as_array().map_or(&[][..], Vec::as_slice);
        spans.iter().map(Span).collect()
    }

    /// The spans of this name.
    pub(super) fn named(self, name: &str) -> Vec<Span<'t>> {
        let mut spans = self.spans();
        spans.retain(|span| span.0["operationName"] == name);
        spans
    }

    /// The only span of this name, which must be a child of that one; or nobody's.
    pub(super) fn child(self, name: &str, parent: Option<&str>) -> anyhow::Result<Span<'t>> {
        let spans = self.named(name);
        ensure!(spans.len() == 1, "there are {} spans `{name}`", spans.len());
        ensure!(
            spans[0].parent() == parent,
            "the parent of `{name}` is {:?}",
            spans[0].parent()
        );
        Ok(spans[0])
    }

    /// The attempts, in their order; all must be children of that span.
    pub(super) fn attempts(self, publish: &str) -> anyhow::Result<Vec<Span<'t>>> {
        let mut attempts = self.named("POST");
        for attempt in &attempts {
            ensure!(
                attempt.parent() == Some(publish),
                "an attempt is no child of the publish"
            );
        }
        attempts.sort_by_key(|attempt| {
            attempt
                .tag("attempt")
                .and_then(|number| number.parse::<u32>().ok())
        });
        Ok(attempts)
    }
}

/// What was published, and by whom.
pub(super) struct Published<'p> {
    pub(super) message: &'p str,
    pub(super) endpoint: &'p str,
    pub(super) host: &'p str,
    pub(super) database: &'p str,
}

/// From the request to each attempt: a first that failed, and a second that succeeded. Answers the publish's span.
pub(super) fn whole<'t>(trace: Trace<'t>, published: &Published<'_>) -> anyhow::Result<Span<'t>> {
    let request = trace.child("POST /v1/applications/{application}/messages", None)?;
    request.has(&[
        ("http.request.method", "POST"),
        ("http.response.status_code", "202"),
    ])?;
    let use_case = trace.child("message.publish", Some(request.id()))?;
    let publish = trace.child("publish", Some(use_case.id()))?;
    publish.has(&[
        ("messaging.system", "postrider"),
        ("messaging.operation.type", "send"),
        ("messaging.message.id", published.message),
    ])?;
    let application = publish
        .tag("messaging.destination.name")
        .context("the publish names no destination")?;
    let commit = trace.child("commit messages", Some(publish.id()))?;
    commit.has(&[
        ("db.system.name", published.database),
        ("db.operation.name", "commit"),
    ])?;
    let fan_out = trace.child("fan_out", Some(publish.id()))?;
    fan_out.has(&[
        ("messaging.operation.type", "process"),
        ("messaging.message.id", published.message),
        ("endpoints", "1"),
    ])?;
    let attempts = trace.attempts(publish.id())?;
    ensure!(attempts.len() == 2, "there are {} attempts", attempts.len());
    for (attempt, (number, status)) in attempts.iter().zip([("1", "503"), ("2", "204")]) {
        attempt.has(&[
            ("attempt", number),
            ("http.request.method", "POST"),
            ("http.response.status_code", status),
            ("server.address", published.host),
            ("url.scheme", "http"),
            ("message", published.message),
            ("endpoint", published.endpoint),
            ("application", &application),
        ])?;
    }
    attempts[0].has(&[("error.type", "503")])?;
    ensure!(
        attempts[0].links().is_empty(),
        "the first attempt follows nothing"
    );
    ensure!(
        attempts[1].links() == [(trace.id(), attempts[0].id())],
        "the retry is linked to {:?}",
        attempts[1].links()
    );
    Ok(publish)
}

/// An error if anything of this is anywhere in the traces.
pub(super) fn tells_nothing_of(traces: &[Value], secrets: &[&str]) -> anyhow::Result<()> {
    let text = serde_json::to_string(traces)?;
    for secret in secrets {
        ensure!(!text.contains(secret), "`{secret}` is in a trace");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn span(name: &str, id: &str, parent: &str, tags: &[(&str, &str)]) -> Value {
        let tags: Vec<_> = tags
            .iter()
            .map(|(key, value)| json!({ "key": key, "value": value }))
            .collect();
        json!({ "operationName": name, "spanID": id, "tags": tags,
            "references": [{ "refType": "CHILD_OF", "traceID": "t", "spanID": parent }] })
    }

    #[test]
    fn a_span_without_its_parent_or_an_attribute_is_an_error() {
        let traces = [
            json!({ "traceID": "t", "spans": [span("a", "1", "0", &[("k", "v")]), span("b", "2", "1", &[])] }),
        ];
        let trace = Trace::find(&traces, "t").unwrap();
        assert!(trace.child("b", Some("1")).is_ok() && trace.child("b", Some("0")).is_err());
        assert!(trace.child("c", Some("1")).is_err());
        let a = trace.child("a", Some("0")).unwrap();
        assert!(a.has(&[("k", "v")]).is_ok() && a.has(&[("k", "w")]).is_err());
        assert!(tells_nothing_of(&traces, &["v1"]).is_ok() && tells_nothing_of(&traces, &["\"v\""]).is_err());
        assert!(Trace::find(&traces, "u").is_none());
    }
}
