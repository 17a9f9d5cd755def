use actix_web::{
    HttpResponse, get,
    http::header,
    patch, post,
    web::{Data, Path},
};
use postrider_application::{
    Versioned,
    event_types::{ArchiveEventType, GetEventType, GetEventTypeSchema},
};
use postrider_domain::event_types::EventTypeState;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    ApiContext,
    answer::Answer,
    extract::{Authenticated, EventTypeQuery, Json, Listing, PageQuery, Presumed, Repeatable, etag},
    problem::Problem,
    wire::{
        Checks,
        event_types::{
            self, EventType, EventTypePatch, EventTypeSchema, EventTypeWithSchemas, NewEventType,
            NewSchemaVersion,
        },
        page::List,
        path::{EventTypePath, SchemaPath},
    },
};

/// All of them, in the order in which their patterns are tried.
pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(list_event_types)
        .service(register_event_type)
        .service(get_event_type)
        .service(update_event_type)
        .service(archive_event_type)
        .service(add_schema)
        .service(get_schema);
}

/// List event types
///
/// By name; without their schemas.
#[utoipa::path(
    operation_id = "listEventTypes",
    tag = "Event types",
    params(EventTypeQuery, PageQuery),
    extensions(("x-permission" = json!("event-types:read"))),
    responses((status = 200, description = "A page of event types.", body = List<EventType>))
)]
#[get("/event-types")]
async fn list_event_types(
    context: Data<ApiContext>,
    caller: Authenticated,
    query: EventTypeQuery,
    listing: Listing,
) -> Result<HttpResponse, Problem> {
    let query = event_types::query(&query)?;
    let event_types = context.mediator.send(&caller.0, query).await?;
    Ok(listing.answer(event_types, EventType::from))
}

/// Register an event type
///
/// With version 1 of its schema, if you give one. A schema is looked at before anything is stored, and so is its
/// example; what is wrong with them is said by field, as `schema.properties.price`.
#[utoipa::path(
    operation_id = "registerEventType",
    tag = "Event types",
    request_body = NewEventType,
    extensions(("x-permission" = json!("event-types:write"))),
    responses(
        (status = 201, description = "Registered.", body = EventTypeWithSchemas,
         headers(
            ("Location" = String, description = "The event type's path."),
            ("ETag" = String, description = "Its version."),
         )),
        (status = 409, description = "`event_type_exists`: an event type of this name is registered; `event_type_limit_reached`: the tenant has too many."),
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
        .once(&caller, command, |view| {
            let location = format!("/v1/event-types/{}", view.event_type.value.name);
            let version = view.event_type.version;
            Answer::created(&EventTypeWithSchemas::from(view))
                .at(location)
                .tagged(version)
        })
        .await
}

/// Read an event type
///
/// With its latest schema, and the numbers of the others that are kept.
#[utoipa::path(
    operation_id = "getEventType",
    tag = "Event types",
    params(EventTypePath),
    extensions(("x-permission" = json!("event-types:read"))),
    responses((status = 200, description = "The event type.", body = EventTypeWithSchemas,
        headers(("ETag" = String, description = "Its version."))))
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
    let view = context.mediator.send(&caller.0, GetEventType { name }).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::ETAG, etag(view.event_type.version)))
        .json(EventTypeWithSchemas::from(view)))
}

/// Change an event type
///
/// What is not named stays as it is. Its name never changes; its schema changes by a new version.
#[utoipa::path(
    operation_id = "updateEventType",
    tag = "Event types",
    params(
        EventTypePath,
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the version that is meant."),
    ),
    request_body = EventTypePatch,
    extensions(("x-permission" = json!("event-types:write"))),
    responses(
        (status = 200, description = "The event type as it is now.", body = EventType,
         headers(("ETag" = String, description = "Its version."))),
        (status = 409, description = "`stale_version`: it was changed in between."),
        (status = 412, description = "`precondition_failed`: it is not at the version that `If-Match` names."),
    )
)]
#[patch("/event-types/{name}")]
async fn update_event_type(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<EventTypePath>,
    presumed: Presumed,
    body: Json<EventTypePatch>,
) -> Result<HttpResponse, Problem> {
    let command = body.0.into_command(&path, presumed.0)?;
    let event_type = context.mediator.send(&caller.0, command).await?;
    Ok(shown(event_type))
}

