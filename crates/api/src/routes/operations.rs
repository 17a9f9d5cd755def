//! How the installation is, for its operator.

use actix_web::{
    HttpResponse, delete, get, post,
    web::{Data, Path},
};
use postrider_application::operator::{DiscardDeadLetter, ListDeadLetters, RetryDeadLetter, ShowStatus};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    ApiContext,
    answer::Answer,
    extract::{Authenticated, Listing, PageQuery, Repeatable},
    problem::Problem,
    wire::{
        Checks,
        operations::{DeadLetter, DiscardedLetter, Status},
        page::{self, List},
        path::DeadLetterPath,
    },
};

/// All of them, in the order in which their patterns are tried.
pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(show_status)
        .service(list_dead_letters)
        .service(retry_dead_letter)
        .service(discard_dead_letter);
}

/// Read the installation's status
///
/// Its nodes and their leases, how much waits, how far each subscriber of the event log is, and which endpoints fail
/// for the longest time. Never payloads.
#[utoipa::path(
    operation_id = "showStatus",
    tag = "Operator",
    extensions(("x-permission" = json!("operator"))),
    responses((status = 200, description = "The status.", body = Status))
)]
#[get("/operator/status")]
async fn show_status(context: Data<ApiContext>, caller: Authenticated) -> Result<HttpResponse, Problem> {
    let status = context.mediator.send(&caller.0, ShowStatus).await?;
    Ok(HttpResponse::Ok().json(Status::from(status)))
}

/// List dead letters
///
/// Events of the installation's own log that a subscriber could not take, the oldest first. Later events of the same
/// aggregate wait for them; everything else flows.
#[utoipa::path(
    operation_id = "listDeadLetters",
    tag = "Operator",
    params(PageQuery),
    extensions(("x-permission" = json!("operator"))),
    responses((status = 200, description = "A page of dead letters.", body = List<DeadLetter>))
)]
#[get("/operator/dead-letters")]
async fn list_dead_letters(
    context: Data<ApiContext>,
    caller: Authenticated,
    page: PageQuery,
    listing: Listing,
) -> Result<HttpResponse, Problem> {
    let mut checks = Checks::default();
    let page = page::request(&page, &mut checks);
    let (page,) = checks.all((page,))?;
    let letters = context.mediator.send(&caller.0, ListDeadLetters { page }).await?;
    Ok(listing.answer(letters, DeadLetter::from))
}

/// Retry a dead letter
///
/// Has it delivered again, and after it, in order, what waits for it. That happens soon after this answer; if the
/// subscriber refuses it again, it is listed still, with more attempts.
#[utoipa::path(
    operation_id = "retryDeadLetter",
    tag = "Operator",
    params(DeadLetterPath),
    extensions(("x-permission" = json!("operator"))),
    responses((status = 202, description = "It will be delivered again."))
)]
#[post("/operator/dead-letters/{event}/retry")]
async fn retry_dead_letter(
    context: Data<ApiContext>,
    caller: Repeatable,
    path: Path<DeadLetterPath>,
) -> Result<HttpResponse, Problem> {
    let letter = path.read()?;
    context
        .once(&caller, RetryDeadLetter { letter }, |()| Answer::noted())
        .await
}

/// Discard a dead letter
///
/// Gives the event up: its subscriber never hears of it. What waits for it is delivered in order, soon after this answer,
/// which says how much that is.
#[utoipa::path(
    operation_id = "discardDeadLetter",
    tag = "Operator",
    params(DeadLetterPath),
    extensions(("x-permission" = json!("operator"))),
    responses((status = 200, description = "It is given up.", body = DiscardedLetter))
)]
#[delete("/operator/dead-letters/{event}")]
async fn discard_dead_letter(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<DeadLetterPath>,
) -> Result<HttpResponse, Problem> {
    let letter = path.read()?;
    let id = letter.to_string();
    let discarded = context
        .mediator
        .send(&caller.0, DiscardDeadLetter { letter })
        .await?;
    Ok(HttpResponse::Ok().json(DiscardedLetter::of(id, discarded)))
}
