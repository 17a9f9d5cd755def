//! Operational webhooks: what the system itself publishes to a tenant's application of the reserved uid.

use std::{collections::HashSet, sync::Arc, time::Duration};

use postrider_domain::{
    ApplicationId, AuditEntryId, MessageId, TenantId, Uid,
    applications::{ApplicationRef, OPERATIONAL_UID},
    event_types::EventTypeName,
    messages::{Channels, ContentType, Message, Payload},
};
use sha2::{Digest as _, Sha256};

use crate::{
    Error, Result,
    access::{ApplicationScope, Origin, TenantScope},
    audit::{Actor, Occasion},
    messages::refusal,
    ports::{
        AcceptMessage, Accepted, ApplicationDirectory, Clock, Dedup, Ids, IntakeError, MessageIntake,
        OperationalApplications,
    },
};

/// The part of the system that acts.
const RELAY: &str = "relay";
/// What it does.
const PUBLISH: &str = "message.publish";

/// The most bytes of a payload: several times what the largest of ours has, the failed deliveries of one event.
const MAX_BYTES: usize = 1024 * 1024;

/// What a tenant is told.
#[derive(Debug, Clone)]
pub struct PublicEvent {
    /// Who.
    pub tenant: TenantId,
    /// The position in the log of what it tells of: told once, however often it is published.
    pub position: i64,
    /// The application that it is about; none if it is about several.
    pub application: Option<ApplicationId>,
    /// What happened.
    pub event_type: EventTypeName,
    /// What is delivered: JSON.
    pub payload: String,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// The message is durable.
    Published(MessageId),
    /// It was before.
    Already,
    /// The tenant does not want to hear of such things, or it is about hearing of them.
    NoOne,
}

/// Publishes operational webhooks, in the name of the system.
pub struct PublishOperational {
    listeners: Arc<dyn OperationalApplications>,
    directory: Arc<dyn ApplicationDirectory>,
    intake: Arc<dyn MessageIntake>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    window: Duration,
}

impl PublishOperational {
    /// Publishes by `intake`; for as long as `window` an event is known to have been.
    pub fn new(
        listeners: Arc<dyn OperationalApplications>,
        directory: Arc<dyn ApplicationDirectory>,
        intake: Arc<dyn MessageIntake>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        window: Duration,
    ) -> Self {
        Self {
            listeners,
            directory,
            intake,
            clock,
            ids,
            window,
        }
    }

    /// Those of the tenants that want to hear anything at all, asked of the database for many at once: most have no
    /// application of the reserved uid, and their events are to cost nothing more than this.
    pub async fn listening(&self, tenants: &[TenantId]) -> Result<HashSet<TenantId>> {
        Ok(self.listeners.listening(tenants).await?)
    }

    /// Publishes to the tenant's application of the reserved uid, if it has one. Of that application itself nothing is
    /// told: a webhook that fails would be told by a webhook that fails.
    pub async fn publish(&self, event: PublicEvent) -> Result<Told> {
        let tenant = TenantScope::of_system(event.tenant, self.occasion());
        let uid = Uid::parse(OPERATIONAL_UID).map_err(|_| Error::internal("the reserved uid is none"))?;
        let Some(application) = self.directory.resolve(&tenant, &ApplicationRef::Uid(uid)).await? else {
            return Ok(Told::NoOne);
        };
        if event.application == Some(application) {
            return Ok(Told::NoOne);
        }
        let payload = Payload::new(event.payload.into_bytes(), ContentType::json(), MAX_BYTES)
            .map_err(|_| Error::internal("an operational webhook is too large"))?;
        let message = Message {
            id: MessageId::from_uuid(self.ids.next()),
            tenant: event.tenant,
            application,
            event_type: event.event_type,
            channels: Channels::default(),
            event_id: None,
            payload,
            created_at: self.clock.now(),
            trace: None,
            deliver_at: None,
        };
        let id = message.id;
        // By the position alone: should a newer release put it into other words, it is still the same event.
        let dedup = Dedup {
            key_hash: Sha256::digest(format!("operational:{}", event.position)).into(),
            body_hash: Sha256::digest(event.position.to_be_bytes()).into(),
            window: self.window,
        };
        let accept = AcceptMessage {
            message,
            dedup: Some(dedup),
        };
        let scope = ApplicationScope::of_system(tenant, application);
        match self.intake.accept(&scope, accept).await {
            Ok(Accepted::New) => Ok(Told::Published(id)),
            Ok(Accepted::Replayed(_)) | Err(IntakeError::KeyConflict) => Ok(Told::Already),
            Err(error) => Err(refusal(error)),
        }
    }

    fn occasion(&self) -> Occasion {
        Occasion {
            id: AuditEntryId::from_uuid(self.ids.next()),
            at: self.clock.now(),
            action: PUBLISH,
            actor: Actor::system(RELAY),
            origin: Origin::default(),
            asking: None,
        }
    }
}
