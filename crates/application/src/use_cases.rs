//! All use cases with their ports, and which handler serves which request.

use std::{sync::Arc, time::Duration};

use postrider_domain::{
    api_keys::ApiKey, applications::Application, endpoints::AddressPolicy, endpoints::Endpoint,
    event_types::EventType, tenants::Tenant, users::Membership, users::Session,
};

use crate::{
    api_keys::{MintApiKey, MintApiKeyHandler},
    applications::{CreateApplication, CreateApplicationHandler, GetApplication, GetApplicationHandler},
    authentication::{LogIn, LogInHandler},
    deliveries::{
        ListAttempts, ListAttemptsHandler, ListDeliveries, ListDeliveriesHandler, ResendDelivery,
        ResendDeliveryHandler,
    },
    endpoints::{
        CreateEndpoint, CreateEndpointHandler, DisableEndpoint, DisableEndpointHandler, EnableEndpoint,
        EnableEndpointHandler, GetEndpoint, GetEndpointHandler, GetEndpointSecret, GetEndpointSecretHandler,
    },
    event_types::{GetEventType, GetEventTypeHandler, RegisterEventType, RegisterEventTypeHandler},
    mediator::{Handles, Serves},
    messages::{
        GetMessage, GetMessageHandler, GetPayload, GetPayloadHandler, PublishMessage, PublishMessageHandler,
    },
    ports::{
        AccessTokens, ApplicationDirectory, ApplicationRepository, ApplicationViews, Clock,
        DeliveryRepository, EndpointViews, EventTypeViews, Identities, Ids, MessageIntake, MessageViews,
        PasswordHasher, Randomness, Repository, Store, TracePropagation, UserRepository, WorkSignal,
    },
    tenants::{CreateTenant, CreateTenantHandler},
};

/// The adapters that the use cases are composed of. Each handler takes the few that it uses.
pub struct Ports<S> {
    /// Where aggregates and views live.
    pub store: S,
    /// The hot way in for messages.
    pub intake: Arc<dyn MessageIntake>,
    /// Which application a reference means.
    pub directory: Arc<dyn ApplicationDirectory>,
    /// People and their memberships.
    pub identities: Arc<dyn Identities>,
    /// Password hashing.
    pub passwords: Arc<dyn PasswordHasher>,
    /// Access tokens.
    pub tokens: Arc<dyn AccessTokens>,
    /// Wakes the engine.
    pub work_signal: Arc<dyn WorkSignal>,
    /// The current trace.
    pub trace: Arc<dyn TracePropagation>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub ids: Arc<dyn Ids>,
    /// Randomness.
    pub randomness: Arc<dyn Randomness>,
}

/// What the operator configures about the use cases.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long an access token is good.
    pub access_token_lifetime: Duration,
    /// How long a login lasts.
    pub session_lifetime: Duration,
    /// How long a publish's deduplication key is remembered.
    pub dedup_window: Duration,
    /// Which addresses endpoints may have.
    pub address_policy: AddressPolicy,
    /// The most endpoints of one application: what one message may become at most.
    pub max_endpoints_per_application: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            access_token_lifetime: Duration::from_mins(10),
            session_lifetime: Duration::from_hours(12),
            dedup_window: Duration::from_hours(24),
            address_policy: AddressPolicy::public_only(),
            max_endpoints_per_application: 100,
        }
    }
}

macro_rules! use_cases {
    ($($field:ident: $handler:ident serves $request:ident;)+) => {
        /// One field a handler.
        pub struct UseCases<S> {
            $($field: $handler<S>,)+
        }

        $(impl<S> Serves<$request> for UseCases<S>
        where
            $handler<S>: Handles<$request>,
        {
            fn handler(&self) -> &impl Handles<$request> {
                &self.$field
            }
        })+

        /// The names of all requests, for documentation and completeness checks.
        pub const REQUEST_NAMES: &[&str] = &[$(<$request as crate::mediator::Request>::NAME,)+];
    };
}

