//! A list and its cursors, which nobody else's and no other list's are taken for.

use std::{
    borrow::Cow,
    future::{Ready, ready},
    sync::Arc,
};

use actix_web::{
    FromRequest, HttpMessage as _, HttpRequest, HttpResponse,
    dev::Payload,
    http::header::{self, HeaderValue},
    web::Data,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use postrider_application::{
    Error,
    access::{Caller, Identity},
    ports::Page,
};
use postrider_crypto::CursorKeys;
use serde::Serialize;
use url::form_urlencoded;

use crate::{
    ApiContext,
    problem::Problem,
    wire::page::{Cursors, List},
};

/// The parameter that says where a page begins.
pub(crate) const CURSOR: &str = "cursor";
/// The most characters of a cursor; ours are shorter.
pub(crate) const MAX_CURSOR: usize = 512;
/// The first byte of a cursor: the layout that follows. The place in the list comes next, and then the tag.
const VERSION: u8 = 1;
/// What no cursor holds.
const NO_CURSOR: &str = "!";

/// The list that a request asks for: its path, its filters and its tenant, which its cursors are good for and nothing
/// else.
pub(crate) struct Listing {
    keys: Arc<CursorKeys>,
    tenant: String,
    path: String,
    /// All parameters but the cursor, in the order in which they came.
    parameters: Vec<(String, String)>,
}

impl Listing {
    fn of(request: &HttpRequest) -> Result<Self, Error> {
        // `pipeline::app` puts the context.
        let context = request.app_data::<Data<ApiContext>>();
        let context = context.ok_or_else(|| Error::internal("no context"))?;
        let tenant = match request
            .extensions()
            .get::<Caller>()
            .map(|caller| &caller.identity)
        {
            Some(Identity::Principal(principal)) => principal.tenant.to_string(),
            _ => String::new(),
        };
        let parameters = form_urlencoded::parse(request.query_string().as_bytes());
        Ok(Self {
            keys: context.cursors.clone(),
            tenant,
            path: request.uri().path().to_owned(),
            parameters: parameters
                .into_owned()
                .filter(|(name, _)| name != CURSOR)
                .collect(),
        })
    }

    /// A query string with its cursors opened. One that is not of this list becomes one that is none, so that it is
    /// told together with whatever else is wrong.
    fn opened<'q>(&self, query: &'q str) -> Cow<'q, str> {
        let parameters = || form_urlencoded::parse(query.as_bytes());
        if parameters().all(|(name, _)| name != CURSOR) {
            return query.into();
        }
        let mut opened = form_urlencoded::Serializer::new(String::new());
        for (name, value) in parameters() {
            if name == CURSOR {
                let place = self.open(&value);
                opened.append_pair(CURSOR, place.as_deref().unwrap_or(NO_CURSOR));
            } else {
                opened.append_pair(&name, &value);
            }
        }
        opened.finish().into()
    }

    fn open(&self, cursor: &str) -> Option<String> {
        if cursor.len() > MAX_CURSOR {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (signed, tag) = bytes.split_last_chunk::<{ CursorKeys::TAG_BYTES }>()?;
        let place = signed.strip_prefix(&[VERSION])?;
        let verified = self.with_parts(signed, |parts| self.keys.verify(parts, tag));
        verified.then(|| String::from_utf8(place.to_vec()).ok())?
    }

    fn seal(&self, place: &str) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(place.as_bytes());
        let tag = self.with_parts(&bytes, |parts| self.keys.tag(parts));
        bytes.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What a tag is of: tenant, list, filters in whatever order, and the cursor itself. How many items a page has is
    /// free.
    fn with_parts<T>(&self, signed: &[u8], then: impl FnOnce(&[&[u8]]) -> T) -> T {
        let filters = self.parameters.iter().filter(|(name, _)| name != "limit");
        let mut filters: Vec<_> = filters.collect();
        filters.sort();
        let mut parts = vec![signed, self.tenant.as_bytes(), self.path.as_bytes()];
        for (name, value) in filters {
            parts.extend([name.as_bytes(), value.as_bytes()]);
        }
        then(&parts)
    }

    /// Answers a page: its items as `show` shows them, and the ways to the first, next and previous page, in the body
    /// and as `Link` headers (RFC 8288).
    pub(crate) fn answer<V, K: ToString, T: Serialize>(
        &self,
        page: Page<V, K>,
        show: impl Fn(V) -> T,
    ) -> HttpResponse {
        let cursors = Cursors::of(&page).map(|place| self.seal(&place));
        let mut response = HttpResponse::Ok();
        for (relation, cursor) in [
            ("first", Some(None)),
            ("next", cursors.next.as_deref().map(Some)),
            ("prev", cursors.prev.as_deref().map(Some)),
        ] {
            let link = cursor.map(|cursor| self.link(relation, cursor));
            // A path of a request and what is percent-encoded are visible ASCII.
            if let Some(Ok(link)) = link.map(HeaderValue::try_from) {
                response.append_header((header::LINK, link));
            }
        }
        response.json(List::of(page, cursors, show))
    }

    fn link(&self, relation: &str, cursor: Option<&str>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.parameters);
        if let Some(cursor) = cursor {
            query.append_pair(CURSOR, cursor);
        }
        let query = query.finish();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("<{}{mark}{query}>; rel=\"{relation}\"", self.path)
    }
}

