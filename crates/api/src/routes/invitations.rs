use actix_web::{
    HttpResponse, delete, get, post,
    web::{Data, Path},
};
use postrider_application::invitations::{ListInvitations, WithdrawInvitation};

use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    ApiContext,
    answer::Answer,
    extract::{Anybody, Authenticated, Json, Listing, PageQuery, Repeatable},
    problem::Problem,
    wire::{
        Checks,
        invitations::{Acceptance, Invitation, Invited, Joined, NewInvitation},
        page::{self, List},
        path::InvitationPath,
    },
};

/// All of them, in the order in which their patterns are tried.
pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(list_invitations)
        .service(invite)
        .service(withdraw_invitation);
}

/// List invitations
///
/// The pending ones, expired ones too, by id; never their tokens.
#[utoipa::path(
    operation_id = "listInvitations",
    tag = "Members",
    params(PageQuery),
    extensions(("x-permission" = json!("members:read"))),
    responses((status = 200, description = "A page of invitations.", body = List<Invitation>))
)]
#[get("/invitations")]
async fn list_invitations(
    context: Data<ApiContext>,
    caller: Authenticated,
    page: PageQuery,
    listing: Listing,
) -> Result<HttpResponse, Problem> {
    let mut checks = Checks::default();
    let page = page::request(&page, &mut checks);
    let (page,) = checks.all((page,))?;
    let invitations = context.mediator.send(&caller.0, ListInvitations { page }).await?;
    Ok(listing.answer(invitations, Invitation::from))
}

/// Invite a person
///
/// The token is shown this once, and sent by nobody: hand it to the person. Nobody grants what they do not hold.
#[utoipa::path(
    operation_id = "invite",
    tag = "Members",
    request_body = NewInvitation,
    extensions(("x-permission" = json!("members:manage")), ("x-shown-once" = json!("token"))),
    responses(
        (status = 201, description = "Invited.", body = Invited),
        (status = 409, description = "`member_exists`: the person is a member; `invitation_pending`: withdraw it first."),
    )
)]
#[post("/invitations")]
async fn invite(
    context: Data<ApiContext>,
    caller: Repeatable,
    body: Json<NewInvitation>,
) -> Result<HttpResponse, Problem> {
    let command = body.0.into_command()?;
    context
        .once(&caller, command, |invited| {
            Answer::created(&Invited::from(invited)).showing_once("token")
        })
        .await
}

/// Withdraw an invitation
///
/// Its token is good no more.
#[utoipa::path(
    operation_id = "withdrawInvitation",
    tag = "Members",
    params(InvitationPath),
    extensions(("x-permission" = json!("members:manage"))),
    responses((status = 204, description = "Withdrawn."))
)]
#[delete("/invitations/{invitation}")]
async fn withdraw_invitation(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<InvitationPath>,
) -> Result<HttpResponse, Problem> {
    let invitation = path.read()?;
    let command = WithdrawInvitation { invitation };
    context.mediator.send(&caller.0, command).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Accept an invitation
///
/// Good once. Whoever is new here sets a name and a password; whoever is known proves theirs. Then log in.
#[utoipa::path(
    operation_id = "acceptInvitation",
    tag = "Authentication",
    request_body = Acceptance,
    extensions(("x-permission" = json!("public"))),
    responses(
        (status = 201, description = "Accepted.", body = Joined),
        (status = 401, description = "The invitation is not good, or not any more: `invalid_token`; or the password is not that of the known person: `invalid_credentials`."),
        (status = 409, description = "`member_exists`: the person is a member already."),
        (status = 429, description = "`too_many_attempts`, from there or at that account. See `Retry-After`."),
    )
)]
#[post("/v1/invitations/accept")]
pub(super) async fn accept_invitation(
    context: Data<ApiContext>,
    caller: Anybody,
    body: Json<Acceptance>,
) -> Result<HttpResponse, Problem> {
    let command = body.0.into_command()?;
    let accepted = context.mediator.send(&caller.0, command).await?;
    Ok(HttpResponse::Created().json(Joined::from(accepted)))
}
