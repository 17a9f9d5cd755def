use actix_web::{
    HttpResponse, get, post,
    web::{Data, Path},
};
use postrider_application::endpoints::{DisableEndpoint, EnableEndpoint, GetEndpoint, GetEndpointSecret};

use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    ApiContext,
    answer::Answer,
    extract::{Authenticated, Json, Repeatable},
    problem::Problem,
    wire::{
        endpoints::{Endpoint, EndpointWithSecret, NewEndpoint, Secret},
        path::{ApplicationPath, EndpointPath},
    },
};

/// All of them, in the order in which their patterns are tried.
pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(create_endpoint)
        .service(get_endpoint)
        .service(enable_endpoint)
        .service(disable_endpoint)
        .service(get_endpoint_secret);
}

/// Create an endpoint
///
/// The answer holds the signing secret, so that the receiver can be set up with one call.
#[utoipa::path(
    operation_id = "createEndpoint",
    tag = "Endpoints",
    params(ApplicationPath),
    request_body = NewEndpoint,
    extensions(("x-permission" = json!("endpoints:write")), ("x-shown-once" = json!("secret"))),
    responses(
        (status = 201, description = "Created.", body = EndpointWithSecret,
         headers(("Location" = String, description = "The endpoint's path."))),
        (status = 409, description = "`uid_taken`: another endpoint of the application has this uid; `endpoint_limit_reached`: it has too many."),
    )
)]
#[post("/applications/{application}/endpoints")]
async fn create_endpoint(
    context: Data<ApiContext>,
    caller: Repeatable,
    path: Path<ApplicationPath>,
    body: Json<NewEndpoint>,
) -> Result<HttpResponse, Problem> {
    let command = body.0.into_command(&path)?;
    context
        .once(&caller, command, move |created| {
            let location = path.location("endpoints", created.endpoint.id);
            Answer::created(&EndpointWithSecret::from(created))
                .at(location)
                .showing_once("secret")
        })
        .await
}

/// Read an endpoint
///
/// Without its secret.
#[utoipa::path(
    operation_id = "getEndpoint",
    tag = "Endpoints",
    params(EndpointPath),
    extensions(("x-permission" = json!("endpoints:read"))),
    responses((status = 200, description = "The endpoint.", body = Endpoint))
)]
#[get("/applications/{application}/endpoints/{endpoint}")]
async fn get_endpoint(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<EndpointPath>,
) -> Result<HttpResponse, Problem> {
    let (application, endpoint) = path.read()?;
    let query = GetEndpoint {
        application,
        endpoint,
    };
    let endpoint = context.mediator.send(&caller.0, query).await?;
    Ok(HttpResponse::Ok().json(Endpoint::from(endpoint)))
}

/// Enable an endpoint
///
/// It is sent messages that are published from now on. An enabled one stays as it is.
#[utoipa::path(
    operation_id = "enableEndpoint",
    tag = "Endpoints",
    params(EndpointPath),
    extensions(("x-permission" = json!("endpoints:write"))),
    responses(
        (status = 200, description = "Enabled.", body = Endpoint),
        (status = 409, description = "`stale_version`: somebody else changed it in between."),
    )
)]
#[post("/applications/{application}/endpoints/{endpoint}/enable")]
async fn enable_endpoint(
    context: Data<ApiContext>,
    caller: Repeatable,
    path: Path<EndpointPath>,
) -> Result<HttpResponse, Problem> {
    let (application, endpoint) = path.read()?;
    let command = EnableEndpoint {
        application,
        endpoint,
    };
    context
        .once(&caller, command, |endpoint| Answer::ok(&Endpoint::from(endpoint)))
        .await
}

/// Disable an endpoint
///
/// It is sent nothing from now on; what waits for it is cancelled when its turn comes. A disabled one stays as it
/// is.
#[utoipa::path(
    operation_id = "disableEndpoint",
    tag = "Endpoints",
    params(EndpointPath),
    extensions(("x-permission" = json!("endpoints:write"))),
    responses(
        (status = 200, description = "Disabled.", body = Endpoint),
        (status = 409, description = "`stale_version`: somebody else changed it in between."),
    )
)]
#[post("/applications/{application}/endpoints/{endpoint}/disable")]
async fn disable_endpoint(
    context: Data<ApiContext>,
    caller: Repeatable,
    path: Path<EndpointPath>,
) -> Result<HttpResponse, Problem> {
    let (application, endpoint) = path.read()?;
    let command = DisableEndpoint {
        application,
        endpoint,
    };
    context
        .once(&caller, command, |endpoint| Answer::ok(&Endpoint::from(endpoint)))
        .await
}

/// Read an endpoint's signing secret
#[utoipa::path(
    operation_id = "getEndpointSecret",
    tag = "Endpoints",
    params(EndpointPath),
    extensions(("x-permission" = json!("secrets:read"))),
    responses((status = 200, description = "The secret.", body = Secret))
)]
#[get("/applications/{application}/endpoints/{endpoint}/secret")]
async fn get_endpoint_secret(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<EndpointPath>,
) -> Result<HttpResponse, Problem> {
    let (application, endpoint) = path.read()?;
    let query = GetEndpointSecret {
        application,
        endpoint,
    };
    let secret = context.mediator.send(&caller.0, query).await?;
    Ok(HttpResponse::Ok()
        .insert_header(("Cache-Control", "no-store"))
        .json(Secret::from(secret)))
}
