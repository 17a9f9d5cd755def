use actix_web::{HttpResponse, get, http::StatusCode, web::Data};
use serde::Serialize;

use crate::{
    ApiContext, Health,
    health::all_ready,
    problem::RETRY_AFTER_SECONDS,
    wire::health::{Live, Ready, Started},
};

/// Whether the process works
///
/// Its main loop turns. Asks nothing else: a restart would not bring back a database.
#[utoipa::path(
    operation_id = "getLiveness",
    tag = "Installation",
    extensions(("x-permission" = json!("public"))),
    responses(
        (status = 200, description = "It works.", body = Live),
        (status = 503, description = "Its main loop stands still; only a restart helps.", body = Live),
    )
)]
#[get("/health/live")]
pub(super) async fn live(context: Data<ApiContext>) -> HttpResponse {
    answer_live(&context.health)
}

/// Whether this node can serve
///
/// For load balancers: a node that cannot serve should be sent nothing. Answered from what was found in the last seconds,
/// so asking costs nothing. A node that is about to end says so while it still answers.
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
    answer_ready(&context.health)
}

/// Whether the process has started
///
/// It has once it serves. The API's listener opens only then; the management listener answers from the beginning.
#[utoipa::path(
    operation_id = "getStartup",
    tag = "Installation",
    extensions(("x-permission" = json!("public"))),
    responses(
        (status = 200, description = "It has.", body = Started),
        (status = 503, description = "Not yet; what it is at, it says.", body = Started),
    )
)]
#[get("/health/startup")]
pub(super) async fn startup(context: Data<ApiContext>) -> HttpResponse {
    answer_startup(&context.health)
}

/// The answer of `/health/live`, on whichever listener.
pub(crate) fn answer_live(health: &Health) -> HttpResponse {
    let liveness = health.liveness();
    answer(liveness.live, Live::of(liveness))
}

/// The answer of `/health/ready`, on whichever listener.
pub(crate) fn answer_ready(health: &Health) -> HttpResponse {
    let checks = health.checks();
    answer(all_ready(&checks), Ready::of(checks))
}

/// The answer of `/health/startup`, on whichever listener.
pub(crate) fn answer_startup(health: &Health) -> HttpResponse {
    let state = health.startup();
    answer(state.started, Started::of(&state))
}

fn answer(good: bool, body: impl Serialize) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    if !good {
        response.status(StatusCode::SERVICE_UNAVAILABLE);
        response.insert_header(("Retry-After", RETRY_AFTER_SECONDS));
    }
    response.insert_header(("Cache-Control", "no-store")).json(body)
}
