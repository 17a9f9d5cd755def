use actix_web::{HttpResponse, post, web::Data};

use crate::{
    ApiContext,
    extract::{Authenticated, Json},
    problem::Problem,
    wire::api_keys::{MintedKey, NewApiKey},
};

/// Mint an API key
///
/// The token is shown this once. A key may be granted no more than you hold yourself.
#[utoipa::path(
    operation_id = "mintApiKey",
    tag = "API keys",
    request_body = NewApiKey,
    extensions(("x-permission" = json!("api-keys:manage"))),
    responses((status = 201, description = "Minted.", body = MintedKey))
)]
#[post("/api-keys")]
pub(super) async fn mint_api_key(
    context: Data<ApiContext>,
    caller: Authenticated,
    body: Json<NewApiKey>,
) -> Result<HttpResponse, Problem> {
    let command = body.0.into_command()?;
    let key = context.mediator.send(&caller.0, command).await?;
    Ok(HttpResponse::Created()
        .insert_header(("Cache-Control", "no-store"))
        .json(MintedKey::from(key)))
}
