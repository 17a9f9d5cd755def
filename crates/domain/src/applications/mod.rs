//! Applications: a tenant's customers. Each owns endpoints and receives messages.

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
    /// When it was created.
    pub created_at: Timestamp,
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
                created_at: at,
            },
            event,
        )
    }
}
