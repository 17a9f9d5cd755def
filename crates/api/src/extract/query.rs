use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use serde::Deserialize;
use url::form_urlencoded;
use utoipa::IntoParams;

use crate::{problem::Problem, wire::Checks};
use postrider_application::Violation;
use postrider_domain::{InvalidValue, Rule};

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
    /// Reads the query by hand, because all of its faults are answered at once.
    fn parse(query: &str) -> Result<Self, postrider_application::Error> {
        let (mut page, mut checks) = (Self::default(), Checks::default());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let slot = match &*name {
                "limit" => &mut page.limit,
                "cursor" => &mut page.cursor,
                _ => {
                    checks.push(Violation {
                        field: name.chars().take(100).collect::<String>().into(),
                        rule: "unknown_field".into(),
                        message: "is not a known parameter".to_owned(),
                    });
                    continue;
                }
            };
            if slot.replace(value.into_owned()).is_some() {
                let twice = InvalidValue::new(Rule::Duplicate, "must stand once");
                checks.push(Violation::new(name.into_owned(), twice));
            }
        }
        checks.all(())?;
        Ok(page)
    }
}

impl FromRequest for PageQuery {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::parse(request.query_string()).map_err(Into::into))
    }
}

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
}
