use actix_web::{HttpResponse, get, http::StatusCode, web::Data};

use crate::{
    ApiContext,
    problem::RETRY_AFTER_SECONDS,
    wire::health::{Live, Ready, all_ready},
};

/// Whether the process answers
///
/// Asks nothing else: a restart would not bring back a database.
#[utoipa::path(
    operation_id = "getLiveness",
    tag = "Installation",
    extensions(("x-permission" = json!("public"))),
    responses((status = 200, description = "It answers.", body = Live))
)]
#[get("/health/live")]
pub(super) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(Live { status: "live" })
}

/// Whether this node can serve
///
/// For load balancers: a node that cannot serve should be sent nothing.
#[utoipa::path(
    operation_id = "getReadiness",
    tag = "Installation",
    extensions(("x-permission" = json!("public"))),
    responses(
        (status = 200, description = "It can serve.", body = Ready),
        (status = 503, description = "It cannot; the checks say why.", body = Ready),
    )
)]
#[get("/health/ready")]
pub(super) async fn ready(context: Data<ApiContext>) -> HttpResponse {
    let checks = context.readiness.checks().await;
    let mut response = HttpResponse::Ok();
    if !all_ready(&checks) {
        response.status(StatusCode::SERVICE_UNAVAILABLE);
        response.insert_header(("Retry-After", RETRY_AFTER_SECONDS));
    }
    response
        .insert_header(("Cache-Control", "no-store"))
        .json(Ready::of(checks))
}
