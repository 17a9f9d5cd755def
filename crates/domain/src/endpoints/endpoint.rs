use std::time::Duration;

use super::{EndpointUrl, Filter, SigningSecret};
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
    pub secret: SigningSecret,
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
    pub secret: SigningSecret,
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
            secret: new.secret,
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

    fn record(&mut self, event: EndpointEvent) {
        match &event {
            // The state of a new endpoint is complete from birth.
            EndpointEvent::Created { .. } => {}
            EndpointEvent::Disabled { why, at } => {
                self.state.status = EndpointStatus::Disabled { why: *why, at: *at };
            }
            EndpointEvent::Enabled => self.state.status = EndpointStatus::Enabled,
        }
        self.pending.push(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Aggregate, Version};
    use uuid::Uuid;

    const AT: Timestamp = Timestamp::from_micros(1_000);

    fn endpoint() -> Endpoint {
        let new = NewEndpoint {
            uid: None,
            url: EndpointUrl::parse("https://example.com/").unwrap(),
            description: Description::default(),
            filter: Filter::default(),
            secret: SigningSecret::generate([1; 32]),
            retry_schedule: None,
            timeout: None,
            metadata: Metadata::default(),
        };
        Endpoint::create(
            EndpointId::from_uuid(Uuid::from_u128(1)),
            TenantId::from_uuid(Uuid::from_u128(2)),
            ApplicationId::from_uuid(Uuid::from_u128(3)),
            new,
            AT,
        )
    }

    #[test]
    fn a_new_endpoint_is_enabled_and_says_so() {
        let mut endpoint = endpoint();
        assert_eq!(endpoint.state().status, EndpointStatus::Enabled);
        assert!(endpoint.version().is_new());
        assert!(matches!(
            endpoint.take_events()[..],
            [EndpointEvent::Created { .. }]
        ));
        assert!(endpoint.take_events().is_empty(), "events are handed out once");
    }

    #[test]
    fn disabling_twice_is_one_change() {
        let mut endpoint = endpoint();
        let _ = endpoint.take_events();
        assert_eq!(endpoint.disable(DisableReason::Manual, AT), Change::Made);
        assert_eq!(
            endpoint.disable(DisableReason::Manual, AT.plus(Duration::from_secs(1))),
            Change::None
        );
        assert_eq!(
            endpoint.state().status,
            EndpointStatus::Disabled {
                why: DisableReason::Manual,
                at: AT
            }
        );
        assert_eq!(endpoint.enable(), Change::Made);
        assert_eq!(endpoint.enable(), Change::None);
        assert_eq!(endpoint.take_events().len(), 2);
    }

    #[test]
    fn reasons_keep_their_names_and_the_first_one_stays() {
        let names = DisableReason::ALL.map(DisableReason::as_str);
        assert_eq!(names, ["manual", "gone", "failing"]);
        for reason in DisableReason::ALL {
            assert_eq!(DisableReason::parse(reason.as_str()), Some(reason));
        }
        assert_eq!(DisableReason::parse("Gone"), None);
        let mut endpoint = endpoint();
        assert_eq!(endpoint.disable(DisableReason::Gone, AT), Change::Made);
        assert_eq!(endpoint.disable(DisableReason::Failing, AT), Change::None);
        let why = DisableReason::Gone;
        assert_eq!(endpoint.state().status, EndpointStatus::Disabled { why, at: AT });
    }

    #[test]
    fn restoring_records_nothing() {
        let mut restored = Endpoint::restore(endpoint().state().clone(), Version(4));
        assert_eq!(restored.version(), Version(4));
        assert!(restored.take_events().is_empty());
    }

    #[test]
    fn time_outs_have_bounds() {
        assert!(AttemptTimeout::from_millis(999).is_err() && AttemptTimeout::from_millis(60_001).is_err());
        assert_eq!(AttemptTimeout::from_millis(60_000).unwrap().as_millis(), 60_000);
    }
}
