use actix_web::{
    HttpResponse, get, post,
    web::{Data, Path},
};
use postrider_application::replays::{CancelReplay, GetReplay, ListReplays};

use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    ApiContext,
    answer::Answer,
    extract::{Authenticated, Json, Listing, PageQuery, Repeatable},
    problem::Problem,
    wire::{
        Checks,
        page::{self, List},
        path::{EndpointPath, ReplayPath},
        replays::{NewReplay, Replay},
    },
};

/// All of them, in the order in which their patterns are tried.
pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(list_replays)
        .service(create_replay)
        .service(get_replay)
        .service(cancel_replay);
}

/// Replay messages to an endpoint
///
/// Begins a job that delivers the messages of a time to the endpoint: all that its filter wants now, those whose
/// delivery failed or was cancelled, or those that it never got, for example because it was created later. What is
/// on its way already is not queued twice, and messages that are published after the job began are left to their own
/// delivery. Follow it by `getReplay`.
///
/// The job queues a bounded number of messages at a time, so that it fills no queue. A message that is still being fanned
/// out is waited for, for an hour at most. If the endpoint is disabled meanwhile, the job fails.
#[utoipa::path(
    operation_id = "createReplay",
    tag = "Replays",
    params(EndpointPath),
    request_body = NewReplay,
    extensions(("x-permission" = json!("deliveries:replay"))),
    responses(
        (
            status = 202,
            description = "The job has begun.",
            body = Replay,
            headers(("Location" = String, description = "Its path."))
        ),
        (status = 409, description = "`endpoint_disabled`: the endpoint is sent nothing; `replay_limit_reached`: too many replays are under way."),
    )
)]
#[post("/applications/{application}/endpoints/{endpoint}/replays")]
async fn create_replay(
    context: Data<ApiContext>,
    caller: Repeatable,
    path: Path<EndpointPath>,
    body: Json<NewReplay>,
) -> Result<HttpResponse, Problem> {
    let command = body.0.into_command(&path)?;
    let path = path.into_inner();
    context
        .once(&caller, command, move |replay| {
            let location = path.location("replays", replay.id);
            Answer::accepted(&Replay::from(replay)).at(location)
        })
        .await
}

/// List an endpoint's replays
///
/// The newest first. Finished ones are kept for 30 days.
#[utoipa::path(
    operation_id = "listReplays",
    tag = "Replays",
    params(EndpointPath, PageQuery),
    extensions(("x-permission" = json!("deliveries:read"))),
    responses((status = 200, description = "A page of replays.", body = List<Replay>))
)]
#[get("/applications/{application}/endpoints/{endpoint}/replays")]
async fn list_replays(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<EndpointPath>,
    page: PageQuery,
    listing: Listing,
) -> Result<HttpResponse, Problem> {
    let mut checks = Checks::default();
    let (application, endpoint) = path.parts(&mut checks);
    let page = page::request(&page, &mut checks);
    let (application, endpoint, page) = checks.all((application, endpoint, page))?;
    let query = ListReplays {
        application,
        endpoint,
        page,
    };
    let replays = context.mediator.send(&caller.0, query).await?;
    Ok(listing.answer(replays, Replay::from))
}

/// Read a replay
///
/// Where it stands, and how far it came.
#[utoipa::path(
    operation_id = "getReplay",
    tag = "Replays",
    params(ReplayPath),
    extensions(("x-permission" = json!("deliveries:read"))),
    responses((status = 200, description = "The replay.", body = Replay))
)]
#[get("/applications/{application}/endpoints/{endpoint}/replays/{replay}")]
async fn get_replay(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<ReplayPath>,
) -> Result<HttpResponse, Problem> {
    let (application, endpoint, replay) = path.read()?;
    let query = GetReplay {
        application,
        endpoint,
        replay,
    };
    let replay = context.mediator.send(&caller.0, query).await?;
    Ok(HttpResponse::Ok().json(Replay::from(replay)))
}

/// Cancel a replay
///
/// It queues nothing more; what it had queued goes on. A finished one stays as it is.
#[utoipa::path(
    operation_id = "cancelReplay",
    tag = "Replays",
    params(ReplayPath),
    extensions(("x-permission" = json!("deliveries:replay"))),
    responses((status = 200, description = "The replay as it stands now.", body = Replay))
)]
#[post("/applications/{application}/endpoints/{endpoint}/replays/{replay}/cancel")]
async fn cancel_replay(
    context: Data<ApiContext>,
    caller: Repeatable,
    path: Path<ReplayPath>,
) -> Result<HttpResponse, Problem> {
    let (application, endpoint, replay) = path.read()?;
    let command = CancelReplay {
        application,
        endpoint,
        replay,
    };
    context
        .once(&caller, command, |replay| Answer::ok(&Replay::from(replay)))
        .await
}
