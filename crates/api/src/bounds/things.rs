//! What tenants make: resources, endpoints, messages, schemas; and who they are.

use std::time::Duration;

use postrider_application::{
    applications::MAX_PORTAL_TOKEN_LIFETIME,
    authentication::{MAX_PASSWORD_BYTES, MIN_PASSWORD_CHARS},
    messages::PublishBatch,
};
use postrider_cache::ThrottleOptions;
use postrider_domain::{
    Description, Metadata, Name, Uid,
    access::MAX_GRANTS,
    deliveries::RetrySchedule,
    endpoints::{
        AttemptTimeout, CustomHeaders, EndpointUrl, Filter, HeaderName, HeaderValue, Overlap, SecretRing,
        SigningSecret,
    },
    event_types::{EventTypeName, SchemaText, SchemaVersion},
    messages::{Channel, Channels, ContentType},
    replays::ReplayLimit,
    users::{Email, Invitation},
};
use postrider_schema::{LIMITS as SCHEMA, SchemaOptions};

use super::{
    Bound, REFUSED,
    words::{allowance, bytes, characters, count, large, milliseconds, number, time},
};

pub(super) fn resources() -> Vec<Bound> {
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
            "Name of an event type",
            characters(EventTypeName::MAX_CHARS),
            REFUSED,
        ),
        ("Channel", characters(Channel::MAX_CHARS), REFUSED),
        ("Messages of a replay", number(ReplayLimit::MAX.into()), REFUSED),
    ]
}

pub(super) fn endpoints() -> Vec<Bound> {
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

pub(super) fn messages() -> Vec<Bound> {
    vec![
        ("Messages of a batch", count(PublishBatch::MAX), REFUSED),
        ("Channels of a message", count(Channels::MAX), REFUSED),
        ("Media type", characters(ContentType::MAX_CHARS), REFUSED),
    ]
}

pub(super) fn schemas() -> Vec<Bound> {
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

pub(super) fn people() -> Vec<Bound> {
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
