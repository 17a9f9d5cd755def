//! What is exported, kind by kind.
//!
//! Each statement selects rows after a key, which are its first parameters, and at most so many. Where no index
//! begins with the tenant, the parameter after the key is the end of the window; where rows are large, the parameter
//! after the limit is how many bytes there is room for: the first row always comes, and then as many as begin before
//! the room is used up.

use postrider_application::ports::StoreError;
use sea_orm::{FromQueryResult, QueryResult};
use serde::Serialize;

use super::rows;
use crate::error::{OrStoreError as _, corrupt};

/// The type of a column of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Id,
    Number,
    Text,
}

/// One kind of rows.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) sql: &'static str,
    /// The columns of the key as they are selected.
    pub(super) key: &'static [(&'static str, Part)],
    /// The table and the first column of its key, if it is walked through by windows.
    pub(super) walked: Option<(&'static str, &'static str)>,
    /// Whether its rows are large.
    pub(super) large: bool,
    /// A row as JSON.
    pub(super) json: fn(&QueryResult) -> Result<String, StoreError>,
}

fn json<R: FromQueryResult + Serialize>(row: &QueryResult) -> Result<String, StoreError> {
    let row = R::from_query_result(row, "").or_store_error()?;
    serde_json::to_string(&row).map_err(|why| corrupt("row", why))
}

const fn kind(
    name: &'static str,
    sql: &'static str,
    key: &'static [(&'static str, Part)],
    json: fn(&QueryResult) -> Result<String, StoreError>,
) -> Kind {
    Kind {
        name,
        sql,
        key,
        walked: None,
        large: false,
        json,
    }
}

impl Kind {
    const fn walked(self, table: &'static str, column: &'static str) -> Self {
        Self {
            walked: Some((table, column)),
            ..self
        }
    }

    const fn large(self) -> Self {
        Self { large: true, ..self }
    }
}

const ID: &[(&str, Part)] = &[("id", Part::Id)];

/// All of them, in their order.
pub(super) static KINDS: [Kind; 18] = [
    kind("tenant", TENANT, ID, json::<rows::TenantRow>),
    kind("member", MEMBERS, ID, json::<rows::MemberRow>),
    kind("invitation", INVITATIONS, ID, json::<rows::InvitationRow>),
    kind("session", SESSIONS, ID, json::<rows::SessionRow>),
    kind("api_key", API_KEYS, ID, json::<rows::ApiKeyRow>),
    kind("application", APPLICATIONS, ID, json::<rows::ApplicationRow>),
    kind(
        "event_type",
        EVENT_TYPES,
        &[("name", Part::Text)],
        json::<rows::EventTypeRow>,
    ),
    kind(
        "schema",
        SCHEMAS,
        &[("event_type", Part::Text), ("number", Part::Number)],
        json::<rows::SchemaRow>,
    )
    .large(),
    kind(
        "endpoint",
        ENDPOINTS,
        &[("application", Part::Id), ("id", Part::Id)],
        json::<rows::EndpointRow>,
    ),
    kind("message", MESSAGES, ID, json::<rows::MessageRow>)
        .walked("messages", "id")
        .large(),
    kind(
        "delivery",
        DELIVERIES,
        &[("message", Part::Id), ("endpoint", Part::Id)],
        json::<rows::DeliveryRow>,
    )
    .walked("deliveries", "message"),
    kind(
        "attempt",
        ATTEMPTS,
        &[
            ("message", Part::Id),
            ("endpoint", Part::Id),
            ("number", Part::Number),
        ],
        json::<rows::AttemptRow>,
    )
    .walked("attempts", "message")
    .large(),
    kind("replay", REPLAYS, ID, json::<rows::ReplayRow>),
    kind(
        "endpoint_stats",
        ENDPOINT_STATS,
        &[("endpoint", Part::Id), ("hour", Part::Number)],
        json::<rows::EndpointStatsRow>,
    ),
    kind("usage", USAGE, &[("day", Part::Number)], json::<rows::UsageRow>),
    kind("queued", QUEUED, ID, json::<rows::QueuedRow>).walked("outbox_work", "id"),
    kind(
        "event",
        EVENTS,
        &[("position", Part::Number)],
        json::<rows::EventRow>,
    )
    .walked("outbox_events", "pos"),
    kind("audit_entry", AUDIT_ENTRIES, ID, json::<rows::AuditEntryRow>),
];

const TENANT: &str = "
SELECT id, name, status, status_since, created_at, schema_validation, unregistered_event_types FROM tenants
WHERE id = {tenant} AND id > $1 ORDER BY id LIMIT $2";

const MEMBERS: &str = "
SELECT m.id, m.user_id AS \"user\", u.email, u.name, m.grants, m.created_at
FROM memberships m JOIN users u ON u.id = m.user_id
WHERE m.tenant = {tenant} AND m.id > $1 ORDER BY m.id LIMIT $2";

const INVITATIONS: &str = "
SELECT id, email, grants, invited_by, created_at, expires_at FROM invitations
WHERE tenant = {tenant} AND id > $1 ORDER BY id LIMIT $2";

const SESSIONS: &str = "
SELECT id, user_id AS \"user\", created_at, expires_at, refresh_expires_at FROM sessions
WHERE tenant = {tenant} AND id > $1 ORDER BY id LIMIT $2";

