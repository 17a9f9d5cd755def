use std::time::Duration;

use crate::{SessionId, TenantId, Timestamp, UserId, aggregate::aggregate};

/// All stored facts of a [`Session`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionState {
    /// Its id, the `sid` of the access tokens issued under it.
    pub id: SessionId,
    /// The tenant that was logged in to.
    pub tenant: TenantId,
    /// The person.
    pub user: UserId,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// What can happen to a [`Session`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEvent {
    /// A person logged in.
    Opened {
        /// The person.
        user: UserId,
    },
}

aggregate!(
    /// One login of a person to one tenant. Access tokens name their session, so that ending it ends them.
    Session, SessionState, SessionEvent
);

impl Session {
    /// A person logs in for at most `lifetime`.
    pub fn open(id: SessionId, tenant: TenantId, user: UserId, at: Timestamp, lifetime: Duration) -> Self {
        let state = SessionState {
            id,
            tenant,
            user,
            created_at: at,
            expires_at: at.plus(lifetime),
        };
        Self::born(state, SessionEvent::Opened { user })
    }
}
