use actix_web::{HttpResponse, get, web::Data};

use super::ManagementContext;

/// The metrics, in the text format of Prometheus.
#[get("/metrics")]
pub(super) async fn metrics(context: Data<ManagementContext>) -> HttpResponse {
    match context.metrics.write() {
        Ok(page) => HttpResponse::Ok()
            .content_type(context.metrics.content_type())
            .body(page),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be read");
            HttpResponse::InternalServerError().finish()
        }
    }
}