const API_KEYS: &str = "
SELECT id, name, grants, created_at, expires_at, last_used_at FROM api_keys
WHERE tenant = {tenant} AND id > $1 ORDER BY id LIMIT $2";

const APPLICATIONS: &str = "
SELECT id, uid, name, metadata, NULLIF(tokens_valid_after, 0) AS tokens_valid_after, created_at, deleted_at
FROM applications
WHERE tenant = {tenant} AND id > $1 ORDER BY id LIMIT $2";

const EVENT_TYPES: &str = "
SELECT name, description, created_at, archived_at FROM event_types
WHERE tenant = {tenant} AND name > $1 ORDER BY name LIMIT $2";

const SCHEMAS: &str = "
SELECT s.event_type, CAST(s.number AS bigint) AS number, s.schema, s.example, s.created_at
FROM (
    SELECT found.*, sum(found.bytes) OVER (ORDER BY found.event_type, found.number) - found.bytes AS bytes_before
    FROM (
        SELECT *, length(schema) + coalesce(length(example), 0) AS bytes FROM event_type_schemas
        WHERE tenant = {tenant} AND (event_type, number) > ($1, $2) ORDER BY event_type, number LIMIT $3
    ) AS found
) AS s WHERE s.bytes_before < $4 ORDER BY s.event_type, s.number";

const ENDPOINTS: &str = "
SELECT app AS application, id, uid, url, description, event_types, channels, headers, retry_waits AS retry_waits_us,
    timeout_ms, metadata, disabled_why, disabled_at, created_at FROM endpoints
WHERE tenant = {tenant} AND (app, id) > ($1, $2) ORDER BY app, id LIMIT $3";

const MESSAGES: &str = "
SELECT m.id, m.app AS application, m.event_type, m.channels, m.event_id, m.content_type, m.payload_bytes,
    m.created_at, m.trace AS traceparent, m.deliver_at, m.cancelled_at, m.payload_expunged_at, p.body AS payload
FROM (
    SELECT found.*, sum(found.payload_bytes) OVER (ORDER BY found.id) - found.payload_bytes AS bytes_before
    FROM (
        SELECT * FROM messages WHERE tenant = {tenant} AND id > $1 AND id <= $2 ORDER BY id LIMIT $3
    ) AS found
) AS m LEFT JOIN payloads p ON p.message = m.id AND p.tenant = {tenant}
WHERE m.bytes_before < $4 ORDER BY m.id";

const DELIVERIES: &str = "
SELECT message, endpoint, app AS application, status, reason, due_at, attempts, failures, updated_at FROM deliveries
WHERE tenant = {tenant} AND (message, endpoint) > ($1, $2) AND message <= $3 ORDER BY message, endpoint LIMIT $4";

const ATTEMPTS: &str = "
SELECT a.message, a.endpoint, a.n AS number, a.started_at, a.latency_us, a.failure, a.http_status,
    a.body AS response_body, a.body_truncated AS response_body_truncated,
    a.response_headers
FROM (
    SELECT found.*, sum(found.bytes) OVER (ORDER BY found.message, found.endpoint, found.n) - found.bytes AS bytes_before
    FROM (
        SELECT message, endpoint, n, length(body) + coalesce(length(response_headers), 0) AS bytes FROM attempts
        WHERE tenant = {tenant} AND (message, endpoint, n) > ($1, $2, $3) AND message <= $4
        ORDER BY message, endpoint, n LIMIT $5
    ) AS found
) AS page JOIN attempts a ON a.message = page.message AND a.endpoint = page.endpoint AND a.n = page.n
    AND a.tenant = {tenant}
WHERE page.bytes_before < $6 ORDER BY a.message, a.endpoint, a.n";

const REPLAYS: &str = "
SELECT id, app AS application, endpoint, mode, from_at, to_at, most AS \"limit\", status, reason, considered, queued,
    skipped, created_at, finished_at FROM replays
WHERE tenant = {tenant} AND id > $1 ORDER BY id LIMIT $2";

const ENDPOINT_STATS: &str = "
SELECT endpoint, hour, app AS application, attempts, delivered, latencies, failure, http_status, failed_at, delivered_at
FROM endpoint_stats
WHERE tenant = {tenant} AND (endpoint, hour) > ($1, $2) ORDER BY endpoint, hour LIMIT $3";

const USAGE: &str = "
SELECT day, accepted, payload_bytes, attempts, delivered, failed FROM tenant_usage
WHERE tenant = {tenant} AND day > $1 ORDER BY day LIMIT $2";

const QUEUED: &str = "
SELECT id, message, endpoint, app AS application, due_at, attempts, failures FROM outbox_work
WHERE tenant = {tenant} AND id > $1 AND id <= $2 ORDER BY id LIMIT $3";

const EVENTS: &str = "
SELECT pos AS position, kind, aggregate, version, CAST(body AS text) AS body, recorded_at FROM outbox_events
WHERE tenant = {tenant} AND pos > $1 AND pos <= $2 ORDER BY pos LIMIT $3";

const AUDIT_ENTRIES: &str = "
SELECT id, at, actor_kind, actor, action, target, outcome, times, address, request_id FROM audit_entries
WHERE tenant = {tenant} AND id > $1 ORDER BY id LIMIT $2";
