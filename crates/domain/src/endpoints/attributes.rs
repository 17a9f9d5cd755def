//! What a tenant may change of an endpoint, and what of it a change concerns.

use super::{AttemptTimeout, CustomHeaders, EndpointState, EndpointUrl, Filter};
use crate::{Description, Metadata, Uid, deliveries::RetrySchedule};

/// An attribute of an endpoint, as it is called in public.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointField {
    /// The tenant's own name for it.
    Uid,
    /// Where webhooks are sent.
    Url,
    /// What it is for.
    Description,
    /// Which event types it wants.
    EventTypes,
    /// Which channels it wants.
    Channels,
    /// What is sent with every webhook besides.
    Headers,
    /// When to try again.
    RetryPolicy,
    /// How long one attempt may take.
    TimeoutMs,
    /// The tenant's notes.
    Metadata,
}

impl EndpointField {
    /// The stable public name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uid => "uid",
            Self::Url => "url",
            Self::Description => "description",
            Self::EventTypes => "event_types",
            Self::Channels => "channels",
            Self::Headers => "headers",
            Self::RetryPolicy => "retry_policy",
            Self::TimeoutMs => "timeout_ms",
            Self::Metadata => "metadata",
        }
    }
}

/// What a tenant may change of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointAttributes {
    /// The tenant's own name for it.
    pub uid: Option<Uid>,
    /// Where webhooks are sent.
    pub url: EndpointUrl,
    /// What it is for.
    pub description: Description,
    /// What it wants to hear of.
    pub filter: Filter,
    /// What is sent with every webhook besides.
    pub headers: CustomHeaders,
    /// When to try again, if not by the installation's schedule.
    pub retry_schedule: Option<RetrySchedule>,
    /// How long one attempt may take, if not the installation's time-out.
    pub timeout: Option<AttemptTimeout>,
    /// The tenant's notes.
    pub metadata: Metadata,
}

impl EndpointAttributes {
    /// The attributes as they are.
    pub fn of(state: &EndpointState) -> Self {
        Self {
            uid: state.uid.clone(),
            url: state.url.clone(),
            description: state.description.clone(),
            filter: state.filter.clone(),
            headers: state.headers.kept(),
            retry_schedule: state.retry_schedule.clone(),
            timeout: state.timeout,
            metadata: state.metadata.clone(),
        }
    }

    /// In which attributes `other` is another.
    pub(super) fn differing(&self, other: &Self) -> Vec<EndpointField> {
        let filter = |attributes: &Self| {
            let filter = &attributes.filter;
            (filter.event_types().to_vec(), filter.channels().to_vec())
        };
        let ((types, channels), (other_types, other_channels)) = (filter(self), filter(other));
        [
            (EndpointField::Uid, self.uid != other.uid),
            (EndpointField::Url, self.url != other.url),
            (EndpointField::Description, self.description != other.description),
            (EndpointField::EventTypes, types != other_types),
            (EndpointField::Channels, channels != other_channels),
            (EndpointField::Headers, self.headers != other.headers),
            (
                EndpointField::RetryPolicy,
                self.retry_schedule != other.retry_schedule,
            ),
            (EndpointField::TimeoutMs, self.timeout != other.timeout),
            (EndpointField::Metadata, self.metadata != other.metadata),
        ]
        .into_iter()
        .filter_map(|(field, differs)| differs.then_some(field))
        .collect()
    }
}
