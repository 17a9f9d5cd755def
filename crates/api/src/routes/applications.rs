use actix_web::{
    HttpResponse, get, post,
    web::{Data, Path},
};
use postrider_application::applications::GetApplication;

use crate::{
    ApiContext,
    extract::{Authenticated, Json},
    problem::Problem,
    wire::{
        Checks,
        applications::{Application, NewApplication},
        path::ApplicationPath,
    },
};

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
pub(super) async fn create_application(
    context: Data<ApiContext>,
    caller: Authenticated,
    body: Json<NewApplication>,
) -> Result<HttpResponse, Problem> {
    let command = body.0.into_command()?;
    let application = context.mediator.send(&caller.0, command).await?;
    let location = format!("/v1/applications/{}", application.id);
    Ok(HttpResponse::Created()
        .insert_header(("Location", location))
        .json(Application::from(application)))
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
pub(super) async fn get_application(
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
