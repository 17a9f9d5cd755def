use actix_web::{HttpResponse, post, web::Data};
use postrider_application::access::Caller;

use crate::{
    ApiContext,
    extract::Json,
    problem::Problem,
    wire::authentication::{IssuedToken, Login},
};

/// Log in
///
/// Answers an access token for one tenant. A member of several tenants names one. Unknown addresses and wrong
/// passwords are answered alike.
#[utoipa::path(
    operation_id = "logIn",
    tag = "Authentication",
    request_body = Login,
    responses((status = 200, description = "Logged in.", body = IssuedToken))
)]
#[post("/login")]
pub(super) async fn log_in(context: Data<ApiContext>, body: Json<Login>) -> Result<HttpResponse, Problem> {
    let command = body.0.into_command()?;
    let login = context.mediator.send(&Caller::Anonymous, command).await?;
    Ok(HttpResponse::Ok()
        .insert_header(("Cache-Control", "no-store"))
        .json(IssuedToken::from(login)))
}
