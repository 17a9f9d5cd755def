//! Pages of lists: `{data, next}` for `?limit&cursor`.

use std::str::FromStr;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use postrider_application::ports::{Page, PageRequest};
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
}

impl<T> List<T> {
    /// The wire form of a page.
    pub(crate) fn of<V, K: ToString>(page: Page<V, K>, show: impl Fn(V) -> T) -> Self {
        Self {
            data: page.items.into_iter().map(show).collect(),
            next: page.next.map(|key| URL_SAFE_NO_PAD.encode(key.to_string())),
        }
    }
}

/// The page that a query asks for.
pub(crate) fn request<K: FromStr>(query: &PageQuery, checks: &mut Checks) -> Checked<PageRequest<K>> {
    let limit = checks.check("limit", limit(query.limit.as_deref()));
    let after = checks.optional("cursor", query.cursor.as_deref(), cursor);
    Some(PageRequest {
        limit: limit?,
        after: after?,
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

fn cursor<K: FromStr>(text: &str) -> Result<K, InvalidValue> {
    let malformed = || InvalidValue::new(Rule::Format, "must be the `next` of a page of this list");
    if text.len() > MAX_CURSOR {
        return Err(malformed());
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed())?;
    let key = std::str::from_utf8(&bytes).map_err(|_| malformed())?;
    key.parse().map_err(|_| malformed())
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
        assert_eq!(
            ask(None, None),
            Ok(PageRequest {
                limit: 50,
                after: None
            })
        );
        assert_eq!(ask(Some("250"), None).unwrap().limit, 250);
        for bad in ["0", "251", "-1", "x", "", "1.0", "99999999999"] {
            assert_eq!(ask(Some(bad), None), Err(1), "{bad}");
        }
        assert_eq!(ask(Some("0"), Some("!")), Err(2));
        assert_eq!(ask(None, Some(&"A".repeat(300))), Err(1));
    }

    #[test]
    fn a_cursor_leads_to_the_next_page() {
        let page = Page {
            items: vec![1, 2],
            next: Some(2u32),
        };
        let list = List::of(page, |n| n);
        assert_eq!(ask(None, list.next.as_deref()).unwrap().after, Some(2));
        let id: EndpointId = "ep_01h455vb4pex5vsknk084sn02q".parse().unwrap();
        let list = List::of(
            Page {
                items: vec![()],
                next: Some(id),
            },
            |()| (),
        );
        assert_eq!(cursor::<EndpointId>(&list.next.unwrap()), Ok(id));
    }
}
