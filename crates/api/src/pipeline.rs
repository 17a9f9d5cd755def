//! The order in which a request passes its stations. It is written here, once.
//!
//! | | station | why there |
//! |---|---|---|
//! | 0 | under way | until it is answered, its connection is not quiet |
//! | 1 | request id | everything after it may name the request, and every answer carries it |
//! | 2 | measures, root span | what follows is part of the trace, refusals too |
//! | 3 | headers of every answer, browsers that ask beforehand, HEAD | refusals need them as well; whoever asks beforehand has no credential |
//! | 4 | compression | of problems too, so it lies outside of what makes them |
//! | 5 | problems | every error and every panic of what follows becomes a problem |
//! | 6 | authentication | on `/v1`, but for its public routes; before routing, so that strangers learn nothing of paths |
//! | 7 | rates | of whoever is known; before anything is looked at that costs more |
//! | 8 | routing and extractors | path, query, media type, body |
//!
//! The mediator goes on from there: span, metrics, validate, authorize, handle.

use std::sync::Arc;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    http::header,
    middleware::{Compress, DefaultHeaders, from_fn},
    web::Data,
};
use tracing_actix_web::TracingLogger;
use utoipa_actix_web::AppExt as _;

use crate::{
    ApiContext,
    authentication::authenticate,
    connections::under_way,
    measure::{HttpMetrics, measure},
    openapi,
    problem::problems,
    rates::limit_rates,
    request_id::request_id,
    routes, stations,
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
        .configure(routes::public)
        // Stations 6 and 7 stand on the scope, because the public routes must be reachable without a credential.
        .service(
            routes::guarded()
                .wrap(from_fn(limit_rates)) // 7
                .wrap(from_fn(authenticate)), // 6
        )
        .split_for_parts();
    outer_stations(
        app.configure(routes::undocumented)
            .default_service(routes::fallback()),
    )
    .app_data(Data::from(context))
}

/// Stations 0 to 5 around `app`. Each `wrap` lies outside of those before it, so they stand here from the inside
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
    let metrics = HttpMetrics::new();
    app.wrap(from_fn(problems)) // 5
        .wrap(from_fn(stations::leave_plain))
        .wrap(Compress::default()) // 4
        .wrap(from_fn(stations::tolerate_encodings))
        .wrap(from_fn(stations::head))
        .wrap(from_fn(stations::headers))
        .wrap(from_fn(stations::farewell))
        .wrap(DefaultHeaders::new().add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))) // 3
        .wrap(TracingLogger::<RootSpan>::new())
        .wrap(from_fn(move |request, next| {
            measure(Arc::clone(&metrics), request, next)
        })) // 2
        .wrap(from_fn(request_id)) // 1
        .wrap(from_fn(under_way)) // 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{problem::Problem, request_id};
    use actix_web::{
        HttpResponse,
        body::to_bytes,
        http::StatusCode,
        test::{TestRequest, init_service, try_call_service},
        web,
    };
    use postrider_application::{Error as UseCaseError, ErrorCode};
    use serde_json::Value;
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    async fn panics() -> HttpResponse {
        panic!("hunter2")
    }

    async fn fails() -> Result<HttpResponse, Problem> {
        Err(UseCaseError::internal("hunter2").into())
    }

    async fn is_down() -> Result<HttpResponse, Problem> {
        Err(UseCaseError::new(ErrorCode::Unavailable, "hunter2").into())
    }

    async fn framework() -> Result<HttpResponse, actix_web::Error> {
        Err(actix_web::error::ErrorImATeapot("hunter2"))
    }

    async fn bare() -> HttpResponse {
        HttpResponse::BadGateway().body("hunter2")
    }

    /// Stations 1 to 5 around routes that go wrong; answers status, headers of interest, and the problem.
    async fn call(path: &str) -> (StatusCode, actix_web::http::header::HeaderMap, Value) {
        // tracing remembers for the whole process whether anybody listens to a call site: somebody always does.
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
        let app = actix_web::App::new()
            .route("/panics", web::get().to(panics))
            .route("/fails", web::get().to(fails))
            .route("/down", web::get().to(is_down))
            .route("/framework", web::get().to(framework))
            .route("/bare", web::get().to(bare));
        let service = init_service(outer_stations(app)).await;
        let request = TestRequest::get()
            .uri(path)
            .insert_header((request_id::HEADER, "mine"))
            .to_request();
        let response = match try_call_service(&service, request).await {
            Ok(response) => response.into_parts().1.map_into_boxed_body(),
            // The server itself answers what went past every station.
            Err(error) => error.error_response(),
        };
        let (status, headers) = (response.status(), response.headers().clone());
        let Ok(body) = to_bytes(response.into_body()).await else {
            panic!("the body broke off")
        };
        (status, headers, serde_json::from_slice(&body).unwrap())
    }

    #[actix_web::test]
    async fn whatever_goes_wrong_inside_is_a_problem_outside() {
        for (path, status, code) in [
            ("/panics", 500, "internal"),
            ("/fails", 500, "internal"),
            ("/down", 503, "unavailable"),
            ("/framework", 400, "malformed_request"),
            ("/bare", 500, "internal"),
            ("/nowhere", 404, "not_found"),
        ] {
            let (answered, headers, problem) = call(path).await;
            assert_eq!(answered, status, "{path}");
            assert_eq!(
                headers.get("content-type").unwrap(),
                "application/problem+json",
                "{path}"
            );
            assert_eq!(headers.get("x-request-id").unwrap(), "mine", "{path}");
            assert_eq!(problem["request_id"], "mine", "{path}");
            assert_eq!(problem["instance"], path);
            assert_eq!(
                (&problem["code"], &problem["status"]),
                (&code.into(), &status.into())
            );
            assert!(!problem.to_string().contains("hunter2"), "{path}");
            assert_eq!(headers.contains_key("retry-after"), status == 503, "{path}");
        }
    }

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[actix_web::test]
    async fn problems_are_made_inside_of_the_root_span_and_that_inside_of_the_request_id() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let (status, ..) = call("/panics").await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let line = text
            .lines()
            .find(|line| line.contains("a handler panicked"))
            .unwrap();
        assert!(
            line.contains("request{") && line.contains("request_id=\"mine\""),
            "{line}"
        );
    }
}
