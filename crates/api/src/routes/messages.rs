use actix_web::{
    HttpRequest, HttpResponse, delete, get,
    http::header,
    post,
    web::{Bytes, Data, Path},
};
use postrider_application::messages::{CancelMessage, ExpungePayload, GetMessage, GetPayload};
use postrider_domain::InvalidValue;

use utoipa_actix_web::service_config::ServiceConfig;

use super::fallback::nothing_else;
use crate::{
    ApiContext,
    answer::{Answer, REPLAYED},
    extract::{Authenticated, BodyHash, Json, Listing, MessageQuery, PageQuery, Repeatable},
    problem::Problem,
    wire::{
        Checks,
        messages::{
            self, IDEMPOTENCY_KEY, Message, NewBatch, NewMessage, Published, PublishedBatch, malformed_key,
        },
        page::List,
        path::{ApplicationPath, MessagePath},
    },
};

/// All of them, in the order in which their patterns are tried.
pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(publish_message)
        .service(list_messages)
        .service(publish_batch)
        .map(|config| config.service(nothing_else("/applications/{application}/messages/batch")))
        .service(get_message)
        .service(cancel_message)
        .service(get_payload)
        .service(expunge_payload);
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
    let event_type = command.message.event_type.clone();
    let published = context.mediator.send(&caller.0, command).await?;
    let mut response = HttpResponse::Accepted();
    response.insert_header(("Location", path.location("messages", published.id)));
    if published.replayed {
        response.insert_header((REPLAYED, "true"));
    }
    Ok(response.json(Published::new(&published, &event_type)))
}

/// Publish messages together
///
/// With `atomic`, all of them are accepted, in one transaction, or none: one that cannot be refuses the batch, and its
/// fields are named as `messages[3].event_type`. Without, each is accepted or refused on its own, and the answer says
/// for each what became of it.
///
/// With an `Idempotency-Key` the same batch may be repeated, byte for byte: the answer names the same messages, with
/// `Idempotent-Replayed: true` if none of them is new, and nothing is delivered twice. Another batch under the same key
/// is a conflict as a whole, with `atomic` and without, if a message stands where one was accepted before; so use a new key
/// for a batch that you have mended. Those of its messages that can be accepted are stored in one transaction. They have
/// no `event_id` of their own.
#[utoipa::path(
    operation_id = "publishBatch",
    tag = "Messages",
    params(
        ApplicationPath,
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request recognisable: 1 to 256 \
            characters.", max_length = 256),
    ),
    request_body = NewBatch,
    extensions(("x-permission" = json!("messages:publish"))),
    responses(
        (status = 202, description = "Accepted, and durable: all of them, or those without an `error`.",
         body = PublishedBatch, headers(
            ("Idempotent-Replayed" = Option<bool>, description = "`true` if all that is accepted was accepted before."),
        )),
        (status = 409, description = "`idempotency_conflict`: the key was used with a different body, or, with `atomic`, an \
         `event_id` was. Nothing is stored."),
    )
)]
#[post("/applications/{application}/messages/batch")]
async fn publish_batch(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<ApplicationPath>,
    request: HttpRequest,
    body: Json<NewBatch>,
) -> Result<HttpResponse, Problem> {
    let key = idempotency_key(&request);
    let batch = BodyHash::left(&request);
    let command = body.0.into_command(&path, key, batch, &context.limits)?;
    let published = PublishedBatch::from(context.mediator.send(&caller.0, command).await?);
    let mut response = HttpResponse::Accepted();
    if published.is_replayed() {
        response.insert_header((REPLAYED, "true"));
    }
    Ok(response.json(published))
}

/// List messages
///
/// The newest first, without their payloads. Of a filter that lets little through, a page may hold fewer items than
/// there are, even none: as long as there is a `next`, there may be more.
#[utoipa::path(
    operation_id = "listMessages",
    tag = "Messages",
    params(ApplicationPath, MessageQuery, PageQuery),
    extensions(("x-permission" = json!("messages:read"))),
    responses((status = 200, description = "A page of messages.", body = List<Message>))
)]
#[get("/applications/{application}/messages")]
async fn list_messages(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<ApplicationPath>,
    query: MessageQuery,
    listing: Listing,
) -> Result<HttpResponse, Problem> {
    let query = messages::query(&path, query)?;
    let page = context.mediator.send(&caller.0, query).await?;
    Ok(listing.answer(page, Message::from))
}

/// Cancel a scheduled message
///
/// Before its `deliver_at`, by the database's clock: then nothing of it is ever delivered. Again is as good as once. Its
/// `event_id` stays taken.
#[utoipa::path(
    operation_id = "cancelMessage",
    tag = "Messages",
    params(MessagePath),
    extensions(("x-permission" = json!("messages:publish"))),
    responses(
        (status = 204, description = "Cancelled: nothing of it is ever delivered."),
        (status = 409, description = "`message_not_cancellable`: its time has come, or it was never scheduled."),
    )
)]
#[post("/applications/{application}/messages/{message}/cancel")]
async fn cancel_message(
    context: Data<ApiContext>,
    caller: Repeatable,
    path: Path<MessagePath>,
) -> Result<HttpResponse, Problem> {
    let mut checks = Checks::default();
    let ids = path.read(&mut checks);
    let (application, message) = checks.all(ids)?;
    let command = CancelMessage { application, message };
    context.once(&caller, command, |()| Answer::done()).await
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
    responses(
        (status = 200, description = "The bytes, of the media type that the message says.", content_type = "*/*",
         body = String),
        (status = 410, description = "`payload_expunged`: the message is there, its payload is not any more."),
    )
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

/// Expunge a message's payload
///
/// For good; the message and what became of it stay. Deliveries that are pending are cancelled when their turn comes.
/// An attempt whose payload a node has in memory already may still be made. Again is as good as once.
#[utoipa::path(
    operation_id = "expungePayload",
    tag = "Messages",
    params(MessagePath),
    extensions(("x-permission" = json!("payloads:delete"))),
    responses((status = 204, description = "It is gone."))
)]
#[delete("/applications/{application}/messages/{message}/payload")]
async fn expunge_payload(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<MessagePath>,
) -> Result<HttpResponse, Problem> {
    let mut checks = Checks::default();
    let ids = path.read(&mut checks);
    let (application, message) = checks.all(ids)?;
    let command = ExpungePayload { application, message };
    context.mediator.send(&caller.0, command).await?;
    Ok(HttpResponse::NoContent().finish())
}
