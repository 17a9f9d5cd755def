//! The name of one request, in its answer, its problems and its trace.

use std::{fmt, sync::Arc};

use actix_web::{
    Error, HttpMessage as _,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{HeaderName, HeaderValue},
    middleware::Next,
    web::Data,
};

use crate::ApiContext;

/// Where the id comes in and goes out.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The most characters of an id that a client chooses.
pub(crate) const MAX_CHARS: usize = 128;

/// The id of the current request: visible ASCII, at most 128 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestId(Arc<str>);

impl RequestId {
    /// A client's own id, if it is one that can be shown and logged as it is.
    fn parse(value: &HeaderValue) -> Option<Self> {
        let text = value.to_str().ok()?;
        let sane = (1..=MAX_CHARS).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        sane.then(|| Self(text.into()))
    }

    /// The header's value.
    pub(crate) fn as_header(&self) -> HeaderValue {
        // Visible ASCII is always a header value; the fallback is never taken.
        HeaderValue::from_str(&self.0).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// The id, to be kept beyond the request.
    pub(crate) fn shared(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The outermost middleware: takes a sane `x-request-id` or makes one, and answers it.
pub(crate) async fn request_id<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let id = request
        .headers()
        .get(HEADER)
        .and_then(RequestId::parse)
        .unwrap_or_else(|| fresh(&request));
    let value = id.as_header();
    request.extensions_mut().insert(id);
    let mut response = next.call(request).await?;
    response.headers_mut().insert(HEADER, value);
    Ok(response)
}

fn fresh(request: &ServiceRequest) -> RequestId {
    let id = request
        .app_data::<Data<ApiContext>>()
        .map(|context| context.ids.next().to_string());
    // The context is always there (`pipeline::app` puts it); an id is not worth failing a request for.
    RequestId(id.map_or_else(|| "unknown".into(), Into::into))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sane_ids_are_taken_over() {
        let parse = |bytes: &[u8]| RequestId::parse(&HeaderValue::from_bytes(bytes).unwrap());
        assert_eq!(parse(b"a-1/2:3").unwrap().as_header(), "a-1/2:3");
        assert!(parse(&[b'x'; 128]).is_some());
        for bad in [&b""[..], b"a b", b"a\tb", b"\xc3\xa9", &[b'x'; 129]] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
