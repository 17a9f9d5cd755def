use std::sync::LazyLock;

use actix_web::{
    HttpResponse, get,
    web::{Data, Path},
};
use postrider_application::{Error, ErrorCode};

use crate::{
    ApiContext, openapi,
    problem::{Problem, page},
};

static OPENAPI: LazyLock<String> = LazyLock::new(openapi::openapi_json);

/// This document
///
/// As this very binary serves it.
#[utoipa::path(
    operation_id = "getOpenApi",
    tag = "Installation",
    extensions(("x-permission" = json!("public"))),
    responses((status = 200, description = "The OpenAPI document of exactly this binary.", body = Value))
)]
#[get("/openapi.json")]
pub(super) async fn openapi_document() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(OPENAPI.as_str())
}

/// The public keys of access tokens
///
/// A JWK set (RFC 7517), for whoever wants to verify access tokens without asking.
#[utoipa::path(
    operation_id = "getJwks",
    tag = "Authentication",
    extensions(("x-permission" = json!("public"))),
    responses((status = 200, description = "The keys.", body = Value))
)]
#[get("/.well-known/jwks.json")]
pub(super) async fn json_web_keys(context: Data<ApiContext>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .insert_header(("Cache-Control", "public, max-age=300"))
        .body(context.tokens.jwks())
}

/// What a problem means
///
/// The page that the `type` of a problem leads to, in Markdown.
#[utoipa::path(
    operation_id = "getProblemPage",
    tag = "Installation",
    extensions(("x-permission" = json!("public"))),
    params(("code" = String, Path, description = "The code of a problem.", example = "validation_failed")),
    responses(
        (status = 200, description = "The page.", body = String, content_type = "text/markdown; charset=utf-8"),
    )
)]
#[get("/problems/{code}")]
pub(super) async fn problem_page(code: Path<String>) -> Result<HttpResponse, Problem> {
    let code = ErrorCode::ALL
        .iter()
        .find(|known| known.as_str() == *code)
        .ok_or_else(|| Error::not_found("problem"))?;
    Ok(HttpResponse::Ok()
        .content_type("text/markdown; charset=utf-8")
        .body(page(*code)))
}
