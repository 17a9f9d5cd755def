//! Query strings, read by hand: all of their faults are answered at once.

mod figures;
mod lists;
mod page;

use postrider_application::{Error, Violation};
use postrider_domain::{InvalidValue, Rule};
use url::form_urlencoded;

use crate::wire::Checks;

pub(crate) use figures::{StatsQuery, UsageQuery};
pub(crate) use lists::{AuditQuery, DeliveryQuery, EndpointsQuery, EventTypeQuery, MessageQuery};
pub(crate) use page::PageQuery;

/// Each parameter into the slot of its name.
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

/// A query of these parameters, each of them a text that may be absent, as an extractor: it reads the query string and
/// nothing else.
macro_rules! query {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $field:ident,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Default, utoipa::IntoParams)]
        #[into_params(parameter_in = Query)]
        pub(crate) struct $name {
            $($(#[$of])* pub(crate) $field: Option<String>,)+
        }

        impl $name {
            pub(super) fn parse(query: &str) -> Result<Self, postrider_application::Error> {
                let [$($field,)+] = super::read(query, [$(stringify!($field),)+])?;
                Ok(Self { $($field,)+ })
            }
        }

        $crate::extract::query::from_query_string!($name);
    };
}

/// The same of a list, whose pages are asked for with parameters of their own: the document tells of those beside it, as
/// [`PageQuery`].
macro_rules! list_query {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $field:ident,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Default, utoipa::IntoParams)]
        #[into_params(parameter_in = Query)]
        pub(crate) struct $name {
            $($(#[$of])* pub(crate) $field: Option<String>,)+
            /// Which part of them.
            #[param(ignore)]
            pub(crate) page: super::PageQuery,
        }

        impl $name {
            pub(super) fn parse(query: &str) -> Result<Self, postrider_application::Error> {
                let names = [$(stringify!($field),)+ "limit", "cursor"];
                let [$($field,)+ limit, cursor] = super::read(query, names)?;
                Ok(Self { $($field,)+ page: super::PageQuery { limit, cursor } })
            }
        }

        $crate::extract::query::from_query_string!($name);
    };
}

/// Makes `$query` an extractor.
macro_rules! from_query_string {
    ($query:ident) => {
        impl actix_web::FromRequest for $query {
            type Error = $crate::problem::Problem;
            type Future = std::future::Ready<Result<Self, Self::Error>>;

            fn from_request(
                request: &actix_web::HttpRequest,
                _: &mut actix_web::dev::Payload,
            ) -> Self::Future {
                let query = $crate::extract::listing::query_of(request).and_then(|query| Self::parse(&query));
                std::future::ready(query.map_err(Into::into))
            }
        }
    };
}

use {from_query_string, list_query, query};

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
        let names = [
            "actor", "action", "target", "outcome", "from", "to", "limit", "cursor",
        ];
        let text = names.map(|name| format!("{name}={name}!"));
        let query = AuditQuery::parse(&text.join("&")).unwrap();
        let read = [
            query.actor,
            query.action,
            query.target,
            query.outcome,
            query.from,
            query.to,
            query.page.limit,
            query.page.cursor,
        ];
        for (value, name) in read.into_iter().zip(names) {
            assert_eq!(value, Some(format!("{name}!")));
        }
    }
}
