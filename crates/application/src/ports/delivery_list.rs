//! Deliveries of many messages, to look at.

use std::{fmt, str::FromStr};

use postrider_domain::{
    ApplicationId, EndpointId, IdError, MessageId, Timestamp, access::Visibility, deliveries::DeliveryStatus,
};

use super::{DeliveryView, Page, PageRequest, StoreError};
use crate::access::TenantScope;

/// Where a delivery stands, without what belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryState {
    /// An attempt is to come.
    Pending,
    /// The receiver has it.
    Delivered,
    /// Given up.
    Failed,
    /// Not wanted any more.
    Cancelled,
}

impl DeliveryState {
    /// Every one there is.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Delivered, Self::Failed, Self::Cancelled];

    /// The stable public name, the same as [`DeliveryStatus::as_str`].
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The one of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether a delivery stands there.
    pub fn is(self, status: &DeliveryStatus) -> bool {
        self.as_str() == status.as_str()
    }
}

/// Names a delivery, and its place in the list: by message, and of one message by endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryKey {
    /// The message.
    pub message: MessageId,
    /// The endpoint.
    pub endpoint: EndpointId,
}

impl fmt::Display for DeliveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.message, self.endpoint)
    }
}

impl FromStr for DeliveryKey {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (message, endpoint) = text.split_once(' ').unwrap_or((text, ""));
        Ok(Self {
            message: message.parse()?,
            endpoint: endpoint.parse()?,
        })
    }
}

/// Which deliveries are wanted. Not every combination can be answered in bounded time: see
/// [`crate::deliveries::SearchDeliveries`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeliveryFilter {
    /// Of this application.
    pub application: Option<ApplicationId>,
    /// To this endpoint.
    pub endpoint: Option<EndpointId>,
    /// Of this message.
    pub message: Option<MessageId>,
    /// Standing there.
    pub state: Option<DeliveryState>,
    /// Of messages accepted at this time or later.
    pub from: Option<Timestamp>,
    /// Of messages accepted before this time.
    pub to: Option<Timestamp>,
}

/// A delivery in a list of several applications'.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedDelivery {
    /// The application that received the message.
    pub application: ApplicationId,
    /// Where it stands.
    pub delivery: DeliveryView,
}

impl ListedDelivery {
    /// Its place in the list.
    pub const fn key(&self) -> DeliveryKey {
        DeliveryKey {
            message: self.delivery.message,
            endpoint: self.delivery.endpoint,
        }
    }
}

/// Deliveries, to look at.
pub trait DeliveryViews: Send + Sync {
    /// Deliveries that were attempted, or sent again, newest message first; of one message all. Those that were never
    /// attempted are in the queue only, which has no index but by the message.
    ///
    /// A page may have fewer items than asked for, or none, and say that more follow: of all deliveries of an
    /// application a bounded number is looked at for each.
    fn search_deliveries(
        &self,
        scope: &TenantScope,
        visible: &Visibility,
        filter: &DeliveryFilter,
        page: PageRequest<DeliveryKey>,
    ) -> impl Future<Output = Result<Page<ListedDelivery, DeliveryKey>, StoreError>> + Send;
}
