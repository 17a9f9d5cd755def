use std::{future::Future, pin::Pin};

use actix_web::{
    FromRequest, HttpMessage as _, HttpRequest,
    dev::Payload,
    http::{
        Method,
        header::{self, HeaderMap},
    },
    web::{BytesMut, Data},
};
use futures_util::StreamExt as _;
use postrider_application::{Error, ErrorCode};

use super::{json, repeatable::BodyHash};
use crate::{ApiContext, problem::Problem, wire::Body};

/// The media type of a merge patch.
pub(crate) const MERGE_PATCH: &str = "application/merge-patch+json";

/// The JSON body of a request. Wrong media type: 415; too long: 413; not JSON: 400; JSON of the wrong shape: 422.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: Body> FromRequest for Json<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move { Ok(Self(read(&request, payload).await?)) })
    }
}

async fn read<T: Body>(request: &HttpRequest, payload: Payload) -> Result<T, Error> {
    check_media_type(request)?;
    let limits = request
        .app_data::<Data<ApiContext>>()
        .map(|context| context.limits)
        .unwrap_or_default();
    let limit = T::max_bytes(&limits);
    if announced(request.headers()).is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let bytes = tokio::time::timeout(limits.body_timeout, collect(payload, limit))
        .await
        .map_err(|_| malformed("the body did not arrive in time"))??;
    BodyHash::leave(request, &bytes);
    json::parse(&bytes, T::HAS_MAPS)
}

fn check_media_type(request: &HttpRequest) -> Result<(), Error> {
    let unsupported = |detail| Err(Error::new(ErrorCode::UnsupportedMediaType, detail));
    let mime = request.mime_type().ok().flatten();
    // A merge patch (RFC 7396) may say that it is one, where it is what is taken.
    let is_patch = *request.method() == Method::PATCH;
    match mime {
        Some(mime)
            if mime.essence_str() == "application/json"
                || (is_patch && mime.essence_str() == MERGE_PATCH) =>
        {
            if mime
                .get_param("charset")
                .is_some_and(|charset| charset != "utf-8")
            {
                return unsupported("JSON is UTF-8");
            }
        }
        _ if is_patch => {
            return unsupported("the Content-Type must be application/merge-patch+json or application/json");
        }
        _ => return unsupported("the Content-Type must be application/json"),
    }
    let encoded = request
        .headers()
        .get(header::CONTENT_ENCODING)
        .is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if encoded {
        return unsupported("bodies are taken as they are, without a Content-Encoding");
    }
    Ok(())
}

fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The whole body; gives up at the first byte too many, announced or not.
async fn collect(mut payload: Payload, limit: usize) -> Result<BytesMut, Error> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| malformed("the body broke off").caused_by(error.to_string()))?;
        if bytes.len() + chunk.len() > limit {
            return Err(too_large(limit));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn malformed(detail: &'static str) -> Error {
    Error::new(ErrorCode::MalformedRequest, detail)
}

fn too_large(limit: usize) -> Error {
    Error::new(
        ErrorCode::PayloadTooLarge,
        format!("the body must be at most {limit} bytes"),
    )
}
