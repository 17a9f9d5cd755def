//! Pages of lists: `{data, next}` for `?limit&cursor`.

use std::str::FromStr;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use postrider_application::ports::{Page, PageRequest, Start};
use postrider_domain::{InvalidValue, Rule};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Checked, Checks};
use crate::extract::PageQuery;

/// The items of a page, if the caller says nothing.
const DEFAULT_LIMIT: u32 = 50;
/// The most items of a page.
const MAX_LIMIT: u32 = 250;
/// The most characters of a cursor; ours are shorter.
const MAX_CURSOR: usize = 256;

/// A part of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct List<T> {
    /// The items, in the list's order.
    data: Vec<T>,
    /// The cursor of the next page; null if this is the last.
    #[schema(required, examples("ZXBfMDFqZA"))]
    next: Option<String>,
    /// The cursor of the page before; null if this is the first.
    #[schema(required, examples("YmVwXzAxamQ"))]
    prev: Option<String>,
}

impl<T> List<T> {
    /// The wire form of a page.
    pub(crate) fn of<V, K: ToString>(page: Page<V, K>, show: impl Fn(V) -> T) -> Self {
        let (next, prev) = (page.next.map(Start::After), page.prev.map(Start::Before));
        Self {
            data: page.items.into_iter().map(show).collect(),
            next: next.as_ref().map(write),
            prev: prev.as_ref().map(write),
        }
    }
}

/// The page that a query asks for.
pub(crate) fn request<K: FromStr>(query: &PageQuery, checks: &mut Checks) -> Checked<PageRequest<K>> {
    let limit = checks.check("limit", limit(query.limit.as_deref()));
    let start = checks.optional("cursor", query.cursor.as_deref(), read);
    Some(PageRequest {
        limit: limit?,
        start: start?.unwrap_or(Start::Beginning),
    })
}

/// Direction and key, so that one parameter serves both ways.
fn write<K: ToString>(start: &Start<K>) -> String {
    let (way, key) = match start {
        Start::Beginning => return String::new(),
        Start::After(key) => ('a', key),
        Start::Before(key) => ('b', key),
    };
    URL_SAFE_NO_PAD.encode(format!("{way}{}", key.to_string()))
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

fn read<K: FromStr>(text: &str) -> Result<Start<K>, InvalidValue> {
    let malformed = || {
        InvalidValue::new(
            Rule::Format,
            "must be the `next` or `prev` of a page of this list",
        )
    };
    if text.len() > MAX_CURSOR {
        return Err(malformed());
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed())?;
    let text = std::str::from_utf8(&bytes).map_err(|_| malformed())?;
    let way: fn(K) -> Start<K> = match text.get(..1) {
        Some("a") => Start::After,
        Some("b") => Start::Before,
        _ => return Err(malformed()),
    };
    text[1..].parse().map(way).map_err(|_| malformed())
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
        assert_eq!(ask(None, Some(&"A".repeat(300))), Err(1));
    }

    #[test]
    fn a_cursor_leads_to_the_next_page_and_back() {
        let page = Page {
            items: vec![1, 2],
            next: Some(2u32),
            prev: Some(1),
        };
        let list = List::of(page, |n| n);
        let start = |cursor: &Option<String>| ask(None, cursor.as_deref()).unwrap().start;
        assert_eq!(start(&list.next), Start::After(2));
        assert_eq!(start(&list.prev), Start::Before(1));
        let id: EndpointId = "ep_01h455vb4pex5vsknk084sn02q".parse().unwrap();
        assert_eq!(
            read::<EndpointId>(&write(&Start::After(id))),
            Ok(Start::After(id))
        );
    }
}
