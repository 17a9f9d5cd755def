use actix_web::{
    HttpResponse, delete, get, put,
    web::{Data, Path},
};
use postrider_application::members::{ListMembers, RemoveMember};

use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    ApiContext,
    extract::{Authenticated, Json, Listing, PageQuery},
    problem::Problem,
    wire::{
        Checks,
        members::{Member, NewGrants},
        page::{self, List},
        path::MemberPath,
    },
};

/// All of them, in the order in which their patterns are tried.
pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(list_members)
        .service(remove_member)
        .service(change_grants);
}

/// List members
///
/// The tenant's people, by id.
#[utoipa::path(
    operation_id = "listMembers",
    tag = "Members",
    params(PageQuery),
    extensions(("x-permission" = json!("members:read"))),
    responses((status = 200, description = "A page of members.", body = List<Member>))
)]
#[get("/members")]
async fn list_members(
    context: Data<ApiContext>,
    caller: Authenticated,
    page: PageQuery,
    listing: Listing,
) -> Result<HttpResponse, Problem> {
    let mut checks = Checks::default();
    let page = page::request(&page, &mut checks);
    let (page,) = checks.all((page,))?;
    let members = context.mediator.send(&caller.0, ListMembers { page }).await?;
    Ok(listing.answer(members, Member::from))
}

/// Remove a member
///
/// And end their sessions in the tenant. The person stays, with their other memberships.
#[utoipa::path(
    operation_id = "removeMember",
    tag = "Members",
    params(MemberPath),
    extensions(("x-permission" = json!("members:manage"))),
    responses(
        (status = 204, description = "Removed."),
        (status = 403, description = "`forbidden`: the permission is missing, or the member holds more than you; `tenant_suspended`."),
        (status = 409, description = "`last_owner`: the tenant must keep one."),
    )
)]
#[delete("/members/{member}")]
async fn remove_member(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<MemberPath>,
) -> Result<HttpResponse, Problem> {
    let member = path.read()?;
    context.mediator.send(&caller.0, RemoveMember { member }).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Change what a member may do
///
/// The given grants take the place of those held. Nobody grants what they do not hold.
#[utoipa::path(
    operation_id = "changeGrants",
    tag = "Members",
    params(MemberPath),
    request_body = NewGrants,
    extensions(("x-permission" = json!("members:manage"))),
    responses(
        (status = 200, description = "Changed.", body = Member),
        (status = 403, description = "`forbidden`: the permission is missing, or the member holds more than you; `tenant_suspended`."),
        (status = 409, description = "`last_owner`: the tenant must keep one; `stale_version`: somebody else changed it in between."),
    )
)]
#[put("/members/{member}/grants")]
async fn change_grants(
    context: Data<ApiContext>,
    caller: Authenticated,
    path: Path<MemberPath>,
    body: Json<NewGrants>,
) -> Result<HttpResponse, Problem> {
    let command = body.0.into_command(&path)?;
    let member = context.mediator.send(&caller.0, command).await?;
    Ok(HttpResponse::Ok().json(Member::from(member)))
}
