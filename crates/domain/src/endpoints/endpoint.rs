use std::time::Duration;

use super::{
    CustomHeaders, EndpointAttributes, EndpointField, EndpointSecret, EndpointUrl, Filter, InvalidHeaders,
    Overlap, RotationRefused, SecretRing, SecretType,
};
use crate::{
    ApplicationId, Change, Description, EndpointId, InvalidValue, Metadata, Rule, TenantId, Timestamp, Uid,
    aggregate::aggregate, deliveries::RetrySchedule,
};

/// How an endpoint is named in a request: by our id, or by the uid that the tenant gave it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EndpointRef {
    /// By id.
    Id(EndpointId),
    /// By the tenant's own name for it.
    Uid(Uid),
}

impl From<EndpointId> for EndpointRef {
    fn from(id: EndpointId) -> Self {
        Self::Id(id)
    }
}

/// How long one attempt may take in all, from connect to the last byte of the answer: 1 to 60 seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptTimeout(Duration);

impl AttemptTimeout {
    /// The shortest time-out, in milliseconds.
    pub const MIN_MS: u64 = 1_000;
    /// The longest time-out, in milliseconds.
    pub const MAX_MS: u64 = 60_000;

    /// A time-out of `ms` milliseconds.
    pub fn from_millis(ms: u64) -> Result<Self, InvalidValue> {
        if (Self::MIN_MS..=Self::MAX_MS).contains(&ms) {
            Ok(Self(Duration::from_millis(ms)))
        } else {
            Err(InvalidValue::new(
                Rule::Range,
                "must be from 1000 to 60000 milliseconds",
            ))
        }
    }

    /// The time-out.
    pub const fn as_duration(self) -> Duration {
        self.0
    }

    /// The time-out in milliseconds.
    pub fn as_millis(self) -> u64 {
        // At most 60,000, so the conversion cannot fail.
        u64::try_from(self.0.as_millis()).unwrap_or(Self::MAX_MS)
    }
}

impl Default for AttemptTimeout {
    /// 15 seconds, the least that Standard Webhooks recommends to senders.
    fn default() -> Self {
        Self(Duration::from_secs(15))
    }
}

/// Why an endpoint is sent nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisableReason {
    /// The tenant said so.
    Manual,
    /// It answered 410 Gone, which asks for nothing more ever.
    Gone,
    /// It has only failed for too long ([`super::FailingPolicy`]).
    Failing,
}

impl DisableReason {
    /// Every reason there is.
    pub const ALL: [Self; 3] = [Self::Manual, Self::Gone, Self::Failing];

    /// The stable public name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }

    /// The reason of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// Whether an endpoint is sent anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointStatus {
    /// It receives.
    Enabled,
    /// It is sent nothing.
    Disabled {
        /// Why.
        why: DisableReason,
        /// Since when.
        at: Timestamp,
    },
}

impl EndpointStatus {
    /// Whether the endpoint is sent nothing.
    pub const fn is_disabled(&self) -> bool {
        matches!(self, Self::Disabled { .. })
    }
}

/// All stored facts of an [`Endpoint`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointState {
    /// Its id.
    pub id: EndpointId,
    /// The tenant.
    pub tenant: TenantId,
    /// The application that it belongs to.
    pub application: ApplicationId,
    /// The tenant's own name for it, unique within the application.
    pub uid: Option<Uid>,
    /// Where webhooks are sent.
    pub url: EndpointUrl,
    /// What it is for.
    pub description: Description,
    /// What it wants to hear of.
    pub filter: Filter,
    /// What its webhooks are signed with.
    pub secrets: SecretRing,
    /// What is sent with every webhook besides.
    pub headers: CustomHeaders,
    /// When to try again; the installation's schedule, if absent.
    pub retry_schedule: Option<RetrySchedule>,
    /// How long one attempt may take; the installation's time-out, if absent.
    pub timeout: Option<AttemptTimeout>,
    /// The tenant's notes.
    pub metadata: Metadata,
    /// Whether it is sent anything.
    pub status: EndpointStatus,
    /// When it was created.
    pub created_at: Timestamp,
}

/// What can happen to an [`Endpoint`]. Events name no secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointEvent {
    /// It was created.
    Created {
        /// Where webhooks are sent.
        url: EndpointUrl,
        /// The tenant's own name for it.
        uid: Option<Uid>,
    },
    /// It is sent nothing from now on.
    Disabled {
        /// Why.
        why: DisableReason,
        /// Since when.
        at: Timestamp,
    },
    /// It receives again.
    Enabled,
    /// Some of its attributes are others now.
    Updated {
        /// Which, each once.
        changed: Vec<EndpointField>,
    },
    /// Another secret signs from now on.
    SecretRotated {
        /// What kind it is.
        kind: SecretType,
        /// Until when the ones of before sign as well; none, if they do not any more.
        old_until: Option<Timestamp>,
    },
    /// It is gone.
    Deleted {
        /// The tenant's own name for it.
        uid: Option<Uid>,
    },
}

