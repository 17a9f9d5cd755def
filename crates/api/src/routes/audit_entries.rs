use actix_web::{HttpResponse, get, web::Data};

use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    ApiContext,
    extract::{AuditQuery, Authenticated, Listing, PageQuery},
    problem::Problem,
    wire::{
        audit_entries::{self, AuditEntry},
        page::List,
    },
};

/// All of them, in the order in which their patterns are tried.
pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list_audit_entries);
}

/// List the audit log
///
/// Who did what to what, from where, when, and whether they were let; the newest first. What is published, resent
/// and replayed is recorded by the messages and deliveries themselves. Denials appear a second or so later. Of a filter
/// that lets little through, a page may hold fewer items than there are, even none: as long as there is a `next`, there
/// may be more.
#[utoipa::path(
    operation_id = "listAuditEntries",
    tag = "Audit log",
    params(AuditQuery, PageQuery),
    extensions(("x-permission" = json!("audit:read"))),
    responses((status = 200, description = "A page of entries.", body = List<AuditEntry>))
)]
#[get("/audit-entries")]
async fn list_audit_entries(
    context: Data<ApiContext>,
    caller: Authenticated,
    query: AuditQuery,
    listing: Listing,
) -> Result<HttpResponse, Problem> {
    let query = audit_entries::query(query)?;
    let entries = context.mediator.send(&caller.0, query).await?;
    Ok(listing.answer(entries, AuditEntry::from))
}
