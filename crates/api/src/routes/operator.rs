use actix_web::{
    HttpResponse, delete, get, post,
    web::{Data, Path},
};
use postrider_application::tenants::{DeleteTenant, ListTenants, ResumeTenant, ShowTenant, SuspendTenant};

use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    ApiContext,
    answer::Answer,
    extract::{Authenticated, Json, Listing, PageQuery, Repeatable},
    problem::Problem,
    wire::{
        Checks,
        page::{self, List},
        path::TenantPath,
        tenants::{CreatedTenant, NewTenant, OperatedTenant, Tenant},
    },
};

/// All of them, in the order in which their patterns are tried.
pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(create_tenant)
        .service(list_tenants)
        .service(show_tenant)
        .service(delete_tenant)
        .service(suspend_tenant)
        .service(resume_tenant);
}

/// Create a tenant
///
/// With its first owner. For the installation's operator; nobody signs up by themselves.
#[utoipa::path(
    operation_id = "createTenant",
    tag = "Operator",
    request_body = NewTenant,
    extensions(("x-permission" = json!("operator"))),
    responses(
        (status = 201, description = "Created.", body = CreatedTenant),
        (status = 409, description = "`owner_exists`: the owner's address belongs to a known person, which was not expected."),
    )
)]
#[post("/operator/tenants")]
async fn create_tenant(
    context: Data<ApiContext>,
    caller: Repeatable,
    body: Json<NewTenant>,
) -> Result<HttpResponse, Problem> {
    let command = body.0.into_command()?;
    context
        .once(&caller, command, |tenant| {
            let location = format!("/v1/operator/tenants/{}", tenant.tenant);
            Answer::created(&CreatedTenant::from(tenant)).at(location)
        })
        .await
}

/// List tenants
///
/// All of the installation's, by id.
#[utoipa::path(
    operation_id = "listTenants",
    tag = "Operator",
    params(PageQuery),
    extensions(("x-permission" = json!("operator"))),
    responses((status = 200, description = "A page of tenants.", body = List<Tenant>))
)]
#[get("/operator/tenants")]
async fn list_tenants(
    context: Data<ApiContext>,
    caller: Authenticated,
    page: PageQuery,
    listing: Listing,
) -> Result<HttpResponse, Problem> {
    let mut checks = Checks::default();
    let page = page::request(&page, &mut checks);
    let (page,) = checks.all((page,))?;
    let tenants = context.mediator.send(&caller.0, ListTenants { page }).await?;
    Ok(listing.answer(tenants, Tenant::from))
}

/// Read a tenant
///
/// Or, of one that was erased, that and how much it was.
#[utoipa::path(
    operation_id = "showTenant",
    tag = "Operator",
    params(TenantPath),
    extensions(("x-permission" = json!("operator"))),
    responses((status = 200, description = "The tenant.", body = OperatedTenant))
)]
#[get("/operator/tenants/{tenant}")]
async fn show_tenant(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<TenantPath>,
) -> Result<HttpResponse, Problem> {
    let tenant = path.read()?;
    let found = context.mediator.send(&caller.0, ShowTenant { tenant }).await?;
    Ok(HttpResponse::Ok().json(OperatedTenant::from(found)))
}

/// Delete a tenant
///
/// From now on nobody of it is let in, and nothing is published or delivered. After a short while everything that it
/// owns is erased, in batches. There is no way back.
#[utoipa::path(
    operation_id = "deleteTenant",
    tag = "Operator",
    params(TenantPath),
    extensions(("x-permission" = json!("operator"))),
    responses((status = 202, description = "Ordered; reading the tenant says when it is erased.",
               headers(("Location" = String, description = "Where to ask."))))
)]
#[delete("/operator/tenants/{tenant}")]
async fn delete_tenant(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<TenantPath>,
) -> Result<HttpResponse, Problem> {
    let tenant = path.read()?;
    context.mediator.send(&caller.0, DeleteTenant { tenant }).await?;
    Ok(HttpResponse::Accepted()
        .insert_header(("Location", format!("/v1/operator/tenants/{tenant}")))
        .finish())
}

/// Suspend a tenant
///
/// It can be read, and neither changed nor published to. What was published is still delivered.
#[utoipa::path(
    operation_id = "suspendTenant",
    tag = "Operator",
    params(TenantPath),
    extensions(("x-permission" = json!("operator"))),
    responses(
        (status = 200, description = "Suspended.", body = Tenant),
        (status = 409, description = "`tenant_deleting`: there is no way back."),
    )
)]
#[post("/operator/tenants/{tenant}/suspend")]
async fn suspend_tenant(
    context: Data<ApiContext>,
    caller: Repeatable,
    path: Path<TenantPath>,
) -> Result<HttpResponse, Problem> {
    let tenant = path.read()?;
    let command = SuspendTenant { tenant };
    context
        .once(&caller, command, |tenant| Answer::ok(&Tenant::from(tenant)))
        .await
}

/// Resume a tenant
///
/// Lets a suspended tenant go on.
#[utoipa::path(
    operation_id = "resumeTenant",
    tag = "Operator",
    params(TenantPath),
    extensions(("x-permission" = json!("operator"))),
    responses(
        (status = 200, description = "Resumed.", body = Tenant),
        (status = 409, description = "`tenant_deleting`: there is no way back."),
    )
)]
#[post("/operator/tenants/{tenant}/resume")]
async fn resume_tenant(
    context: Data<ApiContext>,
    caller: Repeatable,
    path: Path<TenantPath>,
) -> Result<HttpResponse, Problem> {
    let tenant = path.read()?;
    let command = ResumeTenant { tenant };
    context
        .once(&caller, command, |tenant| Answer::ok(&Tenant::from(tenant)))
        .await
}
