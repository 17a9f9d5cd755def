use actix_web::{
    HttpResponse, get, post,
    web::{Data, Path},
};
use postrider_application::event_types::GetEventType;

use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    ApiContext,
    answer::Answer,
    extract::{Authenticated, Json, Repeatable},
    problem::Problem,
    wire::{
        Checks,
        event_types::{EventType, NewEventType},
        path::EventTypePath,
    },
};

/// All of them, in the order in which their patterns are tried.
pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(register_event_type).service(get_event_type);
}

/// Register an event type
#[utoipa::path(
    operation_id = "registerEventType",
    tag = "Event types",
    request_body = NewEventType,
    extensions(("x-permission" = json!("event-types:write"))),
    responses(
        (status = 201, description = "Registered.", body = EventType,
         headers(("Location" = String, description = "The event type's path."))),
        (status = 409, description = "`event_type_exists`: an event type of this name is registered."),
    )
)]
#[post("/event-types")]
async fn register_event_type(
    context: Data<ApiContext>,
    caller: Repeatable,
    body: Json<NewEventType>,
) -> Result<HttpResponse, Problem> {
    let command = body.0.into_command()?;
    context
        .once(&caller, command, |event_type| {
            let location = format!("/v1/event-types/{}", event_type.name);
            Answer::created(&EventType::from(event_type)).at(location)
        })
        .await
}

/// Read an event type
#[utoipa::path(
    operation_id = "getEventType",
    tag = "Event types",
    params(EventTypePath),
    extensions(("x-permission" = json!("event-types:read"))),
    responses((status = 200, description = "The event type.", body = EventType))
)]
#[get("/event-types/{name}")]
async fn get_event_type(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<EventTypePath>,
) -> Result<HttpResponse, Problem> {
    let mut checks = Checks::default();
    let name = path.name(&mut checks);
    let (name,) = checks.all((name,))?;
    let event_type = context.mediator.send(&caller.0, GetEventType { name }).await?;
    Ok(HttpResponse::Ok().json(EventType::from(event_type)))
}
