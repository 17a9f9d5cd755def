use actix_web::{
    HttpResponse, delete, get, patch, post, put,
    web::{Data, Path},
};
use postrider_application::{
    Upserted, Versioned,
    applications::{DeleteApplication, GetApplication, ListApplications, RevokePortalTokens},
};
use postrider_domain::applications::ApplicationState;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    ApiContext,
    answer::Answer,
    extract::{Authenticated, Json, Listing, PageQuery, Presumed, Repeatable, etag},
    problem::Problem,
    wire::{
        Checks,
        applications::{Application, ApplicationContent, ApplicationPatch, NewApplication},
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
        .service(put_application)
        .service(patch_application)
        .service(delete_application)
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
/// An application is one of your customers: it owns endpoints and receives messages. The uid `operational` is reserved:
/// the application that has it hears of all the others, so it is given and taken only with `applications:write` on the
/// whole tenant.
#[utoipa::path(
    operation_id = "createApplication",
    tag = "Applications",
    request_body = NewApplication,
    extensions(("x-permission" = json!("applications:write"))),
    responses(
        (status = 201, description = "Created.", body = Application,
         headers(
             ("Location" = String, description = "The application's path."),
             ("ETag" = String, description = "Its version, for `If-Match`."),
         )),
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
            let location = format!("/v1/applications/{}", created.value.id);
            let version = created.version;
            Answer::created(&Application::from(created.value))
                .at(location)
                .tagged(version)
        })
        .await
}

fn created(application: Versioned<ApplicationState>) -> HttpResponse {
    let location = format!("/v1/applications/{}", application.value.id);
    HttpResponse::Created()
        .insert_header(("Location", location))
        .insert_header(("ETag", etag(application.version)))
        .json(Application::from(application.value))
}

fn found(application: Versioned<ApplicationState>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(("ETag", etag(application.version)))
        .json(Application::from(application.value))
}

/// Read an application
#[utoipa::path(
    operation_id = "getApplication",
    tag = "Applications",
    params(ApplicationPath),
    extensions(("x-permission" = json!("applications:read"))),
    responses((status = 200, description = "The application.", body = Application,
        headers(("ETag" = String, description = "Its version, for `If-Match`."))))
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
    Ok(found(application))
}

/// Create or replace an application
///
/// By your own uid: created if there is none of it, otherwise its name and notes are replaced whole. By id it is
/// replaced only. The application of the uid `operational` is where Postrider itself publishes what happens to your
/// endpoints; nobody else publishes to it. Creating it needs `applications:write` on the
/// whole tenant.
#[utoipa::path(
    operation_id = "putApplication",
    tag = "Applications",
    params(
        ApplicationPath,
        ("If-Match" = Option<String>, Header, description = "Only if it is at this version: the `ETag` of an answer, or `*`."),
    ),
    request_body = ApplicationContent,
    extensions(("x-permission" = json!("applications:write"))),
    responses(
        (status = 200, description = "Replaced.", body = Application,
         headers(("ETag" = String, description = "Its version, for `If-Match`."))),
        (status = 201, description = "Created.", body = Application,
         headers(
             ("Location" = String, description = "The application's path."),
             ("ETag" = String, description = "Its version, for `If-Match`."),
         )),
        (status = 409, description = "`stale_version`: somebody else created or changed it in between."),
        (status = 412, description = "`precondition_failed`: it is not at the version of `If-Match`."),
    )
)]
#[put("/applications/{application}")]
async fn put_application(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<ApplicationPath>,
    presumed: Presumed,
    body: Json<ApplicationContent>,
) -> Result<HttpResponse, Problem> {
    let command = body.0.into_command(&path, presumed.0)?;
    Ok(match context.mediator.send(&caller.0, command).await? {
        Upserted::Created(application) => created(application),
        Upserted::Replaced(application) => found(application),
    })
}

/// Change an application
///
/// A JSON Merge Patch (RFC 7396): what is absent stays, null clears. The reserved uid `operational` is given and taken
/// only with `applications:write` on the whole tenant: otherwise it is `forbidden`.
#[utoipa::path(
    operation_id = "patchApplication",
    tag = "Applications",
    params(
        ApplicationPath,
        ("If-Match" = Option<String>, Header, description = "Only if it is at this version: the `ETag` of an answer, or `*`."),
    ),
    request_body = ApplicationPatch,
    extensions(("x-permission" = json!("applications:write"))),
    responses(
        (status = 200, description = "Changed.", body = Application,
         headers(("ETag" = String, description = "Its version, for `If-Match`."))),
        (status = 409, description = "`uid_taken`: another application has this uid; `stale_version`: somebody else changed it in between."),
        (status = 412, description = "`precondition_failed`: it is not at the version of `If-Match`."),
    )
)]
#[patch("/applications/{application}")]
async fn patch_application(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<ApplicationPath>,
    presumed: Presumed,
    body: Json<ApplicationPatch>,
) -> Result<HttpResponse, Problem> {
    let command = body.0.into_command(&path, presumed.0)?;
    let application = context.mediator.send(&caller.0, command).await?;
    Ok(found(application))
}

/// Delete an application
///
/// Its endpoints and portal tokens go with it, and its uid is free. What waits for it goes to nobody when its turn
/// comes; an attempt that is under way is finished. What was published to it stays stored as long as history is kept,
/// and is not shown any more. When this is answered, no attempt to its endpoints begins any more. Deleting the one of the
/// reserved uid `operational` needs `applications:write` on the whole tenant.
#[utoipa::path(
    operation_id = "deleteApplication",
    tag = "Applications",
    params(
        ApplicationPath,
        ("If-Match" = Option<String>, Header, description = "Only if it is at this version: the `ETag` of an answer, or `*`."),
    ),
    extensions(("x-permission" = json!("applications:write"))),
    responses(
        (status = 204, description = "Deleted."),
        (status = 409, description = "`stale_version`: somebody else changed it in between."),
        (status = 412, description = "`precondition_failed`: it is not at the version of `If-Match`."),
    )
)]
#[delete("/applications/{application}")]
async fn delete_application(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<ApplicationPath>,
    presumed: Presumed,
) -> Result<HttpResponse, Problem> {
    let mut checks = Checks::default();
    let application = path.application(&mut checks);
    let (application,) = checks.all((application,))?;
    let command = DeleteApplication {
        application,
        if_match: presumed.0,
    };
    context.mediator.send(&caller.0, command).await?;
    Ok(HttpResponse::NoContent().finish())
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
