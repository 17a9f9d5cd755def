//! What comes in, and what goes out: requests, lists, the management listener.

use postrider_application::{
    ports::NewAnswer,
    tenants::{EXPORTS_AT_ONCE, MOST_USAGE_DAYS},
};
use postrider_domain::messages::DedupKey;

use super::{
    Bound, REFUSED,
    words::{bytes, characters, count, number, time},
};
use crate::{
    Limits, authentication, composition::ServerOptions, export, extract, management, origin, rates,
    request_id, wire,
};

const CLOSED: &str = "the connection is closed";

pub(super) fn requests() -> Vec<Bound> {
    let limits = Limits::default();
    let envelope = limits.max_body_bytes - limits.max_payload_bytes;
    vec![
        (
            "Body with a payload, beyond `server.max_payload_bytes`",
            bytes(envelope),
            "413 `payload_too_large`",
        ),
        (
            "Body without a credential: logging in and out, refreshing, accepting an invitation, a password reset",
            bytes(limits.max_public_body_bytes),
            "413 `payload_too_large`",
        ),
        (
            "Any other body",
            bytes(limits.max_resource_body_bytes),
            "413 `payload_too_large`",
        ),
        (
            "Time for a body to arrive",
            time(limits.body_timeout),
            "400 `malformed_request`",
        ),
        (
            "Arrays and objects within each other, of a body as a whole",
            count(extract::MAX_DEPTH),
            REFUSED,
        ),
        (
            "Violations told in one answer",
            count(wire::MAX_VIOLATIONS),
            "left out",
        ),
        (
            "Credential",
            bytes(authentication::MAX_BEARER),
            "401 `unauthenticated`",
        ),
        (
            "`X-Request-Id` of a client",
            characters(request_id::MAX_CHARS),
            "another id is made",
        ),
        (
            "`event_id`, `Idempotency-Key`",
            characters(DedupKey::MAX_CHARS),
            REFUSED,
        ),
        (
            "Answer that is kept for a repetition",
            bytes(NewAnswer::MAX_BYTES),
            "500; no resource is as large",
        ),
    ]
}

pub(super) fn callers() -> Vec<Bound> {
    vec![
        (
            "Own proxies passed (`server.trusted_proxies`)",
            count(origin::MAX_PROXIES),
            "the next address is taken for the client",
        ),
        (
            "Tenants, and credentials, whose requests are counted (`[limits]`)",
            count(rates::MOST_COUNTED),
            "the fullest quota of its part is forgotten",
        ),
        (
            "Silence of a connection after an answer",
            time(ServerOptions::default().keep_alive),
            CLOSED,
        ),
    ]
}

pub(super) fn management() -> Vec<Bound> {
    vec![
        ("Connections", count(management::MAX_CONNECTIONS), "wait"),
        ("Body", bytes(management::MAX_BODY), "413"),
        (
            "Time for the head of a request",
            time(management::HEAD_TIMEOUT),
            CLOSED,
        ),
    ]
}

pub(super) fn lists() -> Vec<Bound> {
    vec![
        ("Items of a page", number(wire::page::MAX_LIMIT.into()), REFUSED),
        (
            "Items of a page, unless asked for",
            number(wire::page::DEFAULT_LIMIT.into()),
            "the next page",
        ),
        ("Days of `GET /v1/tenant/usage`", number(MOST_USAGE_DAYS), REFUSED),
        (
            "Exports under way on a node",
            count(EXPORTS_AT_ONCE),
            "503 `unavailable`, `Retry-After: 30`",
        ),
        ("Time of an export", time(export::LONGEST), "it is cut off"),
        (
            "Time that a piece of an export may wait until it is taken",
            time(export::UNTAKEN),
            "it is cut off",
        ),
    ]
}
