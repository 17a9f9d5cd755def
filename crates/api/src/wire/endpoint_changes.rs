//! Endpoints that are replaced or changed.

use std::{collections::BTreeMap, time::Duration};

use postrider_application::{
    Error, IfMatch, Patch,
    endpoints::{EndpointChanges, PatchEndpoint, PutEndpoint},
};
use postrider_domain::{
    Description, InvalidValue, Metadata, Rule, Uid,
    deliveries::RetrySchedule,
    endpoints::{AttemptTimeout, EndpointUrl, Filter},
    event_types::EventTypeName,
    messages::Channel,
};
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::{
    Body, Checked, Checks, Object, Whole,
    endpoints::{RetryPolicy, filter, schedule},
    headers::{self, Header, HeaderChange},
    metadata,
    patch::Patched,
    path::EndpointPath,
    secrets::new_secret,
};

/// All that may be said of an endpoint; what is absent goes back to its default.
// No `Debug`: it may hold a secret.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({
    "url": "https://example.com/webhooks",
    "event_types": ["invoice.paid"],
    "headers": {"x-environment": "production"}
})))]
pub(crate) struct EndpointContent {
    /// Where webhooks are sent: `http` or `https`, without credentials, not to a private address.
    #[schema(format = "uri", min_length = 1, max_length = 2048)]
    url: String,
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
    /// What its webhooks are signed with if it is created, as in `createEndpoint`. If it is there, this must be its
    /// current secret: rotate it to replace it.
    #[schema(format = "password", max_length = 134)]
    secret: Option<String>,
    /// What is generated if it is created: `hmac` (the default) or `ed25519`. Not together with `secret`.
    secret_type: Option<String>,
    /// What is sent with every webhook besides, at most 20. One of `{"secret": true}` keeps its stored value.
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

impl Body for EndpointContent {}

impl EndpointContent {
    /// The command.
    pub(crate) fn into_command(self, path: &EndpointPath, if_match: IfMatch) -> Result<PutEndpoint, Error> {
        let mut checks = Checks::of(&self);
        let (application, endpoint) = path.parts(&mut checks);
        let url = checks.check("url", EndpointUrl::parse(&self.url));
        let description = self.description.as_deref().unwrap_or_default();
        let description = checks.check("description", Description::parse(description));
        let (event_types, channels) = (
            self.event_types.unwrap_or_default(),
            self.channels.unwrap_or_default(),
        );
        let filter = filter(&mut checks, event_types, channels);
        let secret = new_secret(&mut checks, self.secret.as_deref(), self.secret_type.as_deref());
        let headers = headers::given(&mut checks, self.headers);
        let retry_schedule = schedule(&mut checks, self.retry_policy);
        let timeout = checks.optional("timeout_ms", self.timeout_ms, |Whole(ms)| {
            AttemptTimeout::from_millis(ms)
        });
        let metadata = checks.check("metadata", Metadata::parse(self.metadata.unwrap_or_default()));
        let put = (|| {
            Some(PutEndpoint {
                application: application?,
                endpoint: endpoint?,
                url: url?,
                description: description?,
                filter: filter?,
                secret: secret?,
                headers: headers?,
                retry_schedule: retry_schedule?,
                timeout: timeout?,
                metadata: metadata?,
                if_match,
            })
        })();
        checks.all((put,)).map(|(put,)| put)
    }
}

/// What changes of an endpoint, as a JSON Merge Patch (RFC 7396): what is absent stays, null clears.
// No `Debug`: it may hold a secret.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({
    "event_types": null,
    "headers": {"authorization": {"value": "Bearer xyz", "secret": true}, "x-old": null},
    "timeout_ms": 5000
})))]
pub(crate) struct EndpointPatch {
    /// Your own name for it.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:-]+$")]
    uid: Patched<String>,
    /// Where webhooks are sent; not null.
    #[serde(default)]
    #[schema(value_type = String, required = false, format = "uri", min_length = 1, max_length = 2048)]
    url: Patched<String>,
    /// What it is for.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 1000)]
    description: Patched<String>,
    /// Which event types it wants; null for all. The list is replaced.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, max_items = 100)]
    event_types: Patched<Vec<String>>,
    /// Which channels it wants; null for all messages. The list is replaced.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, max_items = 100)]
    channels: Patched<Vec<String>>,
    /// Merged by name: null removes a header. A secret one stays secret unless `"secret": false` comes with a value.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, HeaderChange>>)]
    headers: Patched<BTreeMap<String, Option<Header>>>,
    /// When to try again; null for the installation's schedule.
    #[serde(default)]
    #[schema(value_type = Option<RetryPolicy>)]
    retry_policy: Patched<Object<RetryPolicy>>,
    /// How many milliseconds one attempt may take; null for the installation's time-out.
    #[serde(default)]
    #[schema(value_type = Option<u64>, minimum = 1000, maximum = 60000)]
    timeout_ms: Patched<Whole>,
    /// Merged by key: null removes a note.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, Option<String>>>)]
    metadata: Patched<BTreeMap<String, Option<String>>>,
}

