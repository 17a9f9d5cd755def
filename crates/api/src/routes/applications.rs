use actix_web::{
    HttpResponse, delete, get, post,
    web::{Data, Path},
};
use postrider_application::applications::{GetApplication, ListApplications, RevokePortalTokens};

use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    ApiContext,
    answer::Answer,
    extract::{Authenticated, Json, Listing, PageQuery, Repeatable},
    problem::Problem,
    wire::{
        Checks,
        applications::{Application, NewApplication},
        page::{self, List},
        path::ApplicationPath,
        portal_tokens::{NewPortalToken, PortalToken},
    },
};

/// All of them, in the order in which their patterns are tried.
pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(list_applications)
        .service(create_application)
        .service(get_application)
        .service(mint_portal_token)
        .service(revoke_portal_tokens);
}

/// List applications
///
/// Those that you may see, by id.
#[utoipa::path(
    operation_id = "listApplications",
    tag = "Applications",
    params(PageQuery),
    extensions(("x-permission" = json!("applications:read"))),
    responses((status = 200, description = "A page of applications.", body = List<Application>))
)]
#[get("/applications")]
async fn list_applications(
    context: Data<ApiContext>,
    caller: Authenticated,
    page: PageQuery,
    listing: Listing,
) -> Result<HttpResponse, Problem> {
    let mut checks = Checks::default();
    let page = page::request(&page, &mut checks);
    let (page,) = checks.all((page,))?;
    let applications = context
        .mediator
        .send(&caller.0, ListApplications { page })
        .await?;
    Ok(listing.answer(applications, Application::from))
}

/// Create an application
///
/// An application is one of your customers: it owns endpoints and receives messages.
#[utoipa::path(
    operation_id = "createApplication",
    tag = "Applications",
    request_body = NewApplication,
    extensions(("x-permission" = json!("applications:write"))),
    responses(
        (status = 201, description = "Created.", body = Application,
         headers(("Location" = String, description = "The application's path."))),
        (status = 409, description = "`uid_taken`: another application has this uid."),
    )
)]
#[post("/applications")]
async fn create_application(
    context: Data<ApiContext>,
    caller: Repeatable,
    body: Json<NewApplication>,
) -> Result<HttpResponse, Problem> {
    let command = body.0.into_command()?;
    context
        .once(&caller, command, |created| {
            let location = format!("/v1/applications/{}", created.id);
            Answer::created(&Application::from(created)).at(location)
        })
        .await
}

/// Read an application
#[utoipa::path(
    operation_id = "getApplication",
    tag = "Applications",
    params(ApplicationPath),
    extensions(("x-permission" = json!("applications:read"))),
    responses((status = 200, description = "The application.", body = Application))
)]
#[get("/applications/{application}")]
async fn get_application(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<ApplicationPath>,
) -> Result<HttpResponse, Problem> {
    let mut checks = Checks::default();
    let application = path.application(&mut checks);
    let (application,) = checks.all((application,))?;
    let application = context
        .mediator
        .send(&caller.0, GetApplication { application })
        .await?;
    Ok(HttpResponse::Ok().json(Application::from(application)))
}

/// Mint a portal token
///
/// For one of your customers: some of your own permissions, in this application, for a while. The token is shown
/// this once.
#[utoipa::path(
    operation_id = "mintPortalToken",
    tag = "Applications",
    params(ApplicationPath),
    request_body = NewPortalToken,
    extensions(("x-permission" = json!("portal-tokens:issue")), ("x-shown-once" = json!("token"))),
    responses((status = 201, description = "Minted.", body = PortalToken))
)]
#[post("/applications/{application}/portal-tokens")]
async fn mint_portal_token(
    context: Data<ApiContext>,
    caller: Repeatable,
    path: Path<ApplicationPath>,
    body: Json<NewPortalToken>,
) -> Result<HttpResponse, Problem> {
    let command = body.0.into_command(&path)?;
    context
        .once(&caller, command, |minted| {
            Answer::created(&PortalToken::from(minted)).showing_once("token")
        })
        .await
}

/// Revoke portal tokens
///
/// All that were minted for the application up to now.
#[utoipa::path(
    operation_id = "revokePortalTokens",
    tag = "Applications",
    params(ApplicationPath),
    extensions(("x-permission" = json!("portal-tokens:issue"))),
    responses((status = 204, description = "Revoked."))
)]
#[delete("/applications/{application}/portal-tokens")]
async fn revoke_portal_tokens(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<ApplicationPath>,
) -> Result<HttpResponse, Problem> {
    let mut checks = Checks::default();
    let application = path.application(&mut checks);
    let (application,) = checks.all((application,))?;
    let command = RevokePortalTokens { application };
    context.mediator.send(&caller.0, command).await?;
    Ok(HttpResponse::NoContent().finish())
}
