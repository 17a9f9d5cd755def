use actix_web::{
    HttpResponse, get,
    web::{Data, Path},
};

use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    ApiContext,
    extract::{Authenticated, StatsQuery, UsageQuery},
    problem::Problem,
    wire::{
        figures::{self, EndpointStats, Usage},
        path::EndpointPath,
    },
};

/// All of them, in the order in which their patterns are tried.
pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(get_endpoint_stats).service(get_usage);
}

/// Read an endpoint's stats
///
/// How its attempts went lately. Figures are kept by the hour: the answer covers the hour in which the period begins, and
/// everything since. They are written every ten seconds, so the last moments may be missing; of a node that was killed
/// the last ten seconds stay missing.
#[utoipa::path(
    operation_id = "getEndpointStats",
    tag = "Endpoints",
    params(EndpointPath, StatsQuery),
    extensions(("x-permission" = json!("endpoints:read"))),
    responses((status = 200, description = "The stats.", body = EndpointStats))
)]
#[get("/applications/{application}/endpoints/{endpoint}/stats")]
async fn get_endpoint_stats(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<EndpointPath>,
    query: StatsQuery,
) -> Result<HttpResponse, Problem> {
    let query = figures::stats_query(&query, &path)?;
    let stats = context.mediator.send(&caller.0, query).await?;
    Ok(HttpResponse::Ok().json(EndpointStats::from(stats)))
}

/// Read what the tenant used
///
/// By the day (UTC), as far back as 400 days; days on which nothing happened are left out. Written every ten seconds;
/// of a node that was killed the last ten seconds stay missing, so this is no basis for an invoice to the last message.
#[utoipa::path(
    operation_id = "getUsage",
    tag = "Tenant",
    params(UsageQuery),
    extensions(("x-permission" = json!("tenant:read"))),
    responses((status = 200, description = "The usage.", body = Usage))
)]
#[get("/tenant/usage")]
async fn get_usage(
    context: Data<ApiContext>,
    caller: Authenticated,
    query: UsageQuery,
) -> Result<HttpResponse, Problem> {
    let query = figures::usage_query(&query)?;
    let usage = context.mediator.send(&caller.0, query).await?;
    Ok(HttpResponse::Ok().json(Usage::from(usage)))
}
