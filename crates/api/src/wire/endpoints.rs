use std::{collections::BTreeMap, time::Duration};

use postrider_application::{
    Error, Violation,
    endpoints::{CreateEndpoint, CreatedEndpoint},
    ports::EndpointView,
};
use postrider_domain::{
    Description, Metadata, Uid,
    deliveries::RetrySchedule,
    endpoints::{
        AttemptTimeout, CustomHeaders, EndpointSecret, EndpointStatus, EndpointUrl, Filter, InvalidHeaders,
    },
    event_types::EventTypeName,
    messages::Channel,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::{
    Body, Checked, Checks, Object, Whole,
    headers::{self, Header, NewHeader},
    path::ApplicationPath,
    secrets::new_secret,
    time,
};

/// An endpoint to be created.
// No `Debug`: it may hold a secret.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({
    "url": "https://example.com/webhooks",
    "uid": "billing",
    "description": "The billing system",
    "event_types": ["invoice.paid"],
    "headers": {"x-environment": "production", "authorization": {"value": "Bearer abc", "secret": true}},
    "retry_policy": {"schedule_seconds": [5, 300, 1800]},
    "timeout_ms": 15000
})))]
pub(crate) struct NewEndpoint {
    /// Where webhooks are sent: `http` or `https`, without credentials, not to a private address.
    #[schema(format = "uri", min_length = 1, max_length = 2048)]
    url: String,
    /// Your own name for it, usable wherever its id is.
    #[schema(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:-]+$")]
    uid: Option<String>,
    /// What it is for.
    #[schema(max_length = 1000)]
    description: Option<String>,
    /// Which event types it wants; all, if empty.
    #[validate(length(max = 100, code = "too_long", message = "must have at most 100 entries"))]
    #[schema(max_items = 100)]
    event_types: Option<Vec<String>>,
    /// Which channels it wants; all messages, if empty.
    #[validate(length(max = 100, code = "too_long", message = "must have at most 100 entries"))]
    #[schema(max_items = 100)]
    channels: Option<Vec<String>>,
    /// What its webhooks are signed with: `whsec_` and the base64 of 24 to 64 bytes, or `whsk_` and the base64 of an
    /// Ed25519 seed (32 bytes) or of the seed and its public key (64 bytes); generated, if absent.
    #[schema(format = "password", max_length = 134)]
    secret: Option<String>,
    /// What is generated: `hmac` (the default) or `ed25519`. Not together with `secret`.
    secret_type: Option<String>,
    /// What is sent with every webhook besides, at most 20. Names are tokens of at most 64 characters, lower-cased;
    /// those that Postrider or the connection says are reserved (`webhook-*`, `content-*`, `proxy-*`, `x-forwarded-*`,
    /// `host`, `user-agent`, `cookie`, `date`, `connection`, `te`, `traceparent`…).
    #[schema(value_type = Option<BTreeMap<String, NewHeader>>)]
    headers: Option<BTreeMap<String, Header>>,
    /// When to try again; the installation's schedule, if absent.
    #[validate(nested)]
    #[schema(value_type = Option<RetryPolicy>)]
    retry_policy: Option<Object<RetryPolicy>>,
    /// How many milliseconds one attempt may take; the installation's time-out, if absent.
    #[schema(value_type = Option<u64>, minimum = 1000, maximum = 60000)]
    timeout_ms: Option<Whole>,
    /// Your notes: at most 50 pairs, keys of 1 to 64 and values of at most 500 characters.
    metadata: Option<BTreeMap<String, String>>,
}

/// When to try again.
#[derive(Debug, Deserialize, Serialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryPolicy {
    /// The seconds to wait after the first, second... failed attempt, from 1 to 86400 each. Jitter may lengthen a
    /// wait, never shorten it. Empty for one attempt only.
    #[validate(length(max = 20, code = "too_long", message = "must have at most 20 waits"))]
    #[schema(value_type = Vec<u64>, max_items = 20, examples(json!([5, 300, 1800])))]
    pub(super) schedule_seconds: Vec<Whole>,
}

