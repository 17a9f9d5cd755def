//! Applications: a tenant's customers. Each owns endpoints and receives messages.

use std::time::Duration;

use crate::{ApplicationId, Change, Metadata, Name, TenantId, Timestamp, Uid, aggregate::aggregate};

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
    /// When it was deleted. What is left of it then only says that it was: its messages may still be queued, and
    /// whoever takes one must know that nobody wants it any more, rather than that something cannot be found.
    pub deleted_at: Option<Timestamp>,
}

/// What a tenant may change of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationAttributes {
    /// The tenant's own name for it.
    pub uid: Option<Uid>,
    /// Display name.
    pub name: Name,
    /// The tenant's notes.
    pub metadata: Metadata,
}

impl ApplicationAttributes {
    /// The attributes as they are.
    pub fn of(state: &ApplicationState) -> Self {
        Self {
            uid: state.uid.clone(),
            name: state.name.clone(),
            metadata: state.metadata.clone(),
        }
    }
}

/// An attribute of an application, as it is called in public.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplicationField {
    /// The tenant's own name for it.
    Uid,
    /// Display name.
    Name,
    /// The tenant's notes.
    Metadata,
}

impl ApplicationField {
    /// The stable public name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uid => "uid",
            Self::Name => "name",
            Self::Metadata => "metadata",
        }
    }
}

/// The uid of the application that receives a tenant's operational webhooks, if the tenant has made one.
pub const OPERATIONAL_UID: &str = "operational";

/// Whether this is the uid of the application that receives operational webhooks. Whoever has it hears of all the
/// tenant's applications, so it is not for those to give and take who act in one of them.
pub fn is_operational(uid: Option<&Uid>) -> bool {
    uid.is_some_and(|uid| uid.as_str() == OPERATIONAL_UID)
}

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
    /// Some of its attributes are others now.
    Updated {
        /// Which, each once.
        changed: Vec<ApplicationField>,
    },
    /// It is gone, and with it its endpoints and portal tokens.
    Deleted {
        /// The tenant's own name for it.
        uid: Option<Uid>,
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
                deleted_at: None,
            },
            event,
        )
    }

    /// Ends all portal tokens issued so far. Each names the revocation that it was issued after, so that a token of
    /// an earlier one is told from a later one's whatever the clocks say; they only must never stand still.
    pub fn revoke_portal_tokens(&mut self, at: Timestamp) {
        let valid_after = self.void_portal_tokens(at);
        self.pending
            .push(ApplicationEvent::PortalTokensRevoked { valid_after });
    }

    fn void_portal_tokens(&mut self, at: Timestamp) -> Timestamp {
        let after_the_last = |last: Timestamp| last.plus(Duration::from_micros(1));
        let valid_after = self
            .state
            .tokens_valid_after
            .map_or(at, |last| at.max(after_the_last(last)));
        self.state.tokens_valid_after = Some(valid_after);
        valid_after
    }

    /// Its attributes are these from now on.
    pub fn change(&mut self, to: ApplicationAttributes) -> Change {
        let state = &mut self.state;
        let changed: Vec<_> = [
            (ApplicationField::Uid, state.uid != to.uid),
            (ApplicationField::Name, state.name != to.name),
            (ApplicationField::Metadata, state.metadata != to.metadata),
        ]
        .into_iter()
        .filter_map(|(field, differs)| differs.then_some(field))
        .collect();
        if changed.is_empty() {
            return Change::None;
        }
        (state.uid, state.name, state.metadata) = (to.uid, to.name, to.metadata);
        self.pending.push(ApplicationEvent::Updated { changed });
        Change::Made
    }

    /// It is gone from now on: its uid is free, its notes are forgotten, and no portal token is good any more. Whoever
    /// saves it deletes its endpoints in the same transaction.
    pub fn delete(&mut self, at: Timestamp) {
        self.void_portal_tokens(at);
        let uid = self.state.uid.take();
        self.state.metadata = Metadata::default();
        self.state.deleted_at = Some(at);
        self.pending.push(ApplicationEvent::Deleted { uid });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Aggregate as _;
    use uuid::Uuid;

    #[test]
    fn a_deleted_one_gives_back_its_uid_and_voids_its_tokens() {
        let uuid = Uuid::from_u128(1);
        let mut application = Application::create(
            ApplicationId::from_uuid(uuid),
            TenantId::from_uuid(uuid),
            Some(Uid::parse("a").unwrap()),
            Name::parse("Customer").unwrap(),
            Metadata::default(),
            Timestamp::from_micros(1),
        );
        let _ = application.take_events();
        let mut to = ApplicationAttributes::of(application.state());
        assert_eq!(application.change(to.clone()), Change::None);
        to.uid = Some(Uid::parse("b").unwrap());
        assert_eq!(application.change(to.clone()), Change::Made);
        let at = Timestamp::from_micros(2);
        application.delete(at);
        let state = application.state();
        assert_eq!(
            (&state.uid, state.deleted_at, state.tokens_valid_after),
            (&None, Some(at), Some(at))
        );
        let changed = vec![ApplicationField::Uid];
        assert_eq!(
            application.take_events(),
            [
                ApplicationEvent::Updated { changed },
                ApplicationEvent::Deleted { uid: to.uid }
            ]
        );
    }

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
