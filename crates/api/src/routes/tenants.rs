use std::io;

use actix_web::{HttpRequest, HttpResponse, get, http::header, patch, web::Data};
use postrider_application::{
    Versioned,
    mediator::Request as _,
    tenants::{ExportTenant, GetTenant},
};

use postrider_domain::tenants::TenantState;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    ApiContext,
    authentication::Standing,
    export::ExportStream,
    extract::{Authenticated, Json, Presumed, etag},
    problem::Problem,
    wire::{
        export::{self, ExportLines},
        tenants::{Tenant, TenantPatch},
    },
};

/// All of them, in the order in which their patterns are tried.
pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(get_tenant)
        .service(update_tenant)
        .service(export_tenant);
}

/// Read your tenant
#[utoipa::path(
    operation_id = "getTenant",
    tag = "Tenant",
    extensions(("x-permission" = json!("tenant:read"))),
    responses((status = 200, description = "The tenant.", body = Tenant,
        headers(("ETag" = String, description = "Its version."))))
)]
#[get("/tenant")]
async fn get_tenant(context: Data<ApiContext>, caller: Authenticated) -> Result<HttpResponse, Problem> {
    let tenant = context.mediator.send(&caller.0, GetTenant).await?;
    Ok(shown(tenant))
}

fn shown(tenant: Versioned<TenantState>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::ETAG, etag(tenant.version)))
        .json(Tenant::from(tenant.value))
}

/// Change your tenant
///
/// Its name, and how it wants its messages to be treated. What is not named stays as it is.
#[utoipa::path(
    operation_id = "updateTenant",
    tag = "Tenant",
    params(("If-Match" = Option<String>, Header, description = "The `ETag` of the version that is meant.")),
    request_body = TenantPatch,
    extensions(("x-permission" = json!("tenant:write"))),
    responses(
        (status = 200, description = "The tenant as it is now.", body = Tenant,
         headers(("ETag" = String, description = "Its version."))),
        (status = 409, description = "`stale_version`: it was changed in between. `tenant_deleting`: it is being deleted."),
        (status = 412, description = "`precondition_failed`: it is not at the version that `If-Match` names."),
    )
)]
#[patch("/tenant")]
async fn update_tenant(
    context: Data<ApiContext>,
    caller: Authenticated,
    presumed: Presumed,
    body: Json<TenantPatch>,
) -> Result<HttpResponse, Problem> {
    let command = body.0.into_command(presumed.0)?;
    let tenant = context.mediator.send(&caller.0, command).await?;
    Ok(shown(tenant))
}

/// Export your tenant
///
/// Everything that the tenant owns, secrets excepted, as JSON Lines: first `{"kind":"export",…}`, then a line
/// `{"kind":…,"data":{…}}` for each thing, and last `{"kind":"end","rows":{…}}`, which counts them. An export without
/// its last line was cut off. Each thing is shown as it was when it was read.
///
/// It is cut off when the credential that it was asked with is revoked, expires or may no longer export, when the
/// tenant is deleted, when nothing of it is taken for a minute, and after 6 hours. An access token lasts 10 minutes:
/// take a large tenant's export with an API key.
#[utoipa::path(
    operation_id = "exportTenant",
    tag = "Tenant",
    extensions(("x-permission" = json!("tenant:export"))),
    responses(
        (status = 200, description = "The lines.", content_type = "application/jsonl", body = String,
         headers(("Content-Disposition" = String, description = "The name of a file to keep it in."))),
    )
)]
#[get("/tenant/export")]
async fn export_tenant(
    context: Data<ApiContext>,
    caller: Authenticated,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let rule = ExportTenant.access();
    let exporter = context.mediator.send(&caller.0, ExportTenant).await?;
    let tenant = exporter.scope().tenant();
    let standing = Standing::of(&context, request.headers(), tenant, rule)?;
    let head = ExportLines::head(tenant, context.clock.now()).map_err(unwritten)?;
    Ok(HttpResponse::Ok()
        .content_type(export::MEDIA_TYPE)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{tenant}.jsonl\""),
        ))
        .streaming(ExportStream::begin(head, exporter, standing)))
}

fn unwritten(error: io::Error) -> postrider_application::Error {
    postrider_application::Error::internal(error)
}
