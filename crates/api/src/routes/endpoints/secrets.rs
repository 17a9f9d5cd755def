//! What an endpoint signs with.

use actix_web::{
    HttpResponse, get, post,
    web::{Data, Path},
};
use postrider_application::endpoints::GetEndpointSecret;

use crate::{
    ApiContext,
    answer::Answer,
    extract::{Authenticated, Json, Repeatable},
    problem::Problem,
    wire::{
        path::EndpointPath,
        secrets::{RotatedSecret, Secret, SecretRotation},
    },
};

/// Read what an endpoint signs with
///
/// The secret, or the public key of an Ed25519 pair, and those of before that still sign.
#[utoipa::path(
    operation_id = "getEndpointSecret",
    tag = "Endpoints",
    params(EndpointPath),
    extensions(("x-permission" = json!("secrets:read"))),
    responses((status = 200, description = "The secret.", body = Secret))
)]
#[get("/applications/{application}/endpoints/{endpoint}/secret")]
pub(super) async fn get_endpoint_secret(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<EndpointPath>,
) -> Result<HttpResponse, Problem> {
    let (application, endpoint) = path.read()?;
    let query = GetEndpointSecret {
        application,
        endpoint,
    };
    let held = context.mediator.send(&caller.0, query).await?;
    Ok(HttpResponse::Ok()
        .insert_header(("Cache-Control", "no-store"))
        .json(Secret::of(&held)?))
}

/// Rotate an endpoint's secret
///
/// The new secret signs first from now on, and those of before as well until the overlap is over: `webhook-signature`
/// holds all of them, separated by spaces, so that the receiver may change over at its leisure. At most three of before
/// sign at a time. Without an overlap all of before end at once: when this is answered, no attempt begins any more that
/// they sign.
#[utoipa::path(
    operation_id = "rotateEndpointSecret",
    tag = "Endpoints",
    params(EndpointPath),
    request_body = SecretRotation,
    extensions(("x-permission" = json!("secrets:write")), ("x-shown-once" = json!("secret"))),
    responses(
        (status = 200, description = "Rotated: what signs now.", body = RotatedSecret),
        (status = 409, description = "`secret_limit_reached`: three of before still sign; `stale_version`: somebody else changed it in between."),
    )
)]
#[post("/applications/{application}/endpoints/{endpoint}/secret/rotate")]
pub(super) async fn rotate_endpoint_secret(
    context: Data<ApiContext>,
    caller: Repeatable,
    path: Path<EndpointPath>,
    body: Json<SecretRotation>,
) -> Result<HttpResponse, Problem> {
    let command = body.0.into_command(&path)?;
    context
        .once(&caller, command, |held| {
            // An endpoint has a secret at all times; an answer without one would be an empty object.
            Answer::ok(&RotatedSecret::of(&held)).showing_once("secret")
        })
        .await
}