impl Body for NewEndpoint {}

impl NewEndpoint {
    /// The command.
    pub(crate) fn into_command(self, path: &ApplicationPath) -> Result<CreateEndpoint, Error> {
        let mut checks = Checks::of(&self);
        let application = path.application(&mut checks);
        let url = checks.check("url", EndpointUrl::parse(&self.url));
        let uid = checks.optional("uid", self.uid.as_deref(), Uid::parse);
        let description = checks.check(
            "description",
            Description::parse(self.description.as_deref().unwrap_or_default()),
        );
        let filter = filter(
            &mut checks,
            self.event_types.unwrap_or_default(),
            self.channels.unwrap_or_default(),
        );
        let secret = new_secret(&mut checks, self.secret.as_deref(), self.secret_type.as_deref());
        let headers = new_headers(&mut checks, self.headers);
        let retry_schedule = schedule(&mut checks, self.retry_policy);
        let timeout = checks.optional("timeout_ms", self.timeout_ms, |Whole(ms)| {
            AttemptTimeout::from_millis(ms)
        });
        let metadata = checks.check("metadata", Metadata::parse(self.metadata.unwrap_or_default()));
        let create = (|| {
            Some(CreateEndpoint {
                application: application?,
                uid: uid?,
                url: url?,
                description: description?,
                filter: filter?,
                secret: secret?.unwrap_or_default(),
                headers: headers?,
                retry_schedule: retry_schedule?,
                timeout: timeout?,
                metadata: metadata?,
            })
        })();
        checks.all((create,)).map(|(create,)| create)
    }
}

/// The headers of a new endpoint: none is stored, so each has a value.
fn new_headers(checks: &mut Checks, headers: Option<BTreeMap<String, Header>>) -> Checked<CustomHeaders> {
    let given = headers::given(checks, headers)?;
    CustomHeaders::default()
        .replaced(given)
        .map_err(|InvalidHeaders(invalid)| {
            for (name, why) in invalid {
                let field = name.map_or("headers".to_owned(), |name| format!("headers.{}", name.as_str()));
                checks.push(Violation::new(field, why));
            }
        })
        .ok()
}

/// Each list by itself, so that a fault names the list that it is in.
pub(super) fn filter(
    checks: &mut Checks,
    event_types: Vec<String>,
    channels: Vec<String>,
) -> Checked<Filter> {
    let event_types = checks.list("event_types", event_types, |text| EventTypeName::parse(&text));
    let channels = checks.list("channels", channels, |text| Channel::parse(&text));
    let event_types = event_types.and_then(|list| {
        checks
            .check("event_types", Filter::new(list.clone(), Vec::new()))
            .map(|_| list)
    });
    let channels = channels.and_then(|list| {
        checks
            .check("channels", Filter::new(Vec::new(), list.clone()))
            .map(|_| list)
    });
    checks.check("event_types", Filter::new(event_types?, channels?))
}

pub(super) fn schedule(
    checks: &mut Checks,
    policy: Option<Object<RetryPolicy>>,
) -> Checked<Option<RetrySchedule>> {
    let Some(Object(policy)) = policy else {
        return Some(None);
    };
    let field = "retry_policy.schedule_seconds";
    let waits = checks.list(field, policy.schedule_seconds, |Whole(seconds)| {
        Ok(Duration::from_secs(seconds))
    })?;
    checks.check(field, RetrySchedule::new(waits)).map(Some)
}