impl Body for EndpointPatch {}

impl EndpointPatch {
    /// The command.
    pub(crate) fn into_command(self, path: &EndpointPath, if_match: IfMatch) -> Result<PatchEndpoint, Error> {
        let mut checks = Checks::of(&self);
        let (application, endpoint) = path.parts(&mut checks);
        let changes = self.changes(&mut checks);
        let (application, endpoint, changes) = checks.all((application, endpoint, changes))?;
        Ok(PatchEndpoint {
            application,
            endpoint,
            changes,
            if_match,
        })
    }

    fn changes(self, checks: &mut Checks) -> Checked<EndpointChanges> {
        let uid = self.uid.parsed("uid", checks, |text| Uid::parse(&text));
        let url = self.url.not_null("url", checks, |text| EndpointUrl::parse(&text));
        let description = self
            .description
            .parsed("description", checks, |text| Description::parse(&text));
        let event_types = names(
            checks,
            "event_types",
            self.event_types,
            EventTypeName::parse,
            |list| Filter::new(list, Vec::new()),
        );
        let channels = names(checks, "channels", self.channels, Channel::parse, |list| {
            Filter::new(Vec::new(), list)
        });
        let headers = match self.headers.0 {
            Patch::Keep => Some(Patch::Keep),
            Patch::Clear => Some(Patch::Clear),
            Patch::Set(headers) => headers::patched(checks, headers).map(Patch::Set),
        };
        let schedule = "retry_policy.schedule_seconds";
        let retry_schedule = self.retry_policy.parsed(schedule, checks, |Object(policy)| {
            let waits = policy
                .schedule_seconds
                .into_iter()
                .map(|Whole(seconds)| Duration::from_secs(seconds));
            RetrySchedule::new(waits.collect())
        });
        let timeout = self
            .timeout_ms
            .parsed("timeout_ms", checks, |Whole(ms)| AttemptTimeout::from_millis(ms));
        let metadata = metadata::patched(checks, self.metadata);
        Some(EndpointChanges {
            uid: uid?,
            url: url?,
            description: description?,
            event_types: event_types?,
            channels: channels?,
            headers: headers?,
            retry_schedule: retry_schedule?,
            timeout: timeout?,
            metadata: metadata?,
        })
    }
}

/// What a patch says of a list of names; `whole` judges the list as such.
fn names<T: Clone>(
    checks: &mut Checks,
    field: &'static str,
    Patched(patch): Patched<Vec<String>>,
    parse: impl Fn(&str) -> Result<T, InvalidValue>,
    whole: impl Fn(Vec<T>) -> Result<Filter, InvalidValue>,
) -> Checked<Patch<Vec<T>>> {
    let texts = match patch {
        Patch::Keep => return Some(Patch::Keep),
        Patch::Clear => return Some(Patch::Clear),
        Patch::Set(texts) => texts,
    };
    if texts.len() > Filter::MAX_ENTRIES {
        let many = InvalidValue::new(Rule::TooLong, "must have at most 100 entries");
        return checks.check(field, Err(many));
    }
    let list = checks.list(field, texts, |text| parse(&text))?;
    checks.check(field, whole(list.clone()))?;
    Some(Patch::Set(list))
}
