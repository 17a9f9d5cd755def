use actix_web::{HttpResponse, delete, get, put, web::Data};
use postrider_application::me::{EndMySessions, GetMe};

use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    ApiContext,
    extract::{Authenticated, Json},
    problem::Problem,
    wire::me::{Me, PasswordChange},
};

/// All of them, in the order in which their patterns are tried.
pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(get_me)
        .service(change_password)
        .service(end_my_sessions);
}

/// Read who you are
///
/// With the tenant that you act in, and what you may do.
#[utoipa::path(
    operation_id = "getMe",
    tag = "Me",
    extensions(("x-permission" = json!("principal"))),
    responses((status = 200, description = "You.", body = Me))
)]
#[get("/me")]
async fn get_me(context: Data<ApiContext>, caller: Authenticated) -> Result<HttpResponse, Problem> {
    let me = context.mediator.send(&caller.0, GetMe).await?;
    Ok(HttpResponse::Ok().json(Me::from(me)))
}

/// Change your password
///
/// Ends your other sessions, in all tenants.
#[utoipa::path(
    operation_id = "changePassword",
    tag = "Me",
    request_body = PasswordChange,
    extensions(("x-permission" = json!("person"))),
    responses(
        (status = 204, description = "The new password is good from now on."),
        (status = 401, description = "`unauthenticated`; or `invalid_credentials`: the current password is another."),
        (status = 429, description = "`too_many_attempts`, from there or at that account. See `Retry-After`."),
    )
)]
#[put("/me/password")]
async fn change_password(
    context: Data<ApiContext>,
    caller: Authenticated,
    body: Json<PasswordChange>,
) -> Result<HttpResponse, Problem> {
    let command = body.0.into_command()?;
    context.mediator.send(&caller.0, command).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Log out everywhere
///
/// Ends all your sessions, in all tenants, this one too.
#[utoipa::path(
    operation_id = "endMySessions",
    tag = "Me",
    extensions(("x-permission" = json!("person"))),
    responses((status = 204, description = "Logged out."))
)]
#[delete("/me/sessions")]
async fn end_my_sessions(context: Data<ApiContext>, caller: Authenticated) -> Result<HttpResponse, Problem> {
    context.mediator.send(&caller.0, EndMySessions).await?;
    Ok(HttpResponse::NoContent().finish())
}
