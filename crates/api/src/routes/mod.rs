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
mod health;
mod invitations;
mod me;
mod members;
mod messages;
mod operator;
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

/// What anybody may ask.
pub(crate) fn public(config: &mut ServiceConfig<'_>) {
    config
        .service(health::live)
        .service(health::ready)
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
        // The one public path among guarded ones; its other methods, and all beside it, fall to the guarded scope.
        .service(invitations::accept_invitation);
}

/// What only somebody known may ask: the rest of `/v1`, unknown paths included.
pub(crate) fn guarded() -> Scope<
    impl ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse, Error = Error, InitError = ()>,
> {
    scope("/v1").configure(|config| {
        config
            // Patterns are tried in this order, so the busiest comes first.
            .service(messages::publish_message)
            .service(operator::create_tenant)
            .service(operator::list_tenants)
            .service(operator::show_tenant)
            .service(operator::delete_tenant)
            .service(operator::suspend_tenant)
            .service(operator::resume_tenant)
            .service(me::get_me)
            .service(me::change_password)
            .service(me::end_my_sessions)
            .service(tenants::get_tenant)
            .service(tenants::export_tenant)
            .service(members::list_members)
            .service(members::remove_member)
            .service(members::change_grants)
            .service(invitations::list_invitations)
            .service(invitations::invite)
            .service(invitations::withdraw_invitation)
            .service(api_keys::list_api_keys)
            .service(api_keys::mint_api_key)
            .service(api_keys::revoke_api_key)
            .service(audit_entries::list_audit_entries)
            .service(applications::list_applications)
            .service(applications::create_application)
            .service(applications::get_application)
            .service(applications::mint_portal_token)
            .service(applications::revoke_portal_tokens)
            .service(event_types::register_event_type)
            .service(event_types::get_event_type)
            .service(endpoints::create_endpoint)
            .service(endpoints::get_endpoint)
            .service(endpoints::enable_endpoint)
            .service(endpoints::disable_endpoint)
            .service(endpoints::get_endpoint_secret)
            .service(messages::get_message)
            .service(messages::get_payload)
            .service(deliveries::list_deliveries)
            .service(deliveries::list_attempts)
            .service(deliveries::resend_delivery);
    })
}

/// The page that shows the document to people; no part of the document itself.
pub(crate) fn undocumented(config: &mut web::ServiceConfig) {
    config.service(docs::page());
}
