//! Operational webhooks: what happens to a tenant's endpoints and deliveries, published as messages to the tenant's own
//! application of the reserved uid.

mod public;

use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;
use postrider_application::{
    ErrorCode,
    operational::{PublicEvent, PublishOperational},
    ports::LoggedEvent,
};
use postrider_domain::event_types::EventTypeName;

pub(crate) use self::public::KINDS;
use crate::{Subscriber, SubscriberError};

/// The body of an event is not what its form says.
const UNREADABLE: &str = "unreadable";
/// The intake does not take the message, whenever it is asked.
const REFUSED: &str = "refused";

/// Publishes what tenants are told of.
pub struct OperationalWebhooks {
    publisher: Arc<PublishOperational>,
}

impl OperationalWebhooks {
    /// Publishes by `publisher`.
    pub const fn new(publisher: Arc<PublishOperational>) -> Self {
        Self { publisher }
    }
}

#[async_trait]
impl Subscriber for OperationalWebhooks {
    /// Events of tenants that listen to nothing, which are most.
    async fn passes_over(&self, events: &[&LoggedEvent]) -> Result<HashSet<i64>, SubscriberError> {
        let tenants: HashSet<_> = events.iter().filter_map(|event| event.tenant).collect();
        let tenants: Vec<_> = tenants.into_iter().collect();
        let listening = self.publisher.listening(&tenants).await;
        let listening = listening.map_err(SubscriberError::away)?;
        let unheard = |event: &&&LoggedEvent| event.tenant.is_none_or(|tenant| !listening.contains(&tenant));
        Ok(events
            .iter()
            .filter(unheard)
            .map(|event| event.position)
            .collect())
    }

    async fn handle(&self, event: &LoggedEvent) -> Result<(), SubscriberError> {
        let Some(tenant) = event.tenant else {
            return Ok(());
        };
        let unreadable = |why: &'static str| SubscriberError::refused(UNREADABLE, why);
        let Some(webhook) = public::webhook(event).map_err(unreadable)? else {
            return Ok(());
        };
        let public = PublicEvent {
            tenant,
            position: event.position,
            application: webhook.application,
            event_type: EventTypeName::parse(webhook.event_type)
                .map_err(|_| unreadable("no name of an event type"))?,
            payload: webhook.payload,
        };
        match self.publisher.publish(public).await {
            Ok(_) => Ok(()),
            // Another event is refused no less while the database is away or the intake full.
            Err(error) => Err(match error.code() {
                ErrorCode::Unavailable
                | ErrorCode::IntakeFull
                | ErrorCode::IntakeShareExceeded
                | ErrorCode::OutcomeUnknown => SubscriberError::away(error),
                _ => SubscriberError::refused(REFUSED, error),
            }),
        }
    }
}
