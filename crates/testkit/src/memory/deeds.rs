//! What a person does to a message.

use postrider_application::{
    access::TenantScope,
    ports::{Cancellation, Expunged, MessageRepository, StoreError},
};
use postrider_domain::{ApplicationId, MessageId, Timestamp, WorkId};

use super::{
    hot::{Hot, NOBODY},
    state::fault,
    store::MemoryTx,
};

/// What is done to a message when a transaction commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// It is cancelled.
    Cancel(MessageId),
    /// Its payload goes.
    Expunge(MessageId),
}

impl Deed {
    /// Refuses what somebody else was faster with: there is no lock to hold here.
    pub(super) fn may_be_done(self, hot: &Hot, now: Timestamp) -> Result<(), StoreError> {
        match self {
            Self::Cancel(message) if !is_cancellable(hot, message, now) => Err(StoreError::Stale),
            Self::Cancel(_) | Self::Expunge(_) => Ok(()),
        }
    }

    pub(super) fn be_done(self, hot: &mut Hot, now: Timestamp) {
        match self {
            Self::Cancel(message) => {
                hot.work.remove(&WorkId::from(message));
                hot.fates.entry(message).or_default().cancelled_at = Some(now);
            }
            Self::Expunge(message) => {
                let fate = hot.fates.entry(message).or_default();
                (fate.payload_expunged_at, fate.has_no_payload) = (Some(now), true);
            }
        }
    }
}

fn is_cancellable(hot: &Hot, message: MessageId, now: Timestamp) -> bool {
    let row = hot.work.get(&WorkId::from(message));
    row.is_some_and(|row| row.endpoint.is_none() && row.owner == NOBODY && row.due_at > now)
}

impl MemoryTx {
    /// Whether the message is the application's.
    fn has_message(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        message: MessageId,
    ) -> Result<bool, StoreError> {
        let tenant = self
            .visible(scope)
            .ok_or_else(|| fault("a scope of another tenant"))?;
        let state = self.store.state();
        let found = state.hot.messages.get(&message);
        Ok(found.is_some_and(|found| (found.tenant, found.application) == (tenant, application)))
    }
}

impl MessageRepository for MemoryTx {
    async fn cancel_message(
        &mut self,
        scope: &TenantScope,
        application: ApplicationId,
        message: MessageId,
    ) -> Result<Cancellation, StoreError> {
        if !self.has_message(scope, application, message)? {
            return Ok(Cancellation::Unknown);
        }
        let deed = Deed::Cancel(message);
        let now = self.store.now();
        let (cancelled, cancellable) = {
            let state = self.store.state();
            let cancelled = state.hot.fate(message).cancelled_at.is_some();
            (cancelled, is_cancellable(&state.hot, message, now))
        };
        Ok(if cancelled || self.deeds.contains(&deed) {
            Cancellation::Already
        } else if cancellable {
            self.deeds.push(deed);
            Cancellation::Cancelled
        } else {
            Cancellation::TooLate
        })
    }

    async fn expunge_payload(
        &mut self,
        scope: &TenantScope,
        application: ApplicationId,
        message: MessageId,
    ) -> Result<Expunged, StoreError> {
        if !self.has_message(scope, application, message)? {
            return Ok(Expunged::Unknown);
        }
        let deed = Deed::Expunge(message);
        let fate = self.store.state().hot.fate(message);
        Ok(
            if fate.payload_expunged_at.is_some() || self.deeds.contains(&deed) {
                Expunged::Already
            } else {
                self.deeds.push(deed);
                Expunged::Now
            },
        )
    }
}
