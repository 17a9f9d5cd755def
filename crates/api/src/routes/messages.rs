use actix_web::{
    HttpRequest, HttpResponse, get,
    http::header,
    post,
    web::{Bytes, Data, Path},
};
use postrider_application::messages::{GetMessage, GetPayload};
use postrider_domain::InvalidValue;

use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    ApiContext,
    extract::{Authenticated, Json},
    problem::Problem,
    wire::{
        Checks,
        messages::{IDEMPOTENCY_KEY, Message, NewMessage, Published, malformed_key},
        path::{ApplicationPath, MessagePath},
    },
};

/// All of them, in the order in which their patterns are tried.
pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(publish_message)
        .service(get_message)
        .service(get_payload);
}

/// Publish a message
///
/// When it is answered, the message is durable and will be delivered to every endpoint of the application that
/// wants it. With an `event_id` or an `Idempotency-Key` the same request may be repeated: the answer is the same,
/// with `Idempotent-Replayed: true`, and nothing is delivered twice.
#[utoipa::path(
    operation_id = "publishMessage",
    tag = "Messages",
    params(
        ApplicationPath,
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request recognisable: 1 to 256 \
            characters. Not together with `event_id`.", max_length = 256),
    ),
    request_body = NewMessage,
    extensions(("x-permission" = json!("messages:publish"))),
    responses(
        (status = 202, description = "Accepted, and durable.", body = Published, headers(
            ("Location" = String, description = "The message's path."),
            ("Idempotent-Replayed" = Option<bool>, description = "`true` if an earlier publish is answered."),
        )),
        (status = 409, description = "`idempotency_conflict`: the key was used with a different body."),
    )
)]
#[post("/applications/{application}/messages")]
async fn publish_message(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<ApplicationPath>,
    request: HttpRequest,
    body: Json<NewMessage>,
) -> Result<HttpResponse, Problem> {
    let key = idempotency_key(&request);
    let command = body.0.into_command(&path, key, &context.limits)?;
    let event_type = command.event_type.clone();
    let published = context.mediator.send(&caller.0, command).await?;
    let mut response = HttpResponse::Accepted();
    response.insert_header(("Location", path.location("messages", published.id)));
    if published.replayed {
        response.insert_header(("Idempotent-Replayed", "true"));
    }
    Ok(response.json(Published::new(published.id, &event_type)))
}

fn idempotency_key(request: &HttpRequest) -> Option<Result<&str, InvalidValue>> {
    let mut values = request.headers().get_all(IDEMPOTENCY_KEY);
    let first = values.next()?;
    Some(match (first.to_str(), values.next()) {
        (Ok(text), None) => Ok(text),
        _ => Err(malformed_key()),
    })
}

/// Read a message
///
/// Without its payload.
#[utoipa::path(
    operation_id = "getMessage",
    tag = "Messages",
    params(MessagePath),
    extensions(("x-permission" = json!("messages:read"))),
    responses((status = 200, description = "The message.", body = Message))
)]
#[get("/applications/{application}/messages/{message}")]
async fn get_message(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<MessagePath>,
) -> Result<HttpResponse, Problem> {
    let mut checks = Checks::default();
    let ids = path.read(&mut checks);
    let (application, message) = checks.all(ids)?;
    let query = GetMessage { application, message };
    let message = context.mediator.send(&caller.0, query).await?;
    Ok(HttpResponse::Ok().json(Message::from(message)))
}

/// Read a message's payload
///
/// The exact bytes that are delivered, with their media type.
#[utoipa::path(
    operation_id = "getPayload",
    tag = "Messages",
    params(MessagePath),
    extensions(("x-permission" = json!("payloads:read"))),
    responses((status = 200, description = "The bytes.", content_type = "application/json", body = serde_json::Value))
)]
#[get("/applications/{application}/messages/{message}/payload")]
async fn get_payload(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<MessagePath>,
) -> Result<HttpResponse, Problem> {
    let mut checks = Checks::default();
    let ids = path.read(&mut checks);
    let (application, message) = checks.all(ids)?;
    let query = GetPayload { application, message };
    let payload = context.mediator.send(&caller.0, query).await?;
    // Whatever a tenant's customer put into it, a browser shall neither guess its type nor show it as ours.
    Ok(HttpResponse::Ok()
        .content_type(payload.content_type().as_str())
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_DISPOSITION, "attachment"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(Bytes::copy_from_slice(payload.bytes())))
}
