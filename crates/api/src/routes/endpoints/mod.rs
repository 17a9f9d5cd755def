mod secrets;

use actix_web::{
    HttpResponse, delete, get, patch, post, put,
    web::{Data, Path},
};
use postrider_application::{
    Upserted,
    endpoints::{
        CreatedEndpoint, DeleteEndpoint, DisableEndpoint, EnableEndpoint, GetEndpoint, ListEndpoints,
    },
    ports::{EndpointFilter, EndpointView},
};
use postrider_domain::{InvalidValue, Rule, event_types::EventTypeName};

use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    ApiContext,
    answer::Answer,
    extract::{Authenticated, EndpointsQuery, Json, Listing, PageQuery, Presumed, Repeatable, etag},
    problem::Problem,
    wire::{
        Checks,
        endpoint_changes::{EndpointContent, EndpointPatch},
        endpoints::{Endpoint, EndpointWithSecret, NewEndpoint},
        page::{self, List},
        path::{ApplicationPath, EndpointPath},
        send_test::{NewTest, SentTest},
    },
};

/// All of them, in the order in which their patterns are tried.
pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(list_endpoints)
        .service(create_endpoint)
        .service(get_endpoint)
        .service(put_endpoint)
        .service(patch_endpoint)
        .service(delete_endpoint)
        .service(test_endpoint)
        .service(enable_endpoint)
        .service(disable_endpoint)
        .service(secrets::get_endpoint_secret)
        .service(secrets::rotate_endpoint_secret);
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
         headers(
             ("Location" = String, description = "The endpoint's path."),
             ("ETag" = String, description = "Its version, for `If-Match`."),
         )),
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
            let version = created.endpoint.version;
            Answer::created(&EndpointWithSecret::from(created))
                .at(location)
                .tagged(version)
                .showing_once("secret")
        })
        .await
}

fn created(endpoint: CreatedEndpoint, location: String) -> HttpResponse {
    HttpResponse::Created()
        .insert_header(("Location", location))
        .insert_header(("ETag", etag(endpoint.endpoint.version)))
        .insert_header(("Cache-Control", "no-store"))
        .json(EndpointWithSecret::from(endpoint))
}

fn shown(endpoint: EndpointView) -> Answer {
    let version = endpoint.version;
    Answer::ok(&Endpoint::from(endpoint)).tagged(version)
}

fn found(endpoint: EndpointView) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(("ETag", etag(endpoint.version)))
        .json(Endpoint::from(endpoint))
}

/// List endpoints
///
/// Of an application, by id; only those that are enabled or disabled, or that want an event type, if you say so.
#[utoipa::path(
    operation_id = "listEndpoints",
    tag = "Endpoints",
    params(ApplicationPath, EndpointsQuery, PageQuery),
    extensions(("x-permission" = json!("endpoints:read"))),
    responses((status = 200, description = "A page of endpoints.", body = List<Endpoint>))
)]
#[get("/applications/{application}/endpoints")]
async fn list_endpoints(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<ApplicationPath>,
    query: EndpointsQuery,
    listing: Listing,
) -> Result<HttpResponse, Problem> {
    let mut checks = Checks::default();
    let application = path.application(&mut checks);
    let enabled = checks.optional("status", query.status.as_deref(), |status| match status {
        "enabled" => Ok(true),
        "disabled" => Ok(false),
        _ => Err(InvalidValue::new(Rule::Unknown, "must be enabled or disabled")),
    });
    let event_type = checks.optional("event_type", query.event_type.as_deref(), EventTypeName::parse);
    let page = page::request(&query.page, &mut checks);
    let (application, enabled, event_type, page) = checks.all((application, enabled, event_type, page))?;
    let request = ListEndpoints {
        application,
        filter: EndpointFilter { enabled, event_type },
        page,
    };
    let endpoints = context.mediator.send(&caller.0, request).await?;
    Ok(listing.answer(endpoints, Endpoint::from))
}

/// Create or replace an endpoint
///
/// By your own uid: created if there is none of it, otherwise all that may be said of it is replaced whole. By id it is
/// replaced only. Whether it is enabled stays, and so does its secret. The values of secret headers must be given anew if
/// the URL is of another origin (`required`). When this is answered, no attempt begins any more by what was said before.
#[utoipa::path(
    operation_id = "putEndpoint",
    tag = "Endpoints",
    params(
        EndpointPath,
        ("If-Match" = Option<String>, Header, description = "Only if it is at this version: the `ETag` of an answer, or `*`."),
    ),
    request_body = EndpointContent,
    extensions(("x-permission" = json!("endpoints:write"))),
    responses(
        (status = 200, description = "Replaced.", body = Endpoint,
         headers(("ETag" = String, description = "Its version, for `If-Match`."))),
        (status = 201, description = "Created.", body = EndpointWithSecret,
         headers(
             ("Location" = String, description = "The endpoint's path."),
             ("ETag" = String, description = "Its version, for `If-Match`."),
         )),
        (status = 409, description = "`endpoint_limit_reached`: the application has too many; `stale_version`: somebody else changed it in between."),
        (status = 412, description = "`precondition_failed`: it is not at the version of `If-Match`."),
    )
)]
#[put("/applications/{application}/endpoints/{endpoint}")]
async fn put_endpoint(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<EndpointPath>,
    presumed: Presumed,
    body: Json<EndpointContent>,
) -> Result<HttpResponse, Problem> {
    let command = body.0.into_command(&path, presumed.0)?;
    Ok(match context.mediator.send(&caller.0, command).await? {
        Upserted::Created(endpoint) => {
            let location = path.beside("endpoints", endpoint.endpoint.id);
            created(endpoint, location)
        }
        Upserted::Replaced(endpoint) => found(endpoint),
    })
}