/// The request's query string with its cursors opened: what queries are read from.
pub(super) fn query_of(request: &HttpRequest) -> Result<String, Error> {
    let listing = Listing::of(request)?;
    Ok(listing.opened(request.query_string()).into_owned())
}

impl FromRequest for Listing {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request).map_err(Into::into))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_crypto::MasterKey;

    fn listing(tenant: &str, path: &str, parameters: &[(&str, &str)]) -> Listing {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Listing {
            keys: Arc::new(CursorKeys::new(&MasterKey::from_bytes([1; 32]), &[])),
            tenant: tenant.to_owned(),
            path: path.to_owned(),
            parameters: parameters.iter().map(owned).collect(),
        }
    }

    #[test]
    fn a_cursor_is_good_for_its_list_only() {
        let list = listing("ten_1", "/v1/things", &[("status", "on"), ("limit", "5")]);
        let cursor = list.seal("aep_1");
        assert_eq!(list.open(&cursor).as_deref(), Some("aep_1"));
        let same = listing("ten_1", "/v1/things", &[("limit", "9"), ("status", "on")]);
        assert_eq!(same.open(&cursor).as_deref(), Some("aep_1"));
        for other in [
            listing("ten_2", "/v1/things", &[("status", "on")]),
            listing("ten_1", "/v1/others", &[("status", "on")]),
            listing("ten_1", "/v1/things", &[("status", "off")]),
            listing("ten_1", "/v1/things", &[]),
            listing("ten_1", "/v1/things", &[("status", "on"), ("type", "x")]),
        ] {
            assert_eq!(other.open(&cursor), None);
        }
    }

    #[test]
    fn a_cursor_that_was_tampered_with_is_none() {
        let list = listing("ten_1", "/v1/things", &[]);
        let cursor = list.seal("aep_1");
        let bytes = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(list.open(&URL_SAFE_NO_PAD.encode(flipped)), None);
        }
        for end in 0..cursor.len() {
            assert_eq!(list.open(&cursor[..end]), None);
        }
        for bad in [
            "",
            "!",
            "=",
            &format!("{cursor}="),
            &format!("{cursor}A"),
            &"A".repeat(513),
        ] {
            assert_eq!(list.open(bad), None);
        }
    }

    #[test]
    fn links_keep_what_else_was_asked() {
        let list = listing("", "/v1/things", &[("limit", "5"), ("q", "a b>&\"")]);
        assert_eq!(
            list.link("next", Some("x")),
            "</v1/things?limit=5&q=a+b%3E%26%22&cursor=x>; rel=\"next\""
        );
        assert_eq!(
            listing("", "/v1/things", &[]).link("first", None),
            "</v1/things>; rel=\"first\""
        );
    }

    #[test]
    fn a_query_is_opened_and_otherwise_as_it_was() {
        let list = listing("", "/v1/things", &[]);
        assert_eq!(list.opened("limit=5&x=%00"), "limit=5&x=%00");
        let cursor = list.seal("aep_1");
        let query = format!("limit=5&cursor={cursor}&cursor=b&x=a+b");
        assert_eq!(list.opened(&query), "limit=5&cursor=aep_1&cursor=%21&x=a+b");
    }
}
