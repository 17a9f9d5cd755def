//! The OpenAPI document, from the code.
//!
//! Routes say what is special about them; what is common to all (who may call, which problems may be answered) is
//! added here, once.

mod across;
mod choices;
mod examples;
mod forms;
mod headers;
mod idempotency;
mod links;
mod lists;
mod rules;
mod shared;

use actix_web::App;
use utoipa::{
    OpenApi as _, PartialSchema as _, ToSchema as _,
    openapi::{
        Components, Content, OpenApi, Ref, RefOr, Response, ResponseBuilder,
        path::{Operation, PathItem},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};
use utoipa_actix_web::AppExt as _;

use crate::{
    problem::{MEDIA_TYPE, ProblemBody},
    routes,
};

const DESCRIPTION: &str = "\
Postrider delivers webhooks: hand it an event over this API, and it makes it durable, works out which endpoints want \
it, and delivers it, signed (Standard Webhooks) and retried, until the receiver has it.

Send `Authorization: Bearer` with an access token (a person's, from `logIn`), a portal token (one of your customers', \
from `mintPortalToken`) or an API key (`prk_…`). The tenant comes from the credential, never from the path.

What each operation needs stands in `x-permission`: the name of a permission, or `public` (nothing), `principal` \
(anybody known), `person` (somebody logged in) or `operator`. Another tenant's things do not exist: `not_found`.

Lists come in pages: `next` and `prev` of the body, and `Link` headers, lead on. A command (`POST`) with an \
`Idempotency-Key` may be repeated: it is done once and answered the same, secrets excepted. `RateLimit` says what is \
left of your quotas.

Every error is a problem (RFC 9457) with a stable `code`, explained at `/problems/{code}`. Every answer carries an \
`x-request-id`, your own if you send a sane one.";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Postrider",
        description = DESCRIPTION,
        contact(name = "Whoever runs this installation"),
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/", description = "The installation that this document comes from.")),
    tags(
        (name = "Messages", description = "Publishing, and looking at what was published."),
        (name = "Deliveries", description = "What became of messages, and sending one again."),
        (name = "Replays", description = "Sending many messages to an endpoint again, or what it never got."),
        (name = "Endpoints", description = "Where an application wants to hear of events."),
        (name = "Applications", description = "Your customers."),
        (name = "Event types", description = "What can happen in your product."),
        (name = "Me", description = "Who you are, and what is your own."),
        (name = "Tenant", description = "Your company."),
        (name = "Members", description = "Its people, and how they come in."),
        (name = "API keys", description = "Machine principals."),
        (name = "Audit log", description = "Who did what."),
        (name = "Authentication", description = "Logging in, and staying so."),
        (name = "Operator", description = "For whoever runs the installation."),
        (name = "Installation", description = "Health and documents."),
    )
)]
struct Base;

/// Where an operation says what it needs of its caller, as the access rule of its request says it.
const PERMISSION: &str = "x-permission";

/// What is needed of nobody.
pub(crate) const PUBLIC: &str = "public";

/// The document without its paths.
pub(crate) fn base() -> OpenApi {
    Base::openapi()
}

/// The whole document.
pub(crate) fn document() -> OpenApi {
    let (_, mut document) = App::new()
        .into_utoipa_app()
        .openapi(base())
        .configure(routes::public)
        .service(routes::guarded())
        .split_for_parts();
    let components = document.components.get_or_insert_with(Components::new);
    add_common_components(components);
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            add_common_parts(path, operation);
            idempotency::hide_secret(operation, components);
            let guarded = demands(operation) != PUBLIC;
            if method == "POST" && guarded {
                add_problems(operation, &[idempotency::CONFLICT]);
                idempotency::add(operation);
            }
            if method == "PATCH" {
                headers::add_merge_patch(operation);
            }
            headers::add(operation, guarded);
        }
    }
    examples::put_right(components);
    lists::refer_to_items(components);
    links::add(&mut document.paths);
    shared::share_problems(&mut document.paths, components);
    document
}

/// The document as JSON, the same for the same binary, byte for byte.
///
/// # Panics
/// Never: the document holds nothing that JSON cannot.
pub fn openapi_json() -> String {
    #[expect(
        clippy::expect_used,
        reason = "the document is made of strings, numbers, lists and maps"
    )]
    let mut text = {
        let mut value = serde_json::to_value(document()).expect("the document is JSON");
        rules::say(&mut value);
        serde_json::to_string_pretty(&value).expect("the document is JSON")
    };
    text.push('\n');
    text
}

