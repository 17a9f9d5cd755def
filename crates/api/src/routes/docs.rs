use actix_web::{
    HttpResponse, Scope,
    body::MessageBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    http::header,
    middleware::DefaultHeaders,
    web,
};
use utoipa_swagger_ui::{Config, SwaggerUi};

/// Not only does the page refer to nothing elsewhere: the browser would not fetch it.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/// `/docs`: Swagger UI out of the binary, over `/openapi.json`.
pub(super) fn page() -> Scope<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    // The UI's default is to ask a validator elsewhere about the document.
    let config = Config::from("/openapi.json").validator_url("none");
    web::scope("/docs")
        .wrap(DefaultHeaders::new().add((header::CONTENT_SECURITY_POLICY, POLICY)))
        .route("", web::get().to(to_folder))
        .service(SwaggerUi::new("/{_:.*}").config(config))
}

/// The page's own links are relative to the folder.
async fn to_folder() -> HttpResponse {
    HttpResponse::PermanentRedirect()
        .insert_header((header::LOCATION, "/docs/"))
        .finish()
}
