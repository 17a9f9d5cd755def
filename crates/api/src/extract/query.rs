use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use serde::Deserialize;
use url::form_urlencoded;
use utoipa::IntoParams;

use super::listing::query_of;
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
                let query = query_of(request).and_then(|query| Self::parse(&query));
                ready(query.map_err(Into::into))
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
    /// The `next` or `prev` of another page. Opaque: take it as it is.
    #[param(max_length = 512)]
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
    /// The `next` or `prev` of another page, asked with the same filters. Opaque: take it as it is.
    #[param(max_length = 512)]
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

/// Which deliveries, and which part of them.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeliveryQuery {
    /// Of this application: its id, or the uid that you gave it. Required, unless `message` is given, or `status` is
    /// `pending`, `failed` or `cancelled`.
    #[param(max_length = 128, example = "customer-42")]
    pub(crate) application: Option<String>,
    /// To this endpoint of the application: its id, or the uid that you gave it.
    #[param(max_length = 128, example = "billing")]
    pub(crate) endpoint: Option<String>,
    /// Of this message.
    #[param(example = "msg_01jd8x3v9ce2sbm4w8f1q7k5zt")]
    pub(crate) message: Option<String>,
    /// `pending`, `delivered`, `failed` or `cancelled`. Without `message`, what is `pending` and was never attempted is not
    /// found.
    #[param(example = "failed")]
    pub(crate) status: Option<String>,
    /// Of messages accepted at this time or later (RFC 3339).
    #[param(format = "date-time")]
    pub(crate) from: Option<String>,
    /// Of messages accepted before this time (RFC 3339).
    #[param(format = "date-time")]
    pub(crate) to: Option<String>,
    /// The most items; 50 if absent.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 250, default = 50)]
    pub(crate) limit: Option<String>,
    /// The `next` of the page before, asked with the same filters. Opaque: take it as it is.
    #[param(max_length = 256)]
    pub(crate) cursor: Option<String>,
}

impl DeliveryQuery {
    fn parse(query: &str) -> Result<Self, Error> {
        let names = [
            "application",
            "endpoint",
            "message",
            "status",
            "from",
            "to",
            "limit",
            "cursor",
        ];
        let [application, endpoint, message, status, from, to, limit, cursor] = read(query, names)?;
        Ok(Self {
            application,
            endpoint,
            message,
            status,
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

from_query_string!(DeliveryQuery);

/// How far back stats look.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct StatsQuery {
    /// `1h`, `24h` or `7d`; 24 hours if absent.
    #[param(example = "24h", default = "24h")]
    pub(crate) period: Option<String>,
}

impl StatsQuery {
    fn parse(query: &str) -> Result<Self, Error> {
        let [period] = read(query, ["period"])?;
        Ok(Self { period })
    }
}

from_query_string!(StatsQuery);

/// Which days of usage.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct UsageQuery {
    /// The first day (UTC); thirty days before the last if absent. At most 366 days are answered.
    #[param(format = "date", example = "2026-10-23")]
    pub(crate) from: Option<String>,
    /// The last day (UTC); today if absent.
    #[param(format = "date", example = "2026-11-22")]
    pub(crate) to: Option<String>,
}

impl UsageQuery {
    fn parse(query: &str) -> Result<Self, Error> {
        let [from, to] = read(query, ["from", "to"])?;
        Ok(Self { from, to })
    }
}

from_query_string!(UsageQuery);

/// Which messages, and which part of them.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct MessageQuery {
    /// Of that event type.
    #[param(max_length = 128, example = "invoice.paid")]
    pub(crate) event_type: Option<String>,
    /// On that channel.
    #[param(max_length = 128, example = "eu")]
    pub(crate) channel: Option<String>,
    /// With that id of your own.
    #[param(max_length = 256)]
    pub(crate) event_id: Option<String>,
    /// Accepted not before this time (RFC 3339).
    #[param(format = "date-time")]
    pub(crate) from: Option<String>,
    /// Accepted before this time (RFC 3339).
    #[param(format = "date-time")]
    pub(crate) to: Option<String>,
    /// `scheduled`, `cancelled` or `accepted`.
    #[param(example = "scheduled")]
    pub(crate) status: Option<String>,
    /// The most items; 50 if absent.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 250, default = 50)]
    pub(crate) limit: Option<String>,
    /// The `next` of the page before, asked with the same filters. Opaque: take it as it is.
    #[param(max_length = 256)]
    pub(crate) cursor: Option<String>,
}

impl MessageQuery {
    fn parse(query: &str) -> Result<Self, Error> {
        let names = [
            "event_type",
            "channel",
            "event_id",
            "from",
            "to",
            "status",
            "limit",
            "cursor",
        ];
        let [event_type, channel, event_id, from, to, status, limit, cursor] = read(query, names)?;
        Ok(Self {
            event_type,
            channel,
            event_id,
            from,
            to,
            status,
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

from_query_string!(MessageQuery);

/// Which event types, and which part of them.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventTypeQuery {
    /// Whether archived ones are listed too.
    #[param(value_type = Option<bool>, default = false)]
    pub(crate) include_archived: Option<String>,
    /// The most items; 50 if absent.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 250, default = 50)]
    pub(crate) limit: Option<String>,
    /// The `next` of the page before, asked with the same filters. Opaque: take it as it is.
    #[param(max_length = 256)]
    pub(crate) cursor: Option<String>,
}

impl EventTypeQuery {
    fn parse(query: &str) -> Result<Self, Error> {
        let [include_archived, limit, cursor] = read(query, ["include_archived", "limit", "cursor"])?;
        Ok(Self {
            include_archived,
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

from_query_string!(EventTypeQuery);

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