use_cases! {
    create_tenant: CreateTenantHandler serves CreateTenant;
    log_in: LogInHandler serves LogIn;
    mint_api_key: MintApiKeyHandler serves MintApiKey;
    create_application: CreateApplicationHandler serves CreateApplication;
    get_application: GetApplicationHandler serves GetApplication;
    register_event_type: RegisterEventTypeHandler serves RegisterEventType;
    get_event_type: GetEventTypeHandler serves GetEventType;
    create_endpoint: CreateEndpointHandler serves CreateEndpoint;
    get_endpoint: GetEndpointHandler serves GetEndpoint;
    get_endpoint_secret: GetEndpointSecretHandler serves GetEndpointSecret;
    enable_endpoint: EnableEndpointHandler serves EnableEndpoint;
    disable_endpoint: DisableEndpointHandler serves DisableEndpoint;
    publish_message: PublishMessageHandler serves PublishMessage;
    get_message: GetMessageHandler serves GetMessage;
    get_payload: GetPayloadHandler serves GetPayload;
    list_deliveries: ListDeliveriesHandler serves ListDeliveries;
    list_attempts: ListAttemptsHandler serves ListAttempts;
    resend_delivery: ResendDeliveryHandler serves ResendDelivery;
}

/// A store that offers all that the use cases need. Implemented for every type that does.
pub trait FullStore:
    Store<Tx: FullTx> + ApplicationViews + EventTypeViews + EndpointViews + MessageViews
{
}

impl<S> FullStore for S where
    S: Store<Tx: FullTx> + ApplicationViews + EventTypeViews + EndpointViews + MessageViews
{
}

/// A transaction with all repositories. Implemented for every type that has them.
pub trait FullTx:
    Repository<Tenant, Key = postrider_domain::TenantId>
    + Repository<Membership, Key = postrider_domain::UserId>
    + Repository<Session, Key = postrider_domain::SessionId>
    + Repository<ApiKey, Key = postrider_domain::ApiKeyId>
    + Repository<Application, Key = postrider_domain::ApplicationId>
    + Repository<EventType, Key = postrider_domain::event_types::EventTypeName>
    + Repository<
        Endpoint,
        Key = (
            postrider_domain::ApplicationId,
            postrider_domain::endpoints::EndpointRef,
        ),
    > + ApplicationRepository
    + UserRepository
    + DeliveryRepository
{
}

impl<T> FullTx for T where
    T: Repository<Tenant, Key = postrider_domain::TenantId>
        + Repository<Membership, Key = postrider_domain::UserId>
        + Repository<Session, Key = postrider_domain::SessionId>
        + Repository<ApiKey, Key = postrider_domain::ApiKeyId>
        + Repository<Application, Key = postrider_domain::ApplicationId>
        + Repository<EventType, Key = postrider_domain::event_types::EventTypeName>
        + Repository<
            Endpoint,
            Key = (
                postrider_domain::ApplicationId,
                postrider_domain::endpoints::EndpointRef,
            ),
        > + ApplicationRepository
        + UserRepository
        + DeliveryRepository
{
}

impl<S: Clone> UseCases<S> {
    /// Composes every handler from `ports`.
    pub fn new(ports: &Ports<S>, settings: &Settings) -> Self {
        let store = || ports.store.clone();
        let (clock, ids) = (|| ports.clock.clone(), || ports.ids.clone());
        Self {
            create_tenant: CreateTenantHandler::new(store(), ports.passwords.clone(), clock(), ids()),
            log_in: LogInHandler::new(store(), ports, settings),
            mint_api_key: MintApiKeyHandler::new(
                store(),
                ports.directory.clone(),
                clock(),
                ids(),
                ports.randomness.clone(),
            ),
            create_application: CreateApplicationHandler::new(store(), clock(), ids()),
            get_application: GetApplicationHandler::new(store()),
            register_event_type: RegisterEventTypeHandler::new(store(), clock()),
            get_event_type: GetEventTypeHandler::new(store()),
            create_endpoint: CreateEndpointHandler::new(
                store(),
                clock(),
                ids(),
                ports.randomness.clone(),
                settings,
            ),
            get_endpoint: GetEndpointHandler::new(store()),
            get_endpoint_secret: GetEndpointSecretHandler::new(store()),
            enable_endpoint: EnableEndpointHandler::new(store()),
            disable_endpoint: DisableEndpointHandler::new(store(), clock()),
            publish_message: PublishMessageHandler::new(ports, settings),
            get_message: GetMessageHandler::new(store()),
            get_payload: GetPayloadHandler::new(store()),
            list_deliveries: ListDeliveriesHandler::new(store()),
            list_attempts: ListAttemptsHandler::new(store()),
            resend_delivery: ResendDeliveryHandler::new(store(), ports.work_signal.clone(), clock(), ids()),
        }
    }
}
