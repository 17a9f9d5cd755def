//! How lists and small structures are stored: JSON, by types of this crate's own. The domain knows no serde, and
//! a stored form changes only here.

use std::{borrow::Cow, collections::BTreeMap, fmt, time::Duration};

use postrider_application::ports::StoreError;
use postrider_domain::{
    ApplicationId, Metadata, Name, Timestamp,
    access::{Grant, GrantScope, Role},
    deliveries::RetrySchedule,
    endpoints::{CustomHeaders, Filter, HeaderName, ShownHeaders},
    event_types::EventTypeName,
    messages::{Channel, Channels},
    tenants::{SchemaValidation, TenantSettings, TenantStatus, UnregisteredEventTypes},
    tokens::SecretHash,
    users::Email,
};
use sea_orm::{DeriveValueType, FromJsonQueryResult};
use serde::{Deserialize, Serialize};

use crate::error::corrupt;

/// A role, and where it holds: in one application, or everywhere if there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StoredGrant {
    role: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    app: Option<String>,
}

/// Grants: `[{"role":"viewer","app":"app_..."},{"role":"owner"}]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
pub(crate) struct StoredGrants(Vec<StoredGrant>);

impl StoredGrants {
    pub(crate) fn of(grants: &[Grant]) -> Self {
        let stored = |grant: &Grant| StoredGrant {
            role: grant.role.as_str().to_owned(),
            app: match grant.scope {
                GrantScope::Tenant => None,
                GrantScope::Application(id) => Some(id.to_string()),
            },
        };
        Self(grants.iter().map(stored).collect())
    }

    pub(crate) fn read(self) -> Result<Vec<Grant>, StoreError> {
        let read = |stored: StoredGrant| {
            let role = Role::parse(&stored.role).map_err(|why| corrupt("role", why))?;
            let scope = match stored.app {
                None => GrantScope::Tenant,
                Some(id) => GrantScope::Application(
                    id.parse::<ApplicationId>()
                        .map_err(|why| corrupt("application of a grant", why))?,
                ),
            };
            Ok(Grant { role, scope })
        };
        self.0.into_iter().map(read).collect()
    }
}

/// Names: `["invoice.paid"]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
pub(crate) struct StoredTexts(Vec<String>);

impl StoredTexts {
    pub(crate) fn of_event_types(names: &[EventTypeName]) -> Self {
        Self(names.iter().map(|name| name.as_str().to_owned()).collect())
    }

    /// The channels of a message as JSON.
    pub(crate) fn json_of_channels(channels: &Channels) -> Result<Cow<'static, str>, StoreError> {
        // Nearly all have none.
        if channels.iter().next().is_none() {
            return Ok(Cow::Borrowed("[]"));
        }
        let json = serde_json::to_string(&Self::of_channels(channels.iter()));
        json.map(Cow::Owned).map_err(|why| corrupt("channels", why))
    }

    pub(crate) fn of_channels<'c>(channels: impl IntoIterator<Item = &'c Channel>) -> Self {
        Self(
            channels
                .into_iter()
                .map(|channel| channel.as_str().to_owned())
                .collect(),
        )
    }

    fn read_channels(&self) -> Result<Vec<Channel>, StoreError> {
        self.0
            .iter()
            .map(|text| Channel::parse(text).map_err(|why| corrupt("channel", why)))
            .collect()
    }

    /// The channels of a message.
    pub(crate) fn read_message_channels(&self) -> Result<Channels, StoreError> {
        Channels::new(self.read_channels()?).map_err(|why| corrupt("channels", why))
    }
}

/// The filter of an endpoint, from its two columns.
pub(crate) fn read_filter(event_types: &StoredTexts, channels: &StoredTexts) -> Result<Filter, StoreError> {
    let name =
        |text: &String| EventTypeName::parse(text).map_err(|why| corrupt("event type of a filter", why));
    let event_types = event_types.0.iter().map(name).collect::<Result<_, _>>()?;
    Filter::new(event_types, channels.read_channels()?).map_err(|why| corrupt("filter", why))
}

/// A tenant's notes: `{"plan":"gold"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
pub(crate) struct StoredMetadata(BTreeMap<String, String>);

