use actix_web::{
    HttpResponse, get, put,
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

/// Logs something else from now on.
#[put("/log-level")]
pub(super) async fn change_log_level(
    context: Data<ManagementContext>,
    wanted: Json<LogLevel>,
) -> HttpResponse {
    match context.logs.change(&wanted.directives) {
        Ok(()) => {
            let directives = context.logs.directives();
            tracing::warn!(directives, "what is logged was changed");
            HttpResponse::Ok().json(LogLevel { directives })
        }
        Err(error @ LogControlError::Unreadable) => HttpResponse::UnprocessableEntity()
            .content_type("application/problem+json")
            .json(serde_json::json!({
                "title": "Unprocessable Entity",
                "status": 422,
                "detail": "the log level stays as it is",
                "errors": [{ "field": "directives", "message": error.to_string() }],
            })),
        Err(LogControlError::Gone) => HttpResponse::ServiceUnavailable().finish(),
    }
}
