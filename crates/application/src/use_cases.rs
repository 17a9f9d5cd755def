//! All use cases: which handler serves which request, and what each is composed of.

mod ports;
mod settings;
mod store;

pub use self::{
    ports::Ports,
    settings::Settings,
    store::{FullStore, FullTx},
};
use crate::{
    api_keys::{
        ListApiKeys, ListApiKeysHandler, MintApiKey, MintApiKeyHandler, RevokeApiKey, RevokeApiKeyHandler,
    },
    applications::{
        CreateApplication, CreateApplicationHandler, DeleteApplication, DeleteApplicationHandler,
        GetApplication, GetApplicationHandler, ListApplications, ListApplicationsHandler, MintPortalToken,
        MintPortalTokenHandler, PatchApplication, PatchApplicationHandler, PutApplication,
        PutApplicationHandler, RevokePortalTokens, RevokePortalTokensHandler,
    },
    audit_entries::{ListAuditEntries, ListAuditEntriesHandler},
    authentication::{
        LogIn, LogInHandler, LogOut, LogOutHandler, RefreshSession, RefreshSessionHandler, ResetPassword,
        ResetPasswordHandler,
    },
    deliveries::{
        ListAttempts, ListAttemptsHandler, ListDeliveries, ListDeliveriesHandler, ResendDelivery,
        ResendDeliveryHandler, SearchDeliveries, SearchDeliveriesHandler,
    },
    endpoints::{
        CreateEndpoint, CreateEndpointHandler, DeleteEndpoint, DeleteEndpointHandler, DisableEndpoint,
        DisableEndpointHandler, EnableEndpoint, EnableEndpointHandler, GetEndpoint, GetEndpointHandler,
        GetEndpointSecret, GetEndpointSecretHandler, GetEndpointStats, GetEndpointStatsHandler,
        ListEndpoints, ListEndpointsHandler, PatchEndpoint, PatchEndpointHandler, PutEndpoint,
        PutEndpointHandler, RotateEndpointSecret, RotateEndpointSecretHandler, SendTest, SendTestHandler,
    },
    event_types::{
        AddSchema, AddSchemaHandler, ArchiveEventType, ArchiveEventTypeHandler, GetEventType,
        GetEventTypeHandler, GetEventTypeSchema, GetEventTypeSchemaHandler, ListEventTypes,
        ListEventTypesHandler, RegisterEventType, RegisterEventTypeHandler, UpdateEventType,
        UpdateEventTypeHandler,
    },
    invitations::{
        AcceptInvitation, AcceptInvitationHandler, Invite, InviteHandler, ListInvitations,
        ListInvitationsHandler, WithdrawInvitation, WithdrawInvitationHandler,
    },
    keys::{RotateMasterKey, RotateMasterKeyHandler, RotateSigningKey, RotateSigningKeyHandler},
    me::{ChangePassword, ChangePasswordHandler, EndMySessions, EndMySessionsHandler, GetMe, GetMeHandler},
    mediator::{Handles, Serves},
    members::{
        ChangeGrants, ChangeGrantsHandler, ListMembers, ListMembersHandler, RemoveMember, RemoveMemberHandler,
    },
    messages::{
        CancelMessage, CancelMessageHandler, ExpungePayload, ExpungePayloadHandler, GetMessage,
        GetMessageHandler, GetPayload, GetPayloadHandler, ListMessages, ListMessagesHandler, PublishBatch,
        PublishBatchHandler, PublishMessage, PublishMessageHandler,
    },
    operator::{
        DiscardDeadLetter, DiscardDeadLetterHandler, ListDeadLetters, ListDeadLettersHandler,
        RetryDeadLetter, RetryDeadLetterHandler, ShowStatus, ShowStatusHandler,
    },
    replays::{
        CancelReplay, CancelReplayHandler, CreateReplay, CreateReplayHandler, GetReplay, GetReplayHandler,
        ListReplays, ListReplaysHandler,
    },
    tenants::{
        CreateTenant, CreateTenantHandler, DeleteTenant, DeleteTenantHandler, ExportTenant,
        ExportTenantHandler, GetTenant, GetTenantHandler, GetUsage, GetUsageHandler, ListTenants,
        ListTenantsHandler, ResumeTenant, ResumeTenantHandler, ShowTenant, ShowTenantHandler, SuspendTenant,
        SuspendTenantHandler, UpdateTenant, UpdateTenantHandler,
    },
    users::{IssuePasswordReset, IssuePasswordResetHandler},
};

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
    log_in: LogInHandler serves LogIn;
    refresh_session: RefreshSessionHandler serves RefreshSession;
    log_out: LogOutHandler serves LogOut;
    reset_password: ResetPasswordHandler serves ResetPassword;
    get_me: GetMeHandler serves GetMe;
    change_password: ChangePasswordHandler serves ChangePassword;
    end_my_sessions: EndMySessionsHandler serves EndMySessions;
    get_tenant: GetTenantHandler serves GetTenant;
    get_usage: GetUsageHandler serves GetUsage;
    update_tenant: UpdateTenantHandler serves UpdateTenant;
    export_tenant: ExportTenantHandler serves ExportTenant;
    list_members: ListMembersHandler serves ListMembers;
    change_grants: ChangeGrantsHandler serves ChangeGrants;
    remove_member: RemoveMemberHandler serves RemoveMember;
    invite: InviteHandler serves Invite;
    list_invitations: ListInvitationsHandler serves ListInvitations;
    withdraw_invitation: WithdrawInvitationHandler serves WithdrawInvitation;
    accept_invitation: AcceptInvitationHandler serves AcceptInvitation;
    mint_api_key: MintApiKeyHandler serves MintApiKey;
    list_api_keys: ListApiKeysHandler serves ListApiKeys;
    revoke_api_key: RevokeApiKeyHandler serves RevokeApiKey;
    list_audit_entries: ListAuditEntriesHandler serves ListAuditEntries;
    create_application: CreateApplicationHandler serves CreateApplication;
    list_applications: ListApplicationsHandler serves ListApplications;
    get_application: GetApplicationHandler serves GetApplication;
    put_application: PutApplicationHandler serves PutApplication;
    patch_application: PatchApplicationHandler serves PatchApplication;
    delete_application: DeleteApplicationHandler serves DeleteApplication;
    mint_portal_token: MintPortalTokenHandler serves MintPortalToken;
    revoke_portal_tokens: RevokePortalTokensHandler serves RevokePortalTokens;
    register_event_type: RegisterEventTypeHandler serves RegisterEventType;
    get_event_type: GetEventTypeHandler serves GetEventType;
    list_event_types: ListEventTypesHandler serves ListEventTypes;
    update_event_type: UpdateEventTypeHandler serves UpdateEventType;
    archive_event_type: ArchiveEventTypeHandler serves ArchiveEventType;
    add_schema: AddSchemaHandler serves AddSchema;
    get_event_type_schema: GetEventTypeSchemaHandler serves GetEventTypeSchema;
    create_endpoint: CreateEndpointHandler serves CreateEndpoint;
    get_endpoint: GetEndpointHandler serves GetEndpoint;
    get_endpoint_secret: GetEndpointSecretHandler serves GetEndpointSecret;
    get_endpoint_stats: GetEndpointStatsHandler serves GetEndpointStats;
    enable_endpoint: EnableEndpointHandler serves EnableEndpoint;
    disable_endpoint: DisableEndpointHandler serves DisableEndpoint;
    list_endpoints: ListEndpointsHandler serves ListEndpoints;
    put_endpoint: PutEndpointHandler serves PutEndpoint;
    patch_endpoint: PatchEndpointHandler serves PatchEndpoint;
    delete_endpoint: DeleteEndpointHandler serves DeleteEndpoint;
    rotate_endpoint_secret: RotateEndpointSecretHandler serves RotateEndpointSecret;
    send_test: SendTestHandler serves SendTest;
    publish_message: PublishMessageHandler serves PublishMessage;
    publish_batch: PublishBatchHandler serves PublishBatch;
    list_messages: ListMessagesHandler serves ListMessages;
    get_message: GetMessageHandler serves GetMessage;
    cancel_message: CancelMessageHandler serves CancelMessage;
    get_payload: GetPayloadHandler serves GetPayload;
    search_deliveries: SearchDeliveriesHandler serves SearchDeliveries;
    expunge_payload: ExpungePayloadHandler serves ExpungePayload;
    list_deliveries: ListDeliveriesHandler serves ListDeliveries;
    list_attempts: ListAttemptsHandler serves ListAttempts;
    resend_delivery: ResendDeliveryHandler serves ResendDelivery;
    create_replay: CreateReplayHandler serves CreateReplay;
    list_replays: ListReplaysHandler serves ListReplays;
    get_replay: GetReplayHandler serves GetReplay;
    cancel_replay: CancelReplayHandler serves CancelReplay;
    create_tenant: CreateTenantHandler serves CreateTenant;
    list_tenants: ListTenantsHandler serves ListTenants;
    show_tenant: ShowTenantHandler serves ShowTenant;
    suspend_tenant: SuspendTenantHandler serves SuspendTenant;
    resume_tenant: ResumeTenantHandler serves ResumeTenant;
    delete_tenant: DeleteTenantHandler serves DeleteTenant;
    issue_password_reset: IssuePasswordResetHandler serves IssuePasswordReset;
    rotate_signing_key: RotateSigningKeyHandler serves RotateSigningKey;
    rotate_master_key: RotateMasterKeyHandler serves RotateMasterKey;
    show_status: ShowStatusHandler serves ShowStatus;
    list_dead_letters: ListDeadLettersHandler serves ListDeadLetters;
    retry_dead_letter: RetryDeadLetterHandler serves RetryDeadLetter;
    discard_dead_letter: DiscardDeadLetterHandler serves DiscardDeadLetter;
}

