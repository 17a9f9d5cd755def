//! One file a resource. A route reads the wire, sends a request to the mediator, and writes the wire.

mod api_keys;
mod applications;
mod audit_entries;
mod authentication;
mod deliveries;
mod docs;
mod documents;
mod endpoints;
mod event_types;
mod fallback;
mod figures;
mod health;
mod invitations;
mod me;
mod members;
mod messages;
mod operations;
mod operator;
mod replays;
mod tenants;

use actix_web::{
    Error,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    web,
};
use utoipa_actix_web::{
    scope::{Scope, scope},
    service_config::ServiceConfig,
};

pub(crate) use fallback::fallback;
pub(crate) use health::{answer_live, answer_ready, answer_startup};

/// What anybody may ask.
pub(crate) fn public(config: &mut ServiceConfig<'_>) {
    config
        .service(health::live)
        .service(health::ready)
        .service(health::startup)
        .service(documents::openapi_document)
        .service(documents::json_web_keys)
        .service(documents::problem_page)
        .service(
            scope("/v1/auth")
                .service(authentication::log_in)
                .service(authentication::refresh_session)
                .service(authentication::log_out)
                .service(authentication::reset_password),
        )
        // The one public path among guarded ones; all beside it fall to the guarded scope.
        .service(invitations::accept_invitation)
        .map(|config| config.service(fallback::nothing_else("/v1/invitations/accept")));
}

/// What only somebody known may ask: the rest of `/v1`, unknown paths included.
pub(crate) fn guarded() -> Scope<
    impl ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse, Error = Error, InitError = ()>,
> {
    scope("/v1").configure(|config| {
        // Patterns are tried in this order, so the busiest comes first.
        config
            .configure(messages::routes)
            .configure(operator::routes)
            .configure(operations::routes)
            .configure(me::routes)
            .configure(tenants::routes)
            .configure(members::routes)
            .configure(invitations::routes)
            .configure(api_keys::routes)
            .configure(audit_entries::routes)
            .configure(applications::routes)
            .configure(event_types::routes)
            .configure(endpoints::routes)
            .configure(figures::routes)
            .configure(replays::routes)
            .configure(deliveries::routes);
    })
}

/// The page that shows the document to people; no part of the document itself.
pub(crate) fn undocumented(config: &mut web::ServiceConfig) {
    config.service(docs::page());
}
