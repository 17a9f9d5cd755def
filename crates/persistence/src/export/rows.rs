//! One row of each kind: what is selected, under the name by which it is shown. What is not here is not shown:
//! hashes of passwords, tokens and secrets, and sealed secrets.

use sea_orm::FromQueryResult;
use serde::Serialize;

use super::values::{
    ApiKey, Application, AuditEntry, Base64, Endpoint, Grants, Invitation, Json, Member, Message, Replay,
    Session, Tenant, Time, User,
};
use crate::codec::{StoredHeaders, StoredMetadata, StoredTexts, StoredWaits};

#[derive(FromQueryResult, Serialize)]
pub(super) struct TenantRow {
    id: Tenant,
    name: String,
    status: String,
    status_since: Time,
    created_at: Time,
    schema_validation: String,
    unregistered_event_types: String,
}

#[derive(FromQueryResult, Serialize)]
pub(super) struct MemberRow {
    id: Member,
    user: User,
    email: String,
    name: String,
    grants: Grants,
    created_at: Time,
}

#[derive(FromQueryResult, Serialize)]
pub(super) struct InvitationRow {
    id: Invitation,
    email: String,
    grants: Grants,
    invited_by: String,
    created_at: Time,
    expires_at: Time,
}

#[derive(FromQueryResult, Serialize)]
pub(super) struct SessionRow {
    id: Session,
    user: User,
    created_at: Time,
    expires_at: Time,
    refresh_expires_at: Time,
}

#[derive(FromQueryResult, Serialize)]
pub(super) struct ApiKeyRow {
    id: ApiKey,
    name: String,
    grants: Grants,
    created_at: Time,
    expires_at: Option<Time>,
    last_used_at: Option<Time>,
}

#[derive(FromQueryResult, Serialize)]
pub(super) struct ApplicationRow {
    id: Application,
    uid: Option<String>,
    name: String,
    metadata: StoredMetadata,
    tokens_valid_after: Option<Time>,
    created_at: Time,
    deleted_at: Option<Time>,
}

#[derive(FromQueryResult, Serialize)]
pub(super) struct EventTypeRow {
    name: String,
    description: String,
    created_at: Time,
    archived_at: Option<Time>,
}

#[derive(FromQueryResult, Serialize)]
pub(super) struct SchemaRow {
    event_type: String,
    number: i64,
    /// Text of JSON, as the tenant wrote it.
    schema: String,
    example: Option<String>,
    created_at: Time,
}

#[derive(FromQueryResult, Serialize)]
pub(super) struct EndpointRow {
    application: Application,
    id: Endpoint,
    uid: Option<String>,
    url: String,
    description: String,
    event_types: StoredTexts,
    channels: StoredTexts,
    /// By name; secret values are null.
    headers: Option<StoredHeaders>,
    retry_waits_us: Option<StoredWaits>,
    timeout_ms: Option<i32>,
    metadata: StoredMetadata,
    disabled_why: Option<String>,
    disabled_at: Option<Time>,
    created_at: Time,
}

#[derive(FromQueryResult, Serialize)]
pub(super) struct MessageRow {
    id: Message,
    application: Application,
    event_type: String,
    channels: StoredTexts,
    event_id: Option<String>,
    content_type: String,
    payload_bytes: i64,
    created_at: Time,
    traceparent: Option<String>,
    deliver_at: Option<Time>,
    cancelled_at: Option<Time>,
    payload_expunged_at: Option<Time>,
    /// None if it went earlier than the message.
    payload: Option<Base64>,
}

#[derive(FromQueryResult, Serialize)]
pub(super) struct DeliveryRow {
    message: Message,
    endpoint: Endpoint,
    application: Application,
    status: String,
    reason: Option<String>,
    due_at: Option<Time>,
    attempts: i32,
    failures: i32,
    updated_at: Time,
}

#[derive(FromQueryResult, Serialize)]
pub(super) struct AttemptRow {
    message: Message,
    endpoint: Endpoint,
    number: i32,
    started_at: Time,
    latency_us: i64,
    failure: Option<String>,
    http_status: Option<i32>,
    response_body: Base64,
    response_body_truncated: bool,
    /// Names and values; none if none were kept.
    response_headers: Option<Json>,
}

#[derive(FromQueryResult, Serialize)]
pub(super) struct ReplayRow {
    id: Replay,
    application: Application,
    endpoint: Endpoint,
    mode: String,
    from_at: Time,
    to_at: Time,
    limit: i64,
    status: String,
    reason: Option<String>,
    considered: i64,
    queued: i64,
    skipped: i64,
    created_at: Time,
    finished_at: Option<Time>,
}

#[derive(FromQueryResult, Serialize)]
pub(super) struct EndpointStatsRow {
    endpoint: Endpoint,
    hour: Time,
    application: Application,
    attempts: i64,
    delivered: i64,
    latencies: Json,
    failure: Option<String>,
    http_status: Option<i32>,
    failed_at: Option<Time>,
    delivered_at: Option<Time>,
}

#[derive(FromQueryResult, Serialize)]
pub(super) struct UsageRow {
    day: Time,
    accepted: i64,
    payload_bytes: i64,
    attempts: i64,
    delivered: i64,
    failed: i64,
}

#[derive(FromQueryResult, Serialize)]
pub(super) struct QueuedRow {
    message: Message,
    /// None: the message is to be fanned out.
    endpoint: Option<Endpoint>,
    application: Application,
    due_at: Time,
    attempts: i32,
    failures: i32,
}

#[derive(FromQueryResult, Serialize)]
pub(super) struct EventRow {
    position: i64,
    kind: String,
    aggregate: String,
    version: i32,
    body: Json,
    recorded_at: Time,
}

#[derive(FromQueryResult, Serialize)]
pub(super) struct AuditEntryRow {
    id: AuditEntry,
    at: Time,
    actor_kind: String,
    actor: String,
    action: String,
    target: Option<String>,
    outcome: String,
    times: i32,
    address: Option<String>,
    request_id: Option<String>,
}
