//! Applications: a tenant's customers. Each owns endpoints and receives messages.

use std::time::Duration;

use crate::{ApplicationId, Metadata, Name, TenantId, Timestamp, Uid, aggregate::aggregate};

/// How an application is named in a request: by our id, or by the uid that the tenant gave it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ApplicationRef {
    /// By id.
    Id(ApplicationId),
    /// By the tenant's own name for it.
    Uid(Uid),
}

impl From<ApplicationId> for ApplicationRef {
    fn from(id: ApplicationId) -> Self {
        Self::Id(id)
    }
}

/// All stored facts of an [`Application`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationState {
    /// Its id.
    pub id: ApplicationId,
    /// The tenant whose customer it is.
    pub tenant: TenantId,
    /// The tenant's own name for it, unique within the tenant.
    pub uid: Option<Uid>,
    /// Display name.
    pub name: Name,
    /// The tenant's notes.
    pub metadata: Metadata,
    /// When its portal tokens were last revoked: those issued before are not good any more.
    pub tokens_valid_after: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// The uid of the application that receives a tenant's operational webhooks, if the tenant has made one.
pub const OPERATIONAL_UID: &str = "operational";

/// What can happen to an [`Application`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplicationEvent {
    /// It was created.
    Created {
        /// The tenant's own name for it.
        uid: Option<Uid>,
        /// Display name.
        name: Name,
    },
    /// All its portal tokens were revoked.
    PortalTokensRevoked {
        /// Tokens issued before this are not good any more.
        valid_after: Timestamp,
    },
}

aggregate!(
    /// One of a tenant's customers.
    Application, ApplicationState, ApplicationEvent
);

impl Application {
    /// A new application.
    pub fn create(
        id: ApplicationId,
        tenant: TenantId,
        uid: Option<Uid>,
        name: Name,
        metadata: Metadata,
        at: Timestamp,
    ) -> Self {
        let event = ApplicationEvent::Created {
            uid: uid.clone(),
            name: name.clone(),
        };
        Self::born(
            ApplicationState {
                id,
                tenant,
                uid,
                name,
                metadata,
                tokens_valid_after: None,
                created_at: at,
            },
            event,
        )
    }

    /// Ends all portal tokens issued so far. Each names the revocation that it was issued after, so that a token of
    /// an earlier one is told from a later one's whatever the clocks say; they only must never stand still.
    pub fn revoke_portal_tokens(&mut self, at: Timestamp) {
        let after_the_last = |last: Timestamp| last.plus(Duration::from_micros(1));
        let valid_after = self
            .state
            .tokens_valid_after
            .map_or(at, |last| at.max(after_the_last(last)));
        self.state.tokens_valid_after = Some(valid_after);
        self.pending
            .push(ApplicationEvent::PortalTokensRevoked { valid_after });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Aggregate as _;
    use uuid::Uuid;

    #[test]
    fn each_revocation_is_told_from_the_last_whatever_the_clock_says() {
        let uuid = Uuid::from_u128(1);
        let mut application = Application::create(
            ApplicationId::from_uuid(uuid),
            TenantId::from_uuid(uuid),
            None,
            Name::parse("Customer").unwrap(),
            Metadata::default(),
            Timestamp::from_micros(1),
        );
        let at = |micros| Some(Timestamp::from_micros(micros));
        for (now, valid_after) in [(500, 500), (500, 501), (100, 502), (900, 900)] {
            application.revoke_portal_tokens(Timestamp::from_micros(now));
            assert_eq!(application.state().tokens_valid_after, at(valid_after));
        }
    }
}