impl StoredMetadata {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self(metadata.pairs().clone())
    }

    pub(crate) fn read(self) -> Result<Metadata, StoreError> {
        Metadata::parse(self.0).map_err(|why| corrupt("metadata", why))
    }
}

/// Headers by name, secret values left out: `{"authorization":null,"x-a":"1"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
pub(crate) struct StoredHeaders(BTreeMap<String, Option<String>>);

impl StoredHeaders {
    /// None, if there are none.
    pub(crate) fn of(headers: &CustomHeaders) -> Option<Self> {
        let stored = |(name, value): (HeaderName, Option<String>)| (name.as_str().to_owned(), value);
        (!headers.is_empty()).then(|| Self(headers.shown().into_iter().map(stored).collect()))
    }

    pub(crate) fn read(self) -> Result<ShownHeaders, StoreError> {
        let read = |(name, value): (String, Option<String>)| {
            let name = HeaderName::parse(&name).map_err(|why| corrupt("header", why))?;
            Ok((name, value))
        };
        self.0.into_iter().map(read).collect()
    }
}

/// The waits of a retry schedule, in microseconds: `[5000000,300000000]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
pub(crate) struct StoredWaits(Vec<u64>);

impl StoredWaits {
    pub(crate) fn of(schedule: &RetrySchedule) -> Self {
        // A wait is at most 24 hours.
        let micros = |wait: &Duration| u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        Self(schedule.waits().iter().map(micros).collect())
    }

    pub(crate) fn read(self) -> Result<RetrySchedule, StoreError> {
        let waits = self.0.into_iter().map(Duration::from_micros).collect();
        RetrySchedule::new(waits).map_err(|why| corrupt("retry schedule", why))
    }
}

/// A text that no trace shows: an address, a password's hash.
#[derive(Clone, PartialEq, Eq, DeriveValueType)]
pub(crate) struct Hidden(pub(crate) String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(…)")
    }
}

/// Bytes that no trace shows.
#[derive(Clone, PartialEq, Eq, DeriveValueType)]
pub(crate) struct HiddenBytes(pub(crate) Vec<u8>);

impl fmt::Debug for HiddenBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HiddenBytes(…)")
    }
}

impl HiddenBytes {
    pub(crate) fn of_hash(hash: &SecretHash) -> Self {
        Self(hash.0.to_vec())
    }

    pub(crate) fn read_hash(self) -> Result<SecretHash, StoreError> {
        let bytes = <[u8; 32]>::try_from(self.0);
        bytes
            .map(SecretHash)
            .map_err(|_| corrupt("hash of a secret", "it must have 32 bytes"))
    }
}

/// A stored status of a tenant.
pub(crate) fn read_tenant_status(status: &str) -> Result<TenantStatus, StoreError> {
    TenantStatus::parse(status).map_err(|why| corrupt("status of a tenant", why))
}

/// A tenant's stored settings.
pub(crate) fn read_settings(
    schema_validation: &str,
    unregistered_event_types: &str,
) -> Result<TenantSettings, StoreError> {
    Ok(TenantSettings {
        schema_validation: SchemaValidation::parse(schema_validation)
            .map_err(|why| corrupt("setting of a tenant", why))?,
        unregistered_event_types: UnregisteredEventTypes::parse(unregistered_event_types)
            .map_err(|why| corrupt("setting of a tenant", why))?,
    })
}

/// A stored e-mail address.
pub(crate) fn read_email(email: &Hidden) -> Result<Email, StoreError> {
    Email::parse(&email.0).map_err(|why| corrupt("e-mail address", why))
}

/// A stored display name.
pub(crate) fn read_name(name: &str) -> Result<Name, StoreError> {
    Name::parse(name).map_err(|why| corrupt("name", why))
}

/// A duration as it is added to the database's now: microseconds, saturating.
pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// A stored time, in microseconds since the Unix epoch.
pub(crate) const fn timestamp(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// A count as it is stored.
pub(crate) fn stored_count(what: &'static str, count: u32) -> Result<i32, StoreError> {
    i32::try_from(count).map_err(|why| corrupt(what, why))
}

/// A stored count.
pub(crate) fn read_count(what: &'static str, count: i32) -> Result<u32, StoreError> {
    u32::try_from(count).map_err(|why| corrupt(what, why))
}
