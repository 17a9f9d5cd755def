use actix_web::{
    HttpResponse, delete, get, post,
    web::{Data, Path},
};
use postrider_application::api_keys::{ListApiKeys, RevokeApiKey};

use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    ApiContext,
    answer::Answer,
    extract::{Authenticated, Json, Listing, PageQuery, Repeatable},
    problem::Problem,
    wire::{
        Checks,
        api_keys::{ApiKey, MintedKey, NewApiKey},
        page::{self, List},
        path::ApiKeyPath,
    },
};

/// All of them, in the order in which their patterns are tried.
pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(list_api_keys)
        .service(mint_api_key)
        .service(revoke_api_key);
}

/// List API keys
///
/// By id; never their tokens.
#[utoipa::path(
    operation_id = "listApiKeys",
    tag = "API keys",
    params(PageQuery),
    extensions(("x-permission" = json!("api-keys:read"))),
    responses((status = 200, description = "A page of keys.", body = List<ApiKey>))
)]
#[get("/api-keys")]
async fn list_api_keys(
    context: Data<ApiContext>,
    caller: Authenticated,
    page: PageQuery,
    listing: Listing,
) -> Result<HttpResponse, Problem> {
    let mut checks = Checks::default();
    let page = page::request(&page, &mut checks);
    let (page,) = checks.all((page,))?;
    let keys = context.mediator.send(&caller.0, ListApiKeys { page }).await?;
    Ok(listing.answer(keys, ApiKey::from))
}

/// Mint an API key
///
/// The token is shown this once. A key may be granted no more than you hold yourself.
#[utoipa::path(
    operation_id = "mintApiKey",
    tag = "API keys",
    request_body = NewApiKey,
    extensions(("x-permission" = json!("api-keys:manage")), ("x-shown-once" = json!("token"))),
    responses((status = 201, description = "Minted.", body = MintedKey))
)]
#[post("/api-keys")]
async fn mint_api_key(
    context: Data<ApiContext>,
    caller: Repeatable,
    body: Json<NewApiKey>,
) -> Result<HttpResponse, Problem> {
    let command = body.0.into_command()?;
    context
        .once(&caller, command, |key| {
            Answer::created(&MintedKey::from(key)).showing_once("token")
        })
        .await
}

/// Revoke an API key
///
/// It is let in no more. Whoever manages keys may revoke any of the tenant's, one mightier than they too: it is the
/// quick answer to a leak.
#[utoipa::path(
    operation_id = "revokeApiKey",
    tag = "API keys",
    params(ApiKeyPath),
    extensions(("x-permission" = json!("api-keys:manage"))),
    responses((status = 204, description = "Revoked."))
)]
#[delete("/api-keys/{api_key}")]
async fn revoke_api_key(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<ApiKeyPath>,
) -> Result<HttpResponse, Problem> {
    let key = path.read()?;
    context.mediator.send(&caller.0, RevokeApiKey { key }).await?;
    Ok(HttpResponse::NoContent().finish())
}
