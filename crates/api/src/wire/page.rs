//! Pages of lists: `{data, next, prev}` for `?limit&cursor`.

use std::str::FromStr;

use postrider_application::ports::{Page, PageRequest, Start};
use postrider_domain::{InvalidValue, Rule};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Checked, Checks};
use crate::extract::PageQuery;

/// The items of a page, if the caller says nothing.
pub(crate) const DEFAULT_LIMIT: u32 = 50;
/// The most items of a page.
pub(crate) const MAX_LIMIT: u32 = 250;

/// A part of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct List<T> {
    /// The items, in the list's order.
    data: Vec<T>,
    /// The cursor of the next page; null if this is the last.
    #[schema(
        required,
        examples("AWFlcF8wMWpkOHgzdjljZTJzYm00dzhmMXE3azV6dG5q8Qr2b0kYxQhLkq0mZ2E")
    )]
    next: Option<String>,
    /// The cursor of the page before; null if this is the first.
    #[schema(
        required,
        examples("AWJlcF8wMWpkOHgzdjljZTJzYm00dzhmMXE3azV6dKp1dRk0c4Yb8mZ3bO1xT2c")
    )]
    prev: Option<String>,
}

impl<T> List<T> {
    /// The wire form of a page; [`crate::extract::Listing`] makes it.
    pub(crate) fn of<V, K>(page: Page<V, K>, cursors: Cursors, show: impl Fn(V) -> T) -> Self {
        Self {
            data: page.items.into_iter().map(show).collect(),
            next: cursors.next,
            prev: cursors.prev,
        }
    }
}

/// Where the next page and the one before begin.
pub(crate) struct Cursors {
    pub(crate) next: Option<String>,
    pub(crate) prev: Option<String>,
}

impl Cursors {
    /// The places in the list, as text.
    pub(crate) fn of<V, K: ToString>(page: &Page<V, K>) -> Self {
        Self {
            next: page
                .next
                .as_ref()
                .map(|key| format!("{AFTER}{}", key.to_string())),
            prev: page
                .prev
                .as_ref()
                .map(|key| format!("{BEFORE}{}", key.to_string())),
        }
    }

    /// Each as something else.
    pub(crate) fn map(self, to: impl Fn(String) -> String) -> Self {
        Self {
            next: self.next.map(&to),
            prev: self.prev.map(&to),
        }
    }
}

/// The direction stands before the key, so that one parameter serves both ways.
const AFTER: char = 'a';
const BEFORE: char = 'b';

/// The page that a query asks for.
pub(crate) fn request<K: FromStr>(query: &PageQuery, checks: &mut Checks) -> Checked<PageRequest<K>> {
    let limit = checks.check("limit", limit(query.limit.as_deref()));
    let start = checks.optional("cursor", query.cursor.as_deref(), read);
    Some(PageRequest {
        limit: limit?,
        start: start?.unwrap_or(Start::Beginning),
    })
}

fn limit(text: Option<&str>) -> Result<u32, InvalidValue> {
    let Some(text) = text else {
        return Ok(DEFAULT_LIMIT);
    };
    text.parse()
        .ok()
        .filter(|limit| (1..=MAX_LIMIT).contains(limit))
        .ok_or_else(|| {
            InvalidValue::new(
                Rule::Range,
                format!("must be a whole number from 1 to {MAX_LIMIT}"),
            )
        })
}

/// The place in the list that an opened cursor says.
fn read<K: FromStr>(place: &str) -> Result<Start<K>, InvalidValue> {
    type Way<K> = fn(K) -> Start<K>;
    let way: Option<(Way<K>, &str)> = if let Some(key) = place.strip_prefix(AFTER) {
        Some((Start::After, key))
    } else {
        place
            .strip_prefix(BEFORE)
            .map(|key| (Start::Before as Way<K>, key))
    };
    way.and_then(|(way, key)| Some(way(key.parse().ok()?)))
        .ok_or_else(|| {
            InvalidValue::new(
                Rule::Format,
                "must be the `next` or `prev` of a page of this list, asked with the same filters",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_domain::EndpointId;

    fn ask(limit: Option<&str>, cursor: Option<&str>) -> Result<PageRequest<u32>, usize> {
        let query = PageQuery {
            limit: limit.map(Into::into),
            cursor: cursor.map(Into::into),
        };
        let mut checks = Checks::default();
        let page = request(&query, &mut checks);
        checks
            .all((page,))
            .map(|(page,)| page)
            .map_err(|e| e.violations().len())
    }

    #[test]
    fn pages_are_bounded_and_both_faults_are_told() {
        assert_eq!(ask(None, None), Ok(PageRequest::first(50)));
        assert_eq!(ask(Some("250"), None).unwrap().limit, 250);
        for bad in ["0", "251", "-1", "x", "", "1.0", "99999999999"] {
            assert_eq!(ask(Some(bad), None), Err(1), "{bad}");
        }
        assert_eq!(ask(Some("0"), Some("!")), Err(2));
        for bad in ["", "a", "ax", "c1", "!", "1"] {
            assert_eq!(ask(None, Some(bad)), Err(1), "{bad}");
        }
    }

    #[test]
    fn a_cursor_leads_to_the_next_page_and_back() {
        let page = Page {
            items: vec![1, 2],
            next: Some(2u32),
            prev: Some(1),
        };
        let cursors = Cursors::of(&page);
        let start = |cursor: &Option<String>| ask(None, cursor.as_deref()).unwrap().start;
        assert_eq!(start(&cursors.next), Start::After(2));
        assert_eq!(start(&cursors.prev), Start::Before(1));
        let id: EndpointId = "ep_01h455vb4pex5vsknk084sn02q".parse().unwrap();
        assert_eq!(read::<EndpointId>(&format!("a{id}")), Ok(Start::After(id)));
    }
}