/// Change an endpoint
///
/// A JSON Merge Patch (RFC 7396): what is absent stays, null clears. Secrets and status have operations of their own. The
/// values of secret headers must be given anew if the URL is of another origin (`required`). When this is answered, no
/// attempt begins any more by what was said before.
#[utoipa::path(
    operation_id = "patchEndpoint",
    tag = "Endpoints",
    params(
        EndpointPath,
        ("If-Match" = Option<String>, Header, description = "Only if it is at this version: the `ETag` of an answer, or `*`."),
    ),
    request_body = EndpointPatch,
    extensions(("x-permission" = json!("endpoints:write"))),
    responses(
        (status = 200, description = "Changed.", body = Endpoint,
         headers(("ETag" = String, description = "Its version, for `If-Match`."))),
        (status = 409, description = "`uid_taken`: another endpoint of the application has this uid; `stale_version`: somebody else changed it in between."),
        (status = 412, description = "`precondition_failed`: it is not at the version of `If-Match`."),
    )
)]
#[patch("/applications/{application}/endpoints/{endpoint}")]
async fn patch_endpoint(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<EndpointPath>,
    presumed: Presumed,
    body: Json<EndpointPatch>,
) -> Result<HttpResponse, Problem> {
    let command = body.0.into_command(&path, presumed.0)?;
    let endpoint = context.mediator.send(&caller.0, command).await?;
    Ok(found(endpoint))
}

/// Delete an endpoint
///
/// What waits for it is cancelled when its turn comes; an attempt that is under way is finished. When this is answered,
/// none begins any more. Its history stays.
#[utoipa::path(
    operation_id = "deleteEndpoint",
    tag = "Endpoints",
    params(
        EndpointPath,
        ("If-Match" = Option<String>, Header, description = "Only if it is at this version: the `ETag` of an answer, or `*`."),
    ),
    extensions(("x-permission" = json!("endpoints:write"))),
    responses(
        (status = 204, description = "Deleted."),
        (status = 409, description = "`stale_version`: somebody else changed it in between."),
        (status = 412, description = "`precondition_failed`: it is not at the version of `If-Match`."),
    )
)]
#[delete("/applications/{application}/endpoints/{endpoint}")]
async fn delete_endpoint(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<EndpointPath>,
    presumed: Presumed,
) -> Result<HttpResponse, Problem> {
    let (application, endpoint) = path.read()?;
    let command = DeleteEndpoint {
        application,
        endpoint,
        if_match: presumed.0,
    };
    context.mediator.send(&caller.0, command).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Send a test
///
/// Publishes a message to this endpoint only, whatever it wants to hear of: `postrider.test` with a small payload, or
/// what you say. It is delivered and retried like any other; its delivery says what became of it.
#[utoipa::path(
    operation_id = "testEndpoint",
    tag = "Endpoints",
    params(EndpointPath),
    request_body = NewTest,
    extensions(("x-permission" = json!("endpoints:write"))),
    responses(
        (status = 202, description = "Accepted, and durable.", body = SentTest,
         headers(("Location" = String, description = "The message's path."))),
        (status = 409, description = "`endpoint_disabled`: it is sent nothing."),
    )
)]
#[post("/applications/{application}/endpoints/{endpoint}/test")]
async fn test_endpoint(
    context: Data<ApiContext>,
    caller: Repeatable,
    path: Path<EndpointPath>,
    body: Json<NewTest>,
) -> Result<HttpResponse, Problem> {
    let command = body.0.into_command(&path, &context.limits)?;
    context
        .once(&caller, command, move |id| {
            Answer::accepted(&SentTest::from(id)).at(path.beside("messages", id))
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
    responses((status = 200, description = "The endpoint.", body = Endpoint,
        headers(("ETag" = String, description = "Its version, for `If-Match`."))))
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
    Ok(found(endpoint))
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
        (status = 200, description = "Enabled.", body = Endpoint,
         headers(("ETag" = String, description = "Its version, for `If-Match`."))),
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
    context.once(&caller, command, shown).await
}

/// Disable an endpoint
///
/// It is sent nothing from now on; what waits for it is cancelled when its turn comes. When this is answered, no attempt
/// begins any more; those under way are finished. A disabled one stays as it is.
#[utoipa::path(
    operation_id = "disableEndpoint",
    tag = "Endpoints",
    params(EndpointPath),
    extensions(("x-permission" = json!("endpoints:write"))),
    responses(
        (status = 200, description = "Disabled.", body = Endpoint,
         headers(("ETag" = String, description = "Its version, for `If-Match`."))),
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
    context.once(&caller, command, shown).await
}