impl<S: Clone> UseCases<S> {
    /// Composes every handler from `ports`.
    pub fn new(ports: &Ports<S>, settings: &Settings) -> Self {
        let store = || ports.store.clone();
        let (clock, ids) = (|| ports.clock.clone(), || ports.ids.clone());
        Self {
            log_in: LogInHandler::new(ports, settings),
            refresh_session: RefreshSessionHandler::new(ports, settings),
            log_out: LogOutHandler::new(ports),
            reset_password: ResetPasswordHandler::new(ports),
            get_me: GetMeHandler::new(store()),
            change_password: ChangePasswordHandler::new(ports),
            end_my_sessions: EndMySessionsHandler::new(store()),
            get_tenant: GetTenantHandler::new(store()),
            get_usage: GetUsageHandler::new(store(), clock()),
            update_tenant: UpdateTenantHandler::new(store()),
            export_tenant: ExportTenantHandler::new(ports),
            list_members: ListMembersHandler::new(store()),
            change_grants: ChangeGrantsHandler::new(ports),
            remove_member: RemoveMemberHandler::new(store()),
            invite: InviteHandler::new(ports, settings),
            list_invitations: ListInvitationsHandler::new(store()),
            withdraw_invitation: WithdrawInvitationHandler::new(store()),
            accept_invitation: AcceptInvitationHandler::new(ports),
            mint_api_key: MintApiKeyHandler::new(ports),
            list_api_keys: ListApiKeysHandler::new(store()),
            revoke_api_key: RevokeApiKeyHandler::new(store()),
            list_audit_entries: ListAuditEntriesHandler::new(store()),
            create_application: CreateApplicationHandler::new(store(), clock(), ids()),
            list_applications: ListApplicationsHandler::new(store()),
            get_application: GetApplicationHandler::new(store()),
            put_application: PutApplicationHandler::new(store(), clock(), ids()),
            patch_application: PatchApplicationHandler::new(store()),
            delete_application: DeleteApplicationHandler::new(store(), clock()),
            mint_portal_token: MintPortalTokenHandler::new(ports),
            revoke_portal_tokens: RevokePortalTokensHandler::new(store(), clock()),
            register_event_type: RegisterEventTypeHandler::new(ports, settings),
            get_event_type: GetEventTypeHandler::new(store()),
            list_event_types: ListEventTypesHandler::new(store()),
            update_event_type: UpdateEventTypeHandler::new(store()),
            archive_event_type: ArchiveEventTypeHandler::new(store(), clock()),
            add_schema: AddSchemaHandler::new(ports),
            get_event_type_schema: GetEventTypeSchemaHandler::new(store()),
            get_endpoint: GetEndpointHandler::new(store()),
            get_endpoint_stats: GetEndpointStatsHandler::new(store(), clock()),
            create_endpoint: CreateEndpointHandler::new(ports, settings),
            get_endpoint_secret: GetEndpointSecretHandler::new(store(), clock()),
            enable_endpoint: EnableEndpointHandler::new(store()),
            list_endpoints: ListEndpointsHandler::new(store()),
            put_endpoint: PutEndpointHandler::new(ports, settings),
            patch_endpoint: PatchEndpointHandler::new(store(), settings),
            delete_endpoint: DeleteEndpointHandler::new(store()),
            rotate_endpoint_secret: RotateEndpointSecretHandler::new(ports),
            send_test: SendTestHandler::new(ports),
            disable_endpoint: DisableEndpointHandler::new(store(), clock()),
            publish_message: PublishMessageHandler::new(ports, settings),
            publish_batch: PublishBatchHandler::new(ports, settings),
            list_messages: ListMessagesHandler::new(store()),
            get_message: GetMessageHandler::new(store()),
            cancel_message: CancelMessageHandler::new(store()),
            get_payload: GetPayloadHandler::new(store()),
            search_deliveries: SearchDeliveriesHandler::new(store(), ports.directory.clone()),
            expunge_payload: ExpungePayloadHandler::new(store()),
            list_deliveries: ListDeliveriesHandler::new(store()),
            list_attempts: ListAttemptsHandler::new(store()),
            resend_delivery: ResendDeliveryHandler::new(
                store(),
                ports.work_signal.clone(),
                ports.trace.clone(),
                clock(),
                ids(),
            ),
            create_replay: CreateReplayHandler::new(store(), ports.trace.clone(), clock(), ids(), settings),
            list_replays: ListReplaysHandler::new(store()),
            get_replay: GetReplayHandler::new(store()),
            cancel_replay: CancelReplayHandler::new(store(), clock()),
            create_tenant: CreateTenantHandler::new(store(), ports.passwords.clone(), clock(), ids()),
            list_tenants: ListTenantsHandler::new(store()),
            show_tenant: ShowTenantHandler::new(store()),
            suspend_tenant: SuspendTenantHandler::new(store(), clock()),
            resume_tenant: ResumeTenantHandler::new(store(), clock()),
            delete_tenant: DeleteTenantHandler::new(store(), clock()),
            issue_password_reset: IssuePasswordResetHandler::new(ports, settings),
            rotate_signing_key: RotateSigningKeyHandler::new(ports),
            rotate_master_key: RotateMasterKeyHandler::new(ports),
            show_status: ShowStatusHandler::new(store()),
            list_dead_letters: ListDeadLettersHandler::new(store()),
            retry_dead_letter: RetryDeadLetterHandler::new(store()),
            discard_dead_letter: DiscardDeadLetterHandler::new(store()),
        }
    }
}
