use actix_web::{HttpResponse, post, web::Data};

use crate::{
    ApiContext,
    extract::{Authenticated, Json},
    problem::Problem,
    wire::tenants::{NewTenant, Tenant},
};

/// Create a tenant
///
/// With its first owner. For the installation's operator; nobody signs up by themselves.
#[utoipa::path(
    operation_id = "createTenant",
    tag = "Operator",
    request_body = NewTenant,
    extensions(("x-permission" = json!("operator"))),
    responses((status = 201, description = "Created.", body = Tenant))
)]
#[post("/operator/tenants")]
pub(super) async fn create_tenant(
    context: Data<ApiContext>,
    caller: Authenticated,
    body: Json<NewTenant>,
) -> Result<HttpResponse, Problem> {
    let command = body.0.into_command()?;
    let tenant = context.mediator.send(&caller.0, command).await?;
    Ok(HttpResponse::Created().json(Tenant::from(tenant)))
}
