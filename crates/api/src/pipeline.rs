//! The order in which a request passes its stations. It is written here, once.
//!
//! | | station | why there |
//! |---|---|---|
//! | 1 | request id | everything after it may name the request, and every answer carries it |
//! | 2 | root span | what follows is part of the trace, refusals too |
//! | 3 | headers of every answer | refusals need them as well |
//! | 4 | compression | of problems too, so it lies outside of what makes them |
//! | 5 | problems | every error and every panic of what follows becomes a problem |
//! | 6 | authentication | on `/v1`, but for `/v1/auth`; before routing, so that strangers learn nothing of paths |
//! | 7 | routing and extractors | path, query, media type, body |
//!
//! The mediator goes on from there: span, metrics, validate, authorize, handle.

use std::sync::Arc;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    http::header::{self, AcceptEncoding, ContentEncoding, Encoding, Header as _},
    middleware::{Compress, DefaultHeaders, Next, from_fn},
    web::Data,
};
use tracing_actix_web::TracingLogger;
use utoipa_actix_web::AppExt as _;

use crate::{
    ApiContext, authentication::authenticate, openapi, problem::problems, request_id::request_id, routes,
    telemetry::RootSpan,
};

/// The whole API over `context`, for `actix_web::HttpServer::new(move || app(Arc::clone(&context)))`.
pub fn app(
    context: Arc<ApiContext>,
) -> actix_web::App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    let (app, _) = actix_web::App::new()
        .into_utoipa_app()
        .openapi(openapi::base())
        .configure(|config| routes::public(config))
        // Station 6 stands on the scope, because `/v1/auth` must be reachable without a credential.
        .service(routes::guarded().wrap(from_fn(authenticate)))
        .split_for_parts();
    outer_stations(
        app.configure(routes::undocumented)
            .default_service(routes::fallback()),
    )
    .app_data(Data::from(context))
}

/// Stations 1 to 5 around `app`. Each `wrap` lies outside of those before it, so they stand here from the inside
/// out.
fn outer_stations<T, B>(
    app: actix_web::App<T>,
) -> actix_web::App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
>
where
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<B>,
            Error = Error,
            InitError = (),
        > + 'static,
    B: MessageBody + 'static,
{
    app.wrap(from_fn(problems)) // 5
        .wrap(Compress::default()) // 4
        .wrap(from_fn(tolerate_encodings))
        .wrap(DefaultHeaders::new().add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))) // 3
        .wrap(TracingLogger::<RootSpan>::new()) // 2
        .wrap(from_fn(request_id)) // 1
}

/// A client that accepts none of our encodings gets the plain answer, as RFC 9110, section 12.5.3 allows, instead
/// of the compressor's bare 406.
async fn tolerate_encodings<B: MessageBody + 'static>(
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
    next.call(request).await
}
