//! Bounds that no setting moves, as a page of the documentation, from the constants that hold them.

use std::time::Duration;

use postrider_application::{
    applications::MAX_PORTAL_TOKEN_LIFETIME,
    authentication::{MAX_PASSWORD_BYTES, MIN_PASSWORD_CHARS},
    messages::PublishBatch,
    ports::NewAnswer,
    tenants::{EXPORTS_AT_ONCE, MOST_USAGE_DAYS},
};
use postrider_cache::{Allowance, ThrottleOptions};
use postrider_domain::{
    Description, Metadata, Name, Uid,
    access::MAX_GRANTS,
    deliveries::{CapturedHeaders, RetrySchedule},
    endpoints::{
        AttemptTimeout, CustomHeaders, EndpointUrl, Filter, HeaderName, HeaderValue, Overlap, SecretRing,
        SigningSecret,
    },
    event_types::{EventTypeName, SchemaText, SchemaVersion},
    messages::{Channels, ContentType, DedupKey},
    replays::ReplayLimit,
    users::{Email, Invitation},
};
use postrider_engine::{EngineOptions, HttpOptions, IntakeOptions};
use postrider_schema::{LIMITS as SCHEMA, SchemaOptions};

use crate::{
    Limits, authentication, composition::ServerOptions, export, extract, management, origin, rates,
    request_id, wire,
};

/// A bound that no setting moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedBound {
    /// What it belongs to.
    pub subject: &'static str,
    /// What is bounded.
    pub what: &'static str,
    /// How much it may be, with its unit.
    pub most: String,
    /// What becomes of more.
    pub beyond: &'static str,
}

const REFUSED: &str = "422 `validation_failed`";

/// All of them, by subject.
pub fn fixed_bounds() -> Vec<FixedBound> {
    let subjects = [
        ("Requests", requests()),
        ("Lists and exports", lists()),
        ("Resources", resources()),
        ("Endpoints", endpoints()),
        ("Messages", messages()),
        ("Schemas of event types", schemas()),
        ("People and credentials", people()),
        ("Receivers", receivers()),
        ("Inside a node", insides()),
    ];
    let of_subject = |(subject, bounds): (&'static str, Vec<Bound>)| {
        bounds.into_iter().map(move |(what, most, beyond)| FixedBound {
            subject,
            what,
            most,
            beyond,
        })
    };
    subjects.into_iter().flat_map(of_subject).collect()
}

type Bound = (&'static str, String, &'static str);

fn requests() -> Vec<Bound> {
    let limits = Limits::default();
    let envelope = limits.max_body_bytes - limits.max_payload_bytes;
    let closed = "the connection is closed";
    vec![
        (
            "Body with a payload, beyond `server.max_payload_bytes`",
            bytes(envelope),
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
            "the request is refused",
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
            closed,
        ),
        (
            "Connections to the management listener",
            count(management::MAX_CONNECTIONS),
            "wait",
        ),
        ("Body there", bytes(management::MAX_BODY), "413"),
        ("Head of a request there", time(management::HEAD_TIMEOUT), closed),
    ]
}