aggregate!(
    /// A URL of an application, and everything that decides how it is served.
    Endpoint, EndpointState, EndpointEvent
);

/// What a new endpoint is made of.
#[derive(Debug, Clone)]
pub struct NewEndpoint {
    /// The tenant's own name for it.
    pub uid: Option<Uid>,
    /// Where webhooks are sent.
    pub url: EndpointUrl,
    /// What it is for.
    pub description: Description,
    /// What it wants to hear of.
    pub filter: Filter,
    /// What its webhooks are signed with.
    pub secret: EndpointSecret,
    /// What is sent with every webhook besides.
    pub headers: CustomHeaders,
    /// When to try again, if not by the installation's schedule.
    pub retry_schedule: Option<RetrySchedule>,
    /// How long one attempt may take, if not the installation's time-out.
    pub timeout: Option<AttemptTimeout>,
    /// The tenant's notes.
    pub metadata: Metadata,
}

impl Endpoint {
    /// A new, enabled endpoint.
    pub fn create(
        id: EndpointId,
        tenant: TenantId,
        application: ApplicationId,
        new: NewEndpoint,
        at: Timestamp,
    ) -> Self {
        let event = EndpointEvent::Created {
            url: new.url.clone(),
            uid: new.uid.clone(),
        };
        let state = EndpointState {
            id,
            tenant,
            application,
            uid: new.uid,
            url: new.url,
            description: new.description,
            filter: new.filter,
            secrets: SecretRing::of(new.secret),
            headers: new.headers,
            retry_schedule: new.retry_schedule,
            timeout: new.timeout,
            metadata: new.metadata,
            status: EndpointStatus::Enabled,
            created_at: at,
        };
        Self::born(state, event)
    }

    /// Sends it nothing from now on; what waits for it is cancelled when its turn comes.
    pub fn disable(&mut self, why: DisableReason, at: Timestamp) -> Change {
        if self.state.status.is_disabled() {
            return Change::None;
        }
        self.record(EndpointEvent::Disabled { why, at });
        Change::Made
    }

    /// Sends to it again.
    pub fn enable(&mut self) -> Change {
        if !self.state.status.is_disabled() {
            return Change::None;
        }
        self.record(EndpointEvent::Enabled);
        Change::Made
    }

    /// Its attributes are these from now on. Refused if the URL is of another origin and a secret header is kept: who
    /// may say where webhooks go need not know what is sent with them, and would be told.
    pub fn change(&mut self, to: EndpointAttributes) -> Result<Change, InvalidHeaders> {
        let changed = EndpointAttributes::of(&self.state).differing(&to);
        if changed.is_empty() {
            return Ok(Change::None);
        }
        if !to.url.has_origin_of(&self.state.url) {
            to.headers.check_given_anew()?;
        }
        let state = &mut self.state;
        state.uid = to.uid;
        state.url = to.url;
        state.description = to.description;
        state.filter = to.filter;
        state.headers = to.headers;
        state.retry_schedule = to.retry_schedule;
        state.timeout = to.timeout;
        state.metadata = to.metadata;
        self.record(EndpointEvent::Updated { changed });
        Ok(Change::Made)
    }

    /// Another secret signs from now on, and those of before for the overlap.
    pub fn rotate_secret(
        &mut self,
        to: EndpointSecret,
        overlap: Overlap,
        now: Timestamp,
    ) -> Result<(), RotationRefused> {
        let kind = to.kind();
        self.state.secrets = self.state.secrets.rotated(to, overlap, now)?;
        let old_until = self.state.secrets.old().first().and_then(|held| held.until);
        self.record(EndpointEvent::SecretRotated { kind, old_until });
        Ok(())
    }

    /// Says that it goes; whoever deletes the row does so next.
    pub fn delete(&mut self) {
        let uid = self.state.uid.clone();
        self.record(EndpointEvent::Deleted { uid });
    }

    fn record(&mut self, event: EndpointEvent) {
        match &event {
            // The state of a new endpoint is complete from birth; what an event does not hold was set by whoever
            // records it.
            EndpointEvent::Created { .. }
            | EndpointEvent::Updated { .. }
            | EndpointEvent::SecretRotated { .. }
            | EndpointEvent::Deleted { .. } => {}
            EndpointEvent::Disabled { why, at } => {
                self.state.status = EndpointStatus::Disabled { why: *why, at: *at };
            }
            EndpointEvent::Enabled => self.state.status = EndpointStatus::Enabled,
        }
        self.pending.push(event);
    }
}

#[cfg(test)]
#[path = "endpoint_tests.rs"]
mod tests;
