use actix_web::{
    HttpResponse, get, post,
    web::{Data, Path},
};
use postrider_application::deliveries::{ListAttempts, ListDeliveries, ResendDelivery};

use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    ApiContext,
    answer::Answer,
    extract::{Authenticated, DeliveryQuery, Listing, PageQuery, Repeatable},
    problem::Problem,
    wire::{
        Checks,
        deliveries::{self, Attempt, Delivery, FoundDelivery, Resent},
        page::{self, List},
        path::{DeliveryPath, MessagePath},
    },
};

/// All of them, in the order in which their patterns are tried.
pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(search_deliveries)
        .service(list_deliveries)
        .service(list_attempts)
        .service(resend_delivery);
}

/// Look for deliveries
///
/// In all applications that you may see, the newest message first: by application and endpoint, by message, by status,
/// by the time at which the message was accepted. Deliveries that wait for their first attempt are found by `message` only;
/// without it, what is `pending` is what was attempted, or sent again, and waits for another attempt.
///
/// A page may have fewer items than `limit`, or none, while `next` is there: of all deliveries of an application a bounded
/// number is looked at for each page. Go on until `next` is null.
#[utoipa::path(
    operation_id = "searchDeliveries",
    tag = "Deliveries",
    params(DeliveryQuery, PageQuery),
    extensions(("x-permission" = json!("deliveries:read"))),
    responses(
        (status = 200, description = "A page of deliveries.", body = List<FoundDelivery>),
        (status = 404, description = "There is no such application, endpoint or message for this caller: `not_found`."),
    )
)]
#[get("/deliveries")]
async fn search_deliveries(
    context: Data<ApiContext>,
    caller: Authenticated,
    query: DeliveryQuery,
    listing: Listing,
) -> Result<HttpResponse, Problem> {
    let query = deliveries::search(&query)?;
    let found = context.mediator.send(&caller.0, query).await?;
    Ok(listing.answer(found, FoundDelivery::from))
}

/// List a message's deliveries
///
/// One for each endpoint that wanted it, by endpoint id. Just after the publish the list may still be empty: the
/// fan-out is on its way.
#[utoipa::path(
    operation_id = "listDeliveries",
    tag = "Deliveries",
    params(MessagePath, PageQuery),
    extensions(("x-permission" = json!("deliveries:read"))),
    responses((status = 200, description = "A page of deliveries.", body = List<Delivery>))
)]
#[get("/applications/{application}/messages/{message}/deliveries")]
async fn list_deliveries(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<MessagePath>,
    page: PageQuery,
    listing: Listing,
) -> Result<HttpResponse, Problem> {
    let mut checks = Checks::default();
    let (application, message) = path.read(&mut checks);
    let page = page::request(&page, &mut checks);
    let (application, message, page) = checks.all((application, message, page))?;
    let query = ListDeliveries {
        application,
        message,
        page,
    };
    let deliveries = context.mediator.send(&caller.0, query).await?;
    Ok(listing.answer(deliveries, Delivery::from))
}

/// List a delivery's attempts
///
/// By number, the first one first.
#[utoipa::path(
    operation_id = "listAttempts",
    tag = "Deliveries",
    params(DeliveryPath, PageQuery),
    extensions(("x-permission" = json!("deliveries:read"))),
    responses((status = 200, description = "A page of attempts.", body = List<Attempt>))
)]
#[get("/applications/{application}/messages/{message}/deliveries/{endpoint}/attempts")]
async fn list_attempts(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<DeliveryPath>,
    page: PageQuery,
    listing: Listing,
) -> Result<HttpResponse, Problem> {
    let mut checks = Checks::default();
    let (application, message, endpoint) = path.read(&mut checks);
    let page = page::request(&page, &mut checks);
    let (application, message, endpoint, page) = checks.all((application, message, endpoint, page))?;
    let query = ListAttempts {
        application,
        message,
        endpoint,
        page,
    };
    let attempts = context.mediator.send(&caller.0, query).await?;
    Ok(listing.answer(attempts, Attempt::from))
}

/// Deliver a message to an endpoint again
///
/// At once, with the whole retry schedule before it again.
#[utoipa::path(
    operation_id = "resendDelivery",
    tag = "Deliveries",
    params(DeliveryPath),
    extensions(("x-permission" = json!("deliveries:replay"))),
    responses(
        (status = 202, description = "It is on its way.", body = Resent),
        (status = 409, description = "`delivery_pending`: an attempt is to come anyway; `endpoint_disabled`: the endpoint is sent nothing."),
    )
)]
#[post("/applications/{application}/messages/{message}/deliveries/{endpoint}/resend")]
async fn resend_delivery(
    context: Data<ApiContext>,
    caller: Repeatable,
    path: Path<DeliveryPath>,
) -> Result<HttpResponse, Problem> {
    let mut checks = Checks::default();
    let ids = path.read(&mut checks);
    let (application, message, endpoint) = checks.all(ids)?;
    let command = ResendDelivery {
        application,
        message,
        endpoint,
    };
    context
        .once(&caller, command, move |endpoint| {
            Answer::accepted(&Resent::new(message, endpoint))
        })
        .await
}