fn lists() -> Vec<Bound> {
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

fn resources() -> Vec<Bound> {
    vec![
        ("Name", characters(Name::MAX_CHARS), REFUSED),
        ("Description", characters(Description::MAX_CHARS), REFUSED),
        ("`uid`", characters(Uid::MAX_CHARS), REFUSED),
        ("Pairs of metadata", count(Metadata::MAX_PAIRS), REFUSED),
        ("Key of metadata", characters(Metadata::MAX_KEY_CHARS), REFUSED),
        (
            "Value of metadata",
            characters(Metadata::MAX_VALUE_CHARS),
            REFUSED,
        ),
        (
            "Name of an event type or channel",
            characters(EventTypeName::MAX_CHARS),
            REFUSED,
        ),
        ("Messages of a replay", number(ReplayLimit::MAX.into()), REFUSED),
    ]
}

fn endpoints() -> Vec<Bound> {
    let timeout = format!(
        "{} to {}",
        milliseconds(AttemptTimeout::MIN_MS),
        milliseconds(AttemptTimeout::MAX_MS)
    );
    let secret = format!(
        "{} to {} bytes",
        SigningSecret::MIN_BYTES,
        SigningSecret::MAX_BYTES
    );
    vec![
        ("URL", bytes(EndpointUrl::MAX_BYTES), REFUSED),
        (
            "Event types, and channels, of a filter",
            count(Filter::MAX_ENTRIES),
            REFUSED,
        ),
        ("Custom headers", count(CustomHeaders::MAX), REFUSED),
        ("Name of a header", characters(HeaderName::MAX_CHARS), REFUSED),
        ("Value of a header", characters(HeaderValue::MAX_CHARS), REFUSED),
        ("Own time-out of attempts", timeout, REFUSED),
        (
            "Waits of a retry schedule",
            count(RetrySchedule::MAX_WAITS),
            REFUSED,
        ),
        (
            "A wait of it",
            format!("1 s to {}", time(RetrySchedule::MAX_WAIT)),
            REFUSED,
        ),
        ("Symmetric secret", secret, REFUSED),
        (
            "Old secrets that sign at a time",
            count(SecretRing::MAX_OLD),
            "409 `secret_limit_reached`",
        ),
        (
            "Overlap of a rotation",
            time(Duration::from_secs(Overlap::MAX_SECONDS)),
            REFUSED,
        ),
    ]
}

fn messages() -> Vec<Bound> {
    vec![
        ("Messages of a batch", count(PublishBatch::MAX), REFUSED),
        ("Channels of a message", count(Channels::MAX), REFUSED),
        ("Media type", characters(ContentType::MAX_CHARS), REFUSED),
    ]
}

fn schemas() -> Vec<Bound> {
    let options = SchemaOptions::default();
    vec![
        ("Schema, and example", bytes(SchemaText::MAX_BYTES), REFUSED),
        (
            "Versions kept of an event type",
            number(SchemaVersion::MAX_KEPT.into()),
            "the oldest goes",
        ),
        (
            "Depth, references written out",
            number(SCHEMA.depth.into()),
            REFUSED,
        ),
        ("Values, references written out", number(SCHEMA.weight), REFUSED),
        (
            "Patterns, references written out",
            number(SCHEMA.patterns),
            REFUSED,
        ),
        (
            "Names and texts, references written out",
            large(SCHEMA.text),
            REFUSED,
        ),
        ("Compiled", large(SCHEMA.compiled), REFUSED),
        (
            "Values of a payload times values of its schema",
            number(SCHEMA.cost),
            "the payload counts as breaking it",
        ),
        ("Faults told of a payload", count(SCHEMA.faults), "left out"),
        (
            "Schemas applied at once on a node; one tenant half of them",
            count(options.threads),
            "wait",
        ),
        (
            "Wait for that, and time for it",
            time(options.patience),
            "503 `unavailable`",
        ),
        (
            "Compiled schemas in memory",
            large(options.compiled_bytes),
            "compiled again",
        ),
    ]
}

fn people() -> Vec<Bound> {
    let throttle = ThrottleOptions::default();
    let waits = "429 `too_many_attempts`, `Retry-After`";
    vec![
        ("E-mail address", characters(Email::MAX_CHARS), REFUSED),
        (
            "Password",
            format!("{MIN_PASSWORD_CHARS} characters to {}", bytes(MAX_PASSWORD_BYTES)),
            REFUSED,
        ),
        ("Grants of a principal", count(MAX_GRANTS), REFUSED),
        ("Life of a portal token", time(MAX_PORTAL_TOKEN_LIFETIME), REFUSED),
        (
            "Life of an invitation",
            time(Invitation::MAX_LIFETIME),
            "`postrider config check` refuses it",
        ),
        (
            "Wrong passwords at one account, from strange places",
            allowance(throttle.account),
            waits,
        ),
        (
            "The same from a place that was right before",
            allowance(throttle.place),
            waits,
        ),
        (
            "Wrong passwords from one address",
            allowance(throttle.address),
            waits,
        ),
        (
            "The same from the network around it",
            allowance(throttle.network),
            waits,
        ),
        (
            "Accounts, addresses, networks remembered",
            number(throttle.max_entries),
            "those seen least are forgotten",
        ),
    ]
}

fn receivers() -> Vec<Bound> {
    let http = HttpOptions::default();
    vec![
        (
            "Addresses of a name that are tried",
            count(HttpOptions::MAX_ADDRESSES),
            "not tried",
        ),
        (
            "Status line and headers of an answer",
            bytes(http.max_response_header_bytes),
            "the attempt fails",
        ),
        (
            "Headers of an answer",
            count(HttpOptions::MAX_RESPONSE_HEADERS),
            "the attempt fails",
        ),
        (
            "Body of an answer that is read",
            bytes(http.max_response_read_bytes),
            "the connection is closed; the status counts",
        ),
        (
            "Headers of an answer that are kept",
            count(CapturedHeaders::MAX_HEADERS),
            "left out",
        ),
        ("Bytes of them", bytes(CapturedHeaders::MAX_BYTES), "left out"),
        (
            "Unused connections to one host",
            count(http.pool_max_idle_per_host),
            "closed",
        ),
        ("Time that one is kept", time(http.pool_idle_timeout), "closed"),
    ]
}

fn insides() -> Vec<Bound> {
    let (engine, intake) = (EngineOptions::default(), IntakeOptions::default());
    let again = "given up, and repeated";
    vec![
        (
            "Bytes of one commit of messages",
            bytes(intake.batch_bytes),
            "the next one; a longer payload alone",
        ),
        (
            "One try of a commit",
            time(intake.write_timeout),
            "tried again until `intake.accept_timeout_ms`",
        ),
        (
            "Wait of an answer while deliveries do not keep up",
            time(intake.slow_down_for_at_most),
            "answered",
        ),
        (
            "Rows of a claim",
            number(engine.claim_batch.into()),
            "the next one",
        ),
        ("Outcomes of a settle", count(engine.settle_batch), "the next one"),
        ("Time that outcomes gather", time(engine.settle_gather), "written"),
        (
            "Lease of a node",
            time(engine.lease_ttl),
            "others take its work over",
        ),
        (
            "Beat of the lease",
            time(engine.lease_beat),
            "late beats stop it before the lease ends",
        ),
        (
            "Look at the queue without a signal",
            time(engine.poll_net_interval),
            "looked at",
        ),
        (
            "A call of the store by the engine",
            time(engine.store_timeout),
            again,
        ),
    ]
}

/// `65,536`.
fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn count(count: usize) -> String {
    number(wide(count))
}

fn characters(most: usize) -> String {
    format!("{} characters", count(most))
}

fn bytes(most: usize) -> String {
    large(wide(most))
}

fn large(bytes: u64) -> String {
    let units = [("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, size)| bytes.is_multiple_of(*size)) {
        Some((unit, size)) => format!("{} {unit}", number(bytes / size)),
        None => format!("{} bytes", number(bytes)),
    }
}

fn milliseconds(ms: u64) -> String {
    time(Duration::from_millis(ms))
}

fn time(time: Duration) -> String {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let units = [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)];
    // A day is told in hours, as it is everywhere.
    let fits = |(_, size): &(&str, u64)| ms.is_multiple_of(*size) && (*size < 86_400_000 || ms > 86_400_000);
    match units.into_iter().find(fits) {
        Some((unit, size)) => format!("{} {unit}", number(ms / size)),
        None => format!("{} ms", number(ms)),
    }
}

fn allowance(allowed: Allowance) -> String {
    let (first, longest) = (time(allowed.first_wait), time(allowed.longest_wait));
    format!("{}, then waits of {first} to {longest}", allowed.free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_told_in_units() {
        assert_eq!(bytes(65_536), "64 KiB");
        assert_eq!(bytes(2_048), "2 KiB");
        assert_eq!(bytes(1_000), "1,000 bytes");
        assert_eq!(milliseconds(100), "100 ms");
        assert_eq!(milliseconds(15_000), "15 s");
        assert_eq!(time(Duration::from_hours(24)), "24 h");
        assert_eq!(time(Duration::from_hours(168)), "7 d");
    }

    #[test]
    fn each_bound_stands_once_and_says_what_becomes_of_more() {
        let bounds = fixed_bounds();
        for (index, bound) in bounds.iter().enumerate() {
            assert!(!bound.most.is_empty() && !bound.beyond.is_empty(), "{bound:?}");
            let again = bounds[..index]
                .iter()
                .any(|other| (other.subject, other.what) == (bound.subject, bound.what));
            assert!(!again, "{bound:?}");
        }
        let depth = bounds
            .iter()
            .find(|bound| bound.what.starts_with("Arrays"))
            .unwrap();
        assert_eq!(depth.most, extract::MAX_DEPTH.to_string());
    }
}