fn shown(event_type: Versioned<EventTypeState>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::ETAG, etag(event_type.version)))
        .json(EventType::from(event_type.value))
}

/// Archive an event type
///
/// Where the tenant rejects unregistered event types, it cannot be published any more. Again is as good as once. There
/// is no way back: what goes on under the same name is the same event type.
#[utoipa::path(
    operation_id = "archiveEventType",
    tag = "Event types",
    params(EventTypePath),
    extensions(("x-permission" = json!("event-types:write"))),
    responses(
        (status = 200, description = "The event type as it is now.", body = EventType,
         headers(("ETag" = String, description = "Its version."))),
        (status = 409, description = "`stale_version`: it was changed in between; ask again."),
    )
)]
#[post("/event-types/{name}/archive")]
async fn archive_event_type(
    context: Data<ApiContext>,
    caller: Repeatable,
    path: Path<EventTypePath>,
) -> Result<HttpResponse, Problem> {
    let mut checks = Checks::default();
    let name = path.name(&mut checks);
    let (name,) = checks.all((name,))?;
    context
        .once(&caller, ArchiveEventType { name }, |archived| {
            Answer::ok(&EventType::from(archived.value)).tagged(archived.version)
        })
        .await
}

/// Add a version of an event type's schema
///
/// Payloads are held to the latest version, where the tenant's `schema_validation` asks for that; within moments on
/// every node. The newest 50 versions are kept.
///
/// A schema is a JSON Schema (2020-12) of at most 64 KiB, 32 deep, with at most 5,000 values and 100 patterns, every
/// reference written out. References are JSON pointers into the schema itself, and never lead back to themselves.
/// Patterns have no look-around and no back-references. `format` describes, and is not checked.
#[utoipa::path(
    operation_id = "addEventTypeSchema",
    tag = "Event types",
    params(EventTypePath),
    request_body = NewSchemaVersion,
    extensions(("x-permission" = json!("event-types:write"))),
    responses(
        (status = 201, description = "Added.", body = EventTypeSchema,
         headers(("Location" = String, description = "The schema's path."))),
        (status = 409, description = "`stale_version`: the event type was changed in between; ask again."),
    )
)]
#[post("/event-types/{name}/schemas")]
async fn add_schema(
    context: Data<ApiContext>,
    caller: Repeatable,
    path: Path<EventTypePath>,
    body: Json<NewSchemaVersion>,
) -> Result<HttpResponse, Problem> {
    let command = body.0.into_command(&path)?;
    let name = command.name.clone();
    context
        .once(&caller, command, move |added| {
            let location = format!("/v1/event-types/{name}/schemas/{}", added.number);
            Answer::created(&EventTypeSchema::from(added)).at(location)
        })
        .await
}

/// Read a version of an event type's schema
#[utoipa::path(
    operation_id = "getEventTypeSchema",
    tag = "Event types",
    params(SchemaPath),
    extensions(("x-permission" = json!("event-types:read"))),
    responses((status = 200, description = "The schema.", body = EventTypeSchema))
)]
#[get("/event-types/{name}/schemas/{version}")]
async fn get_schema(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<SchemaPath>,
) -> Result<HttpResponse, Problem> {
    let (name, number) = path.read()?;
    let query = GetEventTypeSchema { name, number };
    let schema = context.mediator.send(&caller.0, query).await?;
    Ok(HttpResponse::Ok().json(EventTypeSchema::from(schema)))
}
