use postrider_application::{
    Error,
    audit::{AuditEntry as Entry, AuditOutcome},
    audit_entries::ListAuditEntries,
    ports::AuditFilter,
};
use postrider_domain::{InvalidValue, Rule};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Checks, page, time};
use crate::extract::AuditQuery;

/// The most characters of a filter.
const MAX_FILTER: usize = 256;

/// The query that a query string asks.
pub(crate) fn query(query: AuditQuery) -> Result<ListAuditEntries, Error> {
    let mut checks = Checks::default();
    let page = page::request(&query.page, &mut checks);
    let actor = checks.optional("actor", query.actor, name);
    let action = checks.optional("action", query.action, name);
    let target = checks.optional("target", query.target, name);
    let outcome = checks.optional("outcome", query.outcome.as_deref(), outcome);
    let from = checks.optional("from", query.from.as_deref(), time::parse);
    let to = checks.optional("to", query.to.as_deref(), time::parse);
    let (page, actor, action, target, outcome, from, to) =
        checks.all((page, actor, action, target, outcome, from, to))?;
    let filter = AuditFilter {
        actor,
        action,
        target,
        outcome,
        from,
        to,
    };
    Ok(ListAuditEntries { filter, page })
}

fn name(text: String) -> Result<String, InvalidValue> {
    if text.is_empty() {
        Err(InvalidValue::new(Rule::Required, "must not be empty"))
    } else if text.chars().count() > MAX_FILTER {
        let message = format!("must be at most {MAX_FILTER} characters");
        Err(InvalidValue::new(Rule::TooLong, message))
    } else if text.chars().any(char::is_control) {
        Err(InvalidValue::new(
            Rule::Charset,
            "must not hold control characters",
        ))
    } else {
        Ok(text)
    }
}

fn outcome(text: &str) -> Result<AuditOutcome, InvalidValue> {
    AuditOutcome::parse(text).ok_or_else(|| InvalidValue::new(Rule::Unknown, "must be one of done, denied"))
}

/// Who did what to what, from where, when, and whether they were let.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditEntry {
    /// Its id.
    #[schema(examples("aud_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    id: String,
    /// When.
    #[schema(format = "date-time", examples("2026-11-22T18:00:00.000000Z"))]
    at: String,
    /// Who.
    actor: Actor,
    /// What was asked.
    #[schema(examples("api_key.mint"))]
    action: String,
    /// To what: an id or name.
    #[schema(required, examples("key_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    target: Option<String>,
    /// `done`; or `denied`, if the caller may not.
    #[schema(examples("done"))]
    outcome: &'static str,
    /// How often; above 1 only for denials, of which those alike are counted.
    #[schema(examples(1))]
    times: u32,
    /// From which address.
    #[schema(required, examples("203.0.113.9"))]
    address: Option<String>,
    /// In which request.
    #[schema(required, examples("0193a5d2-7b1c-7a51-9f0e-3c1d5a7e9b20"))]
    request_id: Option<String>,
}

/// Who did something.
#[derive(Serialize, ToSchema)]
pub(crate) struct Actor {
    /// One of `anonymous`, `operator`, `user`, `api_key`, `portal`, `system`.
    #[schema(examples("user"))]
    kind: &'static str,
    /// The id of the person, key or portal token, or the name of an operator or of a part of the system (`engine`);
    /// empty for nobody.
    #[schema(examples("usr_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    id: String,
}

impl From<Entry> for AuditEntry {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.id.to_string(),
            at: time::show(entry.at),
            actor: Actor {
                kind: entry.actor.kind.as_str(),
                id: entry.actor.id.as_ref().to_owned(),
            },
            action: entry.action.into_owned(),
            target: entry.target,
            outcome: entry.outcome.as_str(),
            times: entry.times,
            address: entry.address.as_ref().map(ToString::to_string),
            request_id: entry.request_id.as_deref().map(ToOwned::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_of_a_filter_are_told_at_once() {
        let error = query(AuditQuery {
            actor: Some(String::new()),
            action: Some("x".repeat(257)),
            target: Some("a\0b".to_owned()),
            outcome: Some("maybe".to_owned()),
            from: Some("yesterday".to_owned()),
            to: Some("2026-11-22T18:00:00Z".to_owned()),
            ..AuditQuery::default()
        })
        .unwrap_err();
        let faults: Vec<_> = error.violations().iter().map(|v| (&*v.field, &*v.rule)).collect();
        assert_eq!(
            faults,
            [
                ("actor", "required"),
                ("action", "too_long"),
                ("target", "charset"),
                ("outcome", "unknown"),
                ("from", "format"),
            ]
        );
    }
}
