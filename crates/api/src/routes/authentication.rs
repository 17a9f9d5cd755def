use actix_web::{HttpResponse, post, web::Data};

use crate::{
    ApiContext,
    extract::{Anybody, Json},
    problem::Problem,
    wire::authentication::{IssuedTokens, Login, NewPasswordByToken, PresentedRefreshToken},
};

/// Log in
///
/// Answers an access token for one tenant, and a refresh token to get the next one with. A member of several
/// tenants names one. Unknown addresses and wrong passwords are answered alike.
#[utoipa::path(
    operation_id = "logIn",
    tag = "Authentication",
    request_body = Login,
    extensions(("x-permission" = json!("public"))),
    responses(
        (status = 200, description = "Logged in.", body = IssuedTokens),
        (status = 401, description = "E-mail and password do not belong together: `invalid_credentials`."),
        (status = 403, description = "Not a member of that tenant, or of any: `forbidden`."),
        (status = 422, description = "`validation_failed`; or `tenant_required`: a member of several tenants must name one."),
        (status = 429, description = "`too_many_attempts`, from there or at that account. See `Retry-After`."),
    )
)]
#[post("/login")]
pub(super) async fn log_in(
    context: Data<ApiContext>,
    caller: Anybody,
    body: Json<Login>,
) -> Result<HttpResponse, Problem> {
    let command = body.0.into_command()?;
    let issued = context.mediator.send(&caller.0, command).await?;
    Ok(tokens(IssuedTokens::from(issued)))
}

/// Refresh a session
///
/// Exchanges a refresh token, once, for the next pair of tokens. A refresh token that is used a second time ends its
/// session: one of the two who used it is a thief.
#[utoipa::path(
    operation_id = "refreshSession",
    tag = "Authentication",
    request_body = PresentedRefreshToken,
    extensions(("x-permission" = json!("public"))),
    responses(
        (status = 200, description = "Refreshed.", body = IssuedTokens),
        (status = 401, description = "The refresh token is not good, or not any more: `invalid_token`. Log in again."),
    )
)]
#[post("/refresh")]
pub(super) async fn refresh_session(
    context: Data<ApiContext>,
    caller: Anybody,
    body: Json<PresentedRefreshToken>,
) -> Result<HttpResponse, Problem> {
    let command = body.0.refresh()?;
    let issued = context.mediator.send(&caller.0, command).await?;
    Ok(tokens(IssuedTokens::from(issued)))
}

fn tokens(issued: IssuedTokens) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(("Cache-Control", "no-store"))
        .json(issued)
}

/// Log out
///
/// Ends the session of a refresh token. Where there is no such session any more, there is nothing to end, which is
/// no error.
#[utoipa::path(
    operation_id = "logOut",
    tag = "Authentication",
    request_body = PresentedRefreshToken,
    extensions(("x-permission" = json!("public"))),
    responses((status = 204, description = "Logged out."))
)]
#[post("/logout")]
pub(super) async fn log_out(
    context: Data<ApiContext>,
    caller: Anybody,
    body: Json<PresentedRefreshToken>,
) -> Result<HttpResponse, Problem> {
    let command = body.0.log_out()?;
    context.mediator.send(&caller.0, command).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Set a password anew
///
/// With a token that the installation's operator issued (`postrider users reset-password`). Ends all sessions of the
/// person.
#[utoipa::path(
    operation_id = "resetPassword",
    tag = "Authentication",
    request_body = NewPasswordByToken,
    extensions(("x-permission" = json!("public"))),
    responses(
        (status = 204, description = "The new password is good from now on."),
        (status = 401, description = "The token is not good, or not any more: `invalid_token`."),
    )
)]
#[post("/password-reset")]
pub(super) async fn reset_password(
    context: Data<ApiContext>,
    caller: Anybody,
    body: Json<NewPasswordByToken>,
) -> Result<HttpResponse, Problem> {
    let command = body.0.into_command()?;
    context.mediator.send(&caller.0, command).await?;
    Ok(HttpResponse::NoContent().finish())
}
