//! The small stations that every answer passes: HEAD, what is compressed, and the headers that all of them carry.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::{
    Error, HttpMessage as _,
    body::{BodySize, EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        ConnectionType, Method,
        header::{self, AcceptEncoding, ContentEncoding, Encoding, Header as _, HeaderName, HeaderValue},
    },
    middleware::Next,
    web::{Bytes, Data},
};
use postrider_application::ports::TracePropagation as _;

use crate::{ApiContext, OtelTracePropagation, cors::AllowedOrigins, rates::Quotas, wire::export};

/// Where an answer says which span it is of.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What is shorter is sent as it is: the compressor would cost more than the bytes that it saves.
const LEAST_COMPRESSED_BYTES: u64 = 1_024;

/// Adds the headers that do not depend on what is answered: the span, the quotas, and who of other origins may read it.
/// Answers browsers that ask beforehand whether they may.
pub(crate) async fn headers<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let context = request.app_data::<Data<ApiContext>>().cloned();
    let nobody = AllowedOrigins::default();
    let origins = context
        .as_ref()
        .map_or(&nobody, |context| &context.allowed_origins);
    let told = origins.told(request.headers());
    let mut response = match origins.preflight(request.method(), request.headers()) {
        Some(answer) => request.into_response(answer).map_into_right_body(),
        None => next.call(request).await?.map_into_left_body(),
    };
    let quotas = response.request().extensions_mut().remove::<Quotas>();
    let headers = response.headers_mut();
    if let Some(quotas) = quotas {
        quotas.write(headers);
    }
    for (name, value) in told {
        headers.append(name, value);
    }
    let span = OtelTracePropagation.current();
    if let Some(Ok(span)) = span.map(|span| HeaderValue::from_str(span.as_str())) {
        headers.insert(TRACEPARENT, span);
    }
    Ok(response)
}

/// A process that is about to end asks for no more requests on the same connection, so that those who keep connections
/// open go elsewhere in good time, and none is cut while a request is on its way.
pub(crate) async fn farewell<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let context = request.app_data::<Data<ApiContext>>().cloned();
    let mut response = next.call(request).await?;
    if context.is_some_and(|context| context.health.is_draining()) {
        response
            .response_mut()
            .head_mut()
            .set_connection_type(ConnectionType::Close);
    }
    Ok(response)
}

/// HEAD is answered wherever GET is: as it, and without a body (RFC 9110, section 9.3.2).
pub(crate) async fn head<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, Unsent>>, Error> {
    if *request.method() != Method::HEAD {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    request.head_mut().method = Method::GET;
    let response = next.call(request).await?;
    Ok(response.map_body(|_, body| EitherBody::right(Unsent(body.size()))))
}

/// A body that is only told of.
pub(crate) struct Unsent(BodySize);

impl MessageBody for Unsent {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(None)
    }
}

/// Outside of the compressor. A client that accepts none of our encodings gets the plain answer, as RFC 9110, section
/// 12.5.3 allows, instead of the compressor's bare 406.
pub(crate) async fn tolerate_encodings<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    const OURS: [Encoding; 3] = [
        Encoding::Known(ContentEncoding::Identity),
        Encoding::Known(ContentEncoding::Gzip),
        Encoding::Known(ContentEncoding::Deflate),
    ];
    if AcceptEncoding::parse(&request).is_ok_and(|accepted| accepted.negotiate(OURS.iter()).is_none()) {
        request.headers_mut().remove(header::ACCEPT_ENCODING);
    }
    let mut response = next.call(request).await?;
    // The word to the compressor is for nobody else.
    let headers = response.headers_mut();
    if headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|value| value == "identity")
    {
        headers.remove(header::CONTENT_ENCODING);
    }
    Ok(response)
}

/// Inside of the compressor: tells it to leave alone what is short, and what is to arrive as it is written.
pub(crate) async fn leave_plain<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let mut response = next.call(request).await?;
    let short = match response.response().body().size() {
        BodySize::None => true,
        BodySize::Sized(bytes) => bytes < LEAST_COMPRESSED_BYTES,
        BodySize::Stream => false,
    };
    let headers = response.headers_mut();
    let is_export = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value == export::MEDIA_TYPE);
    if short || is_export {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("identity"));
    }
    Ok(response)
}
