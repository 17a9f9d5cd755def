//! Health, as the API's listener has it, from the first moment of the process on.

use actix_web::{HttpResponse, get, web::Data};

use super::ManagementContext;
use crate::routes::{answer_live, answer_ready, answer_startup};

/// Whether the process works.
#[get("/health/live")]
pub(super) async fn live(context: Data<ManagementContext>) -> HttpResponse {
    answer_live(&context.health)
}

/// Whether this node can serve.
#[get("/health/ready")]
pub(super) async fn ready(context: Data<ManagementContext>) -> HttpResponse {
    answer_ready(&context.health)
}

/// Whether the process has started.
#[get("/health/startup")]
pub(super) async fn startup(context: Data<ManagementContext>) -> HttpResponse {
    answer_startup(&context.health)
}
