//! Cross-origin requests of browsers (Fetch, section 3.2): answered for the origins that the operator names, never with
//! credentials of the browser's. Whoever calls sends their own token.

use actix_web::{
    HttpResponse,
    http::{
        Method,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
};

/// What a page of another origin may read of an answer.
const EXPOSED: &str = "etag, idempotent-replayed, link, location, ratelimit, ratelimit-policy, retry-after, \
                       traceparent, x-request-id";
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
const HEADERS: &str = "authorization, content-type, idempotency-key, if-match, traceparent, x-request-id";
/// For how many seconds a browser need not ask again.
const MAX_AGE_SECONDS: &str = "600";

/// Whose pages may call the API.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllowedOrigins {
    all: bool,
    named: Vec<HeaderValue>,
}

impl AllowedOrigins {
    /// These origins, as browsers write them: `https://console.example.com`; `*` is all. Which of them are none.
    pub fn parse<'o>(origins: impl IntoIterator<Item = &'o str>) -> Result<Self, Vec<String>> {
        let (mut allowed, mut wrong) = (Self::default(), Vec::new());
        for origin in origins {
            if origin == "*" {
                allowed.all = true;
                continue;
            }
            let is_origin = url::Url::parse(origin)
                .is_ok_and(|url| url.host().is_some() && url.origin().ascii_serialization() == origin);
            match HeaderValue::from_str(origin) {
                Ok(value) if is_origin => allowed.named.push(value),
                _ => wrong.push(origin.to_owned()),
            }
        }
        if wrong.is_empty() { Ok(allowed) } else { Err(wrong) }
    }

    /// Whether anybody is.
    const fn any(&self) -> bool {
        self.all || !self.named.is_empty()
    }

    /// What the page that sends these headers is told of itself, if it may call.
    fn of(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        if self.all {
            return Some(HeaderValue::from_static("*"));
        }
        self.named.iter().find(|named| *named == origin).cloned()
    }

    /// The answer to a browser that asks beforehand, if it may call; asked without a credential.
    pub(crate) fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<HttpResponse> {
        if *method != Method::OPTIONS || !headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
            return None;
        }
        self.of(headers)?;
        Some(
            HttpResponse::NoContent()
                .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, METHODS))
                .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS))
                .insert_header((header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS))
                .finish(),
        )
    }

    /// What every answer says: who may read it.
    pub(crate) fn told(&self, asked: &HeaderMap) -> impl Iterator<Item = (HeaderName, HeaderValue)> + use<> {
        let origin = self.of(asked);
        let exposed = origin.is_some().then(|| {
            (
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static(EXPOSED),
            )
        });
        let vary = self
            .any()
            .then(|| (header::VARY, HeaderValue::from_static("origin")));
        let origin = origin.map(|origin| (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin));
        [origin, exposed, vary].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        let good = [
            "https://console.example.com",
            "http://localhost:3000",
            "*",
            // A host may hold a star, which stands for itself only.
            "https://*.example",
        ];
        assert!(AllowedOrigins::parse(good).is_ok());
        let bad = [
            "",
            "console.example.com",
            "https://a.example/",
            "https://a.example/x",
            "https://A.example",
            "https://a.example:443",
            "null",
            "file:///etc",
        ];
        assert_eq!(AllowedOrigins::parse(bad).unwrap_err(), bad);
    }
}