/// A URL of an application. It never shows the secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct Endpoint {
    /// Its id.
    #[schema(examples("ep_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    id: String,
    /// The application that it belongs to.
    #[schema(examples("app_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    application: String,
    /// Your own name for it.
    #[schema(required, examples("billing"))]
    uid: Option<String>,
    /// Where webhooks are sent, normalised.
    #[schema(format = "uri", examples("https://example.com/webhooks"))]
    url: String,
    /// What it is for.
    description: String,
    /// Which event types it wants; empty for all.
    event_types: Vec<String>,
    /// Which channels it wants; empty for all messages.
    channels: Vec<String>,
    /// What is sent with every webhook besides. Secret values are never shown: `{"secret": true}`.
    headers: BTreeMap<String, Header>,
    /// Its own retry policy; null for the installation's.
    #[schema(required)]
    retry_policy: Option<RetryPolicy>,
    /// Its own time-out in milliseconds; null for the installation's.
    #[schema(required)]
    timeout_ms: Option<u64>,
    /// Your notes.
    metadata: BTreeMap<String, String>,
    /// `enabled` or `disabled`.
    #[schema(examples("enabled"))]
    status: &'static str,
    /// Why it is disabled: `manual`: somebody did so; `gone`: it answered 410 Gone; `failing`: every attempt has
    /// failed for too long. Null while it is enabled.
    #[schema(required)]
    disabled_reason: Option<&'static str>,
    /// Since when it is disabled; null while it is enabled.
    #[schema(required, format = "date-time")]
    disabled_at: Option<String>,
    /// When it was created.
    #[schema(format = "date-time", examples("2026-11-22T18:00:00.000000Z"))]
    created_at: String,
}

impl From<EndpointView> for Endpoint {
    fn from(view: EndpointView) -> Self {
        let (status, disabled) = match view.status {
            EndpointStatus::Enabled => ("enabled", None),
            EndpointStatus::Disabled { why, at } => ("disabled", Some((why.as_str(), time::show(at)))),
        };
        let (disabled_reason, disabled_at) = disabled.unzip();
        Self {
            id: view.id.to_string(),
            application: view.application.to_string(),
            uid: view.uid.map(|uid| uid.as_str().to_owned()),
            url: view.url.as_str().to_owned(),
            description: view.description.as_str().to_owned(),
            event_types: texts(view.filter.event_types(), EventTypeName::as_str),
            channels: texts(view.filter.channels(), Channel::as_str),
            headers: headers::shown(view.headers),
            retry_policy: view.retry_schedule.as_ref().map(policy),
            timeout_ms: view.timeout.map(AttemptTimeout::as_millis),
            metadata: view.metadata.pairs().clone(),
            status,
            disabled_reason,
            disabled_at,
            created_at: time::show(view.created_at),
        }
    }
}

fn texts<T>(values: &[T], show: impl Fn(&T) -> &str) -> Vec<String> {
    values.iter().map(|value| show(value).to_owned()).collect()
}

fn policy(schedule: &RetrySchedule) -> RetryPolicy {
    RetryPolicy {
        schedule_seconds: schedule
            .waits()
            .iter()
            .map(|wait| Whole(wait.as_secs()))
            .collect(),
    }
}

/// An endpoint that was created, with what its receiver verifies with, so that it can be set up with one call. Later
/// that is read by a route of its own.
#[derive(Serialize, ToSchema)]
pub(crate) struct EndpointWithSecret {
    #[serde(flatten)]
    endpoint: Endpoint,
    /// `hmac` or `ed25519`.
    #[schema(examples("hmac"))]
    secret_type: &'static str,
    /// `whsec_` and base64; null for `ed25519`, whose private key is never shown.
    #[schema(required, examples("whsec_<base64>"))]
    secret: Option<String>,
    /// `whpk_` and the base64 of the public key; null for `hmac`.
    #[schema(required, examples("whpk_<base64>"))]
    public_key: Option<String>,
}

impl From<CreatedEndpoint> for EndpointWithSecret {
    fn from(created: CreatedEndpoint) -> Self {
        let (secret, public_key) = match &created.secret {
            EndpointSecret::Hmac(secret) => (Some(secret.reveal()), None),
            EndpointSecret::Ed25519(key) => (None, Some(key.public_text())),
        };
        Self {
            secret_type: created.secret.kind().as_str(),
            endpoint: created.endpoint.into(),
            secret,
            public_key,
        }
    }
}