/// The operations of a path, with their methods.
pub(crate) fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    [
        ("GET", &mut item.get),
        ("PUT", &mut item.put),
        ("POST", &mut item.post),
        ("PATCH", &mut item.patch),
        ("DELETE", &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

fn add_common_components(components: &mut Components) {
    headers::add_components(components);
    idempotency::add_components(components);
    let mut nested = Vec::new();
    ProblemBody::schemas(&mut nested);
    components.schemas.extend(nested);
    components
        .schemas
        .insert(ProblemBody::name().into_owned(), ProblemBody::schema());
    for (name, description) in [
        (
            "bearer",
            "An access token from `logIn`, a portal token from `mintPortalToken`, or an API key (`prk_…`).",
        ),
        (
            "operator",
            "The operator's token (`pro_…`), from the installation's configuration.",
        ),
    ] {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(description))
            .build();
        components.add_security_scheme(name, SecurityScheme::Http(scheme));
    }
}

/// What the operation needs of its caller; empty, if it does not say so.
pub(crate) fn demands(operation: &Operation) -> &str {
    operation
        .extensions
        .as_ref()
        .and_then(|all| all.get(PERMISSION))
        .and_then(|value| value.as_str())
        .unwrap_or_default()
}

/// Adds what the operation has in common with others: who may call it, and which problems may be answered.
fn add_common_parts(path: &str, operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && is_problem(status)
            && response.content.is_empty()
        {
            response
                .content
                .insert(MEDIA_TYPE.to_owned(), problem_content().into());
        }
    }
    add_access(operation);
    let is_ours = path.starts_with("/v1/");
    let mut common = vec![("500", "A fault of ours: `internal`.")];
    if is_ours {
        common.push((
            "503",
            "Not now: `unavailable`, `outcome_unknown`. See `Retry-After`.",
        ));
    }
    if operation.request_body.is_some() {
        common.push(("400", "The body is not JSON: `malformed_request`."));
        common.push(("413", "The body is too large: `payload_too_large`."));
        common.push((
            "415",
            "The body is not `application/json`: `unsupported_media_type`.",
        ));
    }
    if path.contains('{') {
        common.push(("404", "There is no such resource for this caller: `not_found`."));
    }
    let has_parameters = operation.parameters.as_ref().is_some_and(|all| !all.is_empty());
    if is_ours && (operation.request_body.is_some() || has_parameters) {
        common.push((
            "422",
            "One or more rules are broken, all of them listed: `validation_failed`.",
        ));
    }
    add_problems(operation, &common);
}

/// Who may call the operation, as `x-permission` says it, and what others are answered.
fn add_access(operation: &mut Operation) {
    let demanded = demands(operation).to_owned();
    if demanded == PUBLIC {
        // Said out loud: none is needed, where nothing said would leave it to the reader.
        operation.security = Some(Vec::new());
        return;
    }
    let (scheme, needs, refusal) = match demanded.as_str() {
        "operator" => (
            "operator",
            "Needs an operator's token.".to_owned(),
            "Not an operator: `forbidden`.",
        ),
        "principal" => (
            "bearer",
            "Needs any credential of the tenant.".to_owned(),
            "An operator acts on no tenant's behalf: `forbidden`.",
        ),
        "person" => (
            "bearer",
            "Needs a person's access token.".to_owned(),
            "Not a person: `forbidden`.",
        ),
        permission => (
            "bearer",
            format!("Needs the permission `{permission}`."),
            "The permission is missing: `forbidden`; or the tenant is suspended: `tenant_suspended`.",
        ),
    };
    let said = operation.description.take().unwrap_or_default();
    operation.description = Some(format!("{said}\n\n{needs}").trim_start().to_owned());
    operation.security = Some(vec![SecurityRequirement::new(scheme, Vec::<String>::new())]);
    add_reason(
        operation,
        "429",
        "`rate_limited`",
        "more requests than the `RateLimit-Policy` allows: `rate_limited`.",
    );
    add_problems(
        operation,
        &[
            (
                "401",
                "No credential, or none that is good (any more): `unauthenticated`.",
            ),
            ("403", refusal),
            (
                "429",
                "More requests than the `RateLimit-Policy` allows: `rate_limited`.",
            ),
        ],
    );
}

/// An operation that knows other reasons for a status than all have says those, and these as well.
fn add_reason(operation: &mut Operation, status: &str, code: &str, reason: &str) {
    if let Some(RefOr::T(response)) = operation.responses.responses.get_mut(status)
        && !response.description.contains(code)
    {
        let said = response.description.trim_end_matches('.');
        response.description = format!("{said}. Or {reason}");
    }
}

/// Adds those problems that the operation does not describe itself.
fn add_problems(operation: &mut Operation, problems: &[(&str, &str)]) {
    for (status, description) in problems {
        operation
            .responses
            .responses
            .entry((*status).to_owned())
            .or_insert_with(|| problem_response(description).into());
    }
}

fn is_problem(status: &str) -> bool {
    status.starts_with('4') || status.starts_with('5')
}

fn problem_response(description: &str) -> Response {
    ResponseBuilder::new()
        .description(description)
        .content(MEDIA_TYPE, problem_content())
        .build()
}

fn problem_content() -> Content {
    Content::new(Some(Ref::from_schema_name(ProblemBody::name())))
}
