use actix_web::{
    HttpRequest, HttpResponse, get,
    http::StatusCode,
    put,
    web::{Data, Json},
};
use serde::{Deserialize, Serialize};

use super::{LogControlError, ManagementContext};

/// What is logged.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogLevel {
    /// A level, or `tracing` directives such as `info,postrider_engine=debug`.
    directives: String,
}

/// What is logged now.
#[get("/log-level")]
pub(super) async fn log_level(context: Data<ManagementContext>) -> HttpResponse {
    HttpResponse::Ok().json(LogLevel {
        directives: context.logs.directives(),
    })
}

/// Logs something else from now on: more of it than anybody wants fills disks and may tell too much, so it is not for
/// everybody who may read metrics.
#[put("/log-level")]
pub(super) async fn change_log_level(
    request: HttpRequest,
    context: Data<ManagementContext>,
    wanted: Json<LogLevel>,
) -> HttpResponse {
    let near = request
        .peer_addr()
        .is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    if !near && !context.remote_log_level {
        return refused(
            StatusCode::FORBIDDEN,
            "Forbidden",
            "management.remote_log_level is off: ask from the machine, container or pod itself (127.0.0.1)",
            None,
        );
    }
    match context.logs.change(&wanted.directives) {
        Ok(()) => {
            let directives = context.logs.directives();
            tracing::warn!(directives, "what is logged was changed");
            HttpResponse::Ok().json(LogLevel { directives })
        }
        Err(error @ LogControlError::Unreadable) => refused(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Unprocessable Entity",
            "the log level stays as it is",
            Some(error.to_string()),
        ),
        Err(LogControlError::Gone) => HttpResponse::ServiceUnavailable().finish(),
    }
}

fn refused(status: StatusCode, title: &str, detail: &str, of_directives: Option<String>) -> HttpResponse {
    let errors: Vec<_> = of_directives
        .into_iter()
        .map(|message| serde_json::json!({ "field": "directives", "message": message }))
        .collect();
    HttpResponse::build(status)
        .content_type("application/problem+json")
        .json(serde_json::json!({
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
            "errors": errors,
        }))
}
