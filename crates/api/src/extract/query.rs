use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use serde::Deserialize;
use url::form_urlencoded;
use utoipa::IntoParams;

use crate::{problem::Problem, wire::Checks};
use postrider_application::{Error, Violation};
use postrider_domain::{InvalidValue, Rule};

/// Reads a query by hand, because all of its faults are answered at once: each parameter into the slot of its name.
fn read<const N: usize>(query: &str, names: [&'static str; N]) -> Result<[Option<String>; N], Error> {
    let (mut values, mut checks) = ([const { None }; N], Checks::default());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let Some(index) = names.iter().position(|known| *known == name) else {
            checks.push(Violation {
                field: name.chars().take(100).collect::<String>().into(),
                rule: "unknown_field".into(),
                message: "is not a known parameter".to_owned(),
            });
            continue;
        };
        if values[index].replace(value.into_owned()).is_some() {
            let twice = InvalidValue::new(Rule::Duplicate, "must stand once");
            checks.push(Violation::new(name.into_owned(), twice));
        }
    }
    checks.all(())?;
    Ok(values)
}

/// Makes `$query` an extractor: it reads the query string and nothing else.
macro_rules! from_query_string {
    ($query:ty) => {
        impl FromRequest for $query {
            type Error = Problem;
            type Future = Ready<Result<Self, Problem>>;

            fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
                ready(Self::parse(request.query_string()).map_err(Into::into))
            }
        }
    };
}

/// Which part of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// The most items; 50 if absent.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 250, default = 50)]
    pub(crate) limit: Option<String>,
    /// The `next` of the page before. Opaque: take it as it is.
    #[param(max_length = 256)]
    pub(crate) cursor: Option<String>,
}

impl PageQuery {
    fn parse(query: &str) -> Result<Self, Error> {
        let [limit, cursor] = read(query, ["limit", "cursor"])?;
        Ok(Self { limit, cursor })
    }
}

from_query_string!(PageQuery);

/// Which entries of the audit log, and which part of them.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// By whom: the id of a person, key or portal token, or the name of an operator.
    #[param(max_length = 256, example = "usr_01jd8x3v9ce2sbm4w8f1q7k5zt")]
    pub(crate) actor: Option<String>,
    /// What was asked.
    #[param(max_length = 256, example = "api_key.mint")]
    pub(crate) action: Option<String>,
    /// To what: an id or name.
    #[param(max_length = 256, example = "key_01jd8x3v9ce2sbm4w8f1q7k5zt")]
    pub(crate) target: Option<String>,
    /// `done` or `denied`.
    #[param(example = "denied")]
    pub(crate) outcome: Option<String>,
    /// Not before this time (RFC 3339).
    #[param(format = "date-time")]
    pub(crate) from: Option<String>,
    /// Before this time (RFC 3339).
    #[param(format = "date-time")]
    pub(crate) to: Option<String>,
    /// The most items; 50 if absent.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 250, default = 50)]
    pub(crate) limit: Option<String>,
    /// The `next` of the page before, asked with the same filters. Opaque: take it as it is.
    #[param(max_length = 256)]
    pub(crate) cursor: Option<String>,
}

impl AuditQuery {
    const NAMES: [&'static str; 8] = [
        "actor", "action", "target", "outcome", "from", "to", "limit", "cursor",
    ];

    fn parse(query: &str) -> Result<Self, Error> {
        let [actor, action, target, outcome, from, to, limit, cursor] = read(query, Self::NAMES)?;
        Ok(Self {
            actor,
            action,
            target,
            outcome,
            from,
            to,
            limit,
            cursor,
        })
    }

    /// Which part of them.
    pub(crate) fn page(&self) -> PageQuery {
        PageQuery {
            limit: self.limit.clone(),
            cursor: self.cursor.clone(),
        }
    }
}

from_query_string!(AuditQuery);

/// Which endpoints of an application, and which part of them.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EndpointsQuery {
    /// `enabled` or `disabled`.
    #[param(example = "enabled")]
    pub(crate) status: Option<String>,
    /// Those that want to hear of this event type, on whatever channel.
    #[param(max_length = 128, example = "invoice.paid")]
    pub(crate) event_type: Option<String>,
    /// The most items; 50 if absent.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 250, default = 50)]
    pub(crate) limit: Option<String>,
    /// The `next` of the page before, asked with the same filters. Opaque: take it as it is.
    #[param(max_length = 256)]
    pub(crate) cursor: Option<String>,
}

impl EndpointsQuery {
    fn parse(query: &str) -> Result<Self, Error> {
        let names = ["status", "event_type", "limit", "cursor"];
        let [status, event_type, limit, cursor] = read(query, names)?;
        Ok(Self {
            status,
            event_type,
            limit,
            cursor,
        })
    }

    /// Which part of them.
    pub(crate) fn page(&self) -> PageQuery {
        PageQuery {
            limit: self.limit.clone(),
            cursor: self.cursor.clone(),
        }
    }
}

from_query_string!(EndpointsQuery);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_at_once() {
        let page = PageQuery::parse("limit=5&cursor=a%2Bb").unwrap();
        assert_eq!(
            (page.limit.as_deref(), page.cursor.as_deref()),
            (Some("5"), Some("a+b"))
        );
        let error = PageQuery::parse("limit=5&limit=6&page=2&x").unwrap_err();
        let faults: Vec<_> = error.violations().iter().map(|v| (&*v.field, &*v.rule)).collect();
        assert_eq!(
            faults,
            [
                ("limit", "duplicate"),
                ("page", "unknown_field"),
                ("x", "unknown_field")
            ]
        );
    }

    #[test]
    fn each_parameter_finds_its_own_place() {
        let text: Vec<_> = AuditQuery::NAMES
            .iter()
            .map(|name| format!("{name}={name}!"))
            .collect();
        let query = AuditQuery::parse(&text.join("&")).unwrap();
        let page = query.page();
        let read = [
            query.actor,
            query.action,
            query.target,
            query.outcome,
            query.from,
            query.to,
            page.limit,
            page.cursor,
        ];
        for (value, name) in read.into_iter().zip(AuditQuery::NAMES) {
            assert_eq!(value, Some(format!("{name}!")));
        }
    }
}
