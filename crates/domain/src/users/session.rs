use std::time::Duration;

use crate::{SessionId, TenantId, Timestamp, UserId, aggregate::aggregate, tokens::SecretHash};

/// The hashes of a session's refresh token: see [`crate::tokens::RefreshToken`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshHashes {
    /// Of what all its tokens share.
    pub family: SecretHash,
    /// Of what only the newest has.
    pub current: SecretHash,
}

/// How long a login lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLifetime {
    /// In all.
    pub absolute: Duration,
    /// Without being refreshed.
    pub idle: Duration,
}

/// All stored facts of a [`Session`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionState {
    /// Its id, the `sid` of the access tokens issued under it.
    pub id: SessionId,
    /// The tenant that was logged in to.
    pub tenant: TenantId,
    /// The person.
    pub user: UserId,
    /// The hashes of its refresh token.
    pub refresh: RefreshHashes,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// Until when it can be refreshed, unless it is before.
    pub refresh_expires_at: Timestamp,
}

/// Why a session ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionEnd {
    /// The person logged out, here or everywhere.
    LoggedOut,
    /// A refresh token was used twice: one of the two users is a thief.
    RefreshTokenReused,
    /// The person's password was changed or reset.
    PasswordChanged,
    /// The person was removed from the tenant.
    MemberRemoved,
}

impl SessionEnd {
    /// The stable name of the reason.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LoggedOut => "logged_out",
            Self::RefreshTokenReused => "refresh_token_reused",
            Self::PasswordChanged => "password_changed",
            Self::MemberRemoved => "member_removed",
        }
    }
}

/// What can happen to a [`Session`]. Refreshing is no event: nothing follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEvent {
    /// A person logged in.
    Opened {
        /// The person.
        user: UserId,
    },
    /// It ended before its time.
    Ended {
        /// The person.
        user: UserId,
        /// Why.
        why: SessionEnd,
    },
}

aggregate!(
    /// One login of a person to one tenant. Access tokens name their session, so that ending it ends them.
    Session, SessionState, SessionEvent
);

/// What a presented refresh token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// The newest: it was exchanged for the next.
    Rotated,
    /// Once good, used before: the session was ended and is to be deleted.
    Reused,
    /// Never of this session, or the session can be refreshed no more.
    Refused,
}

impl Session {
    /// A person logs in.
    pub fn open(
        id: SessionId,
        tenant: TenantId,
        user: UserId,
        refresh: RefreshHashes,
        at: Timestamp,
        lifetime: SessionLifetime,
    ) -> Self {
        let expires_at = at.plus(lifetime.absolute);
        let state = SessionState {
            id,
            tenant,
            user,
            refresh,
            created_at: at,
            expires_at,
            refresh_expires_at: at.plus(lifetime.idle).min(expires_at),
        };
        Self::born(state, SessionEvent::Opened { user })
    }

    /// Exchanges the token with the hashes `presented` for one whose current secret has the hash `next`.
    #[must_use = "a reused token ends the session, which must be deleted"]
    pub fn refresh(
        &mut self,
        presented: RefreshHashes,
        next: SecretHash,
        at: Timestamp,
        idle: Duration,
    ) -> Refresh {
        let state = &mut self.state;
        if presented.family != state.refresh.family {
            return Refresh::Refused;
        }
        if presented.current != state.refresh.current {
            self.end(SessionEnd::RefreshTokenReused);
            return Refresh::Reused;
        }
        if at >= state.refresh_expires_at {
            return Refresh::Refused;
        }
        state.refresh.current = next;
        state.refresh_expires_at = at.plus(idle).min(state.expires_at);
        Refresh::Rotated
    }

    /// Ends it before its time; the row is to be deleted.
    pub fn end(&mut self, why: SessionEnd) {
        let user = self.state.user;
        self.pending.push(SessionEvent::Ended { user, why });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Aggregate as _;
    use uuid::Uuid;

    const LIFETIME: SessionLifetime = SessionLifetime {
        absolute: Duration::from_secs(100),
        idle: Duration::from_secs(30),
    };

    fn hashes(family: u8, current: u8) -> RefreshHashes {
        RefreshHashes {
            family: SecretHash([family; 32]),
            current: SecretHash([current; 32]),
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn session() -> Session {
        let uuid = Uuid::from_u128(1);
        let (tenant, user) = (TenantId::from_uuid(uuid), UserId::from_uuid(uuid));
        let mut session = Session::open(
            SessionId::from_uuid(uuid),
            tenant,
            user,
            hashes(1, 1),
            at(0),
            LIFETIME,
        );
        session.take_events();
        session
    }

    fn refresh(session: &mut Session, presented: RefreshHashes, next: u8, now: i64) -> Refresh {
        session.refresh(presented, SecretHash([next; 32]), at(now), LIFETIME.idle)
    }

    #[test]
    fn each_token_is_good_once() {
        let mut session = session();
        assert_eq!(refresh(&mut session, hashes(1, 1), 2, 10), Refresh::Rotated);
        assert_eq!(refresh(&mut session, hashes(1, 2), 3, 20), Refresh::Rotated);
        assert_eq!(refresh(&mut session, hashes(1, 1), 4, 21), Refresh::Reused);
        let events = session.take_events();
        assert!(matches!(
            events[..],
            [SessionEvent::Ended {
                why: SessionEnd::RefreshTokenReused,
                ..
            }]
        ));
    }

    #[test]
    fn a_stranger_cannot_end_it() {
        let mut session = session();
        assert_eq!(refresh(&mut session, hashes(9, 1), 2, 10), Refresh::Refused);
        assert!(session.take_events().is_empty());
        assert_eq!(refresh(&mut session, hashes(1, 1), 2, 10), Refresh::Rotated);
    }

    #[test]
    fn idleness_and_age_end_it() {
        let mut session = session();
        assert_eq!(refresh(&mut session, hashes(1, 1), 2, 30), Refresh::Refused);
        for (turn, now) in [(1, 25), (2, 50), (3, 75)] {
            assert_eq!(
                refresh(&mut session, hashes(1, turn), turn + 1, now),
                Refresh::Rotated
            );
        }
        assert_eq!(
            session.state().refresh_expires_at,
            at(100),
            "no later than the end"
        );
        assert_eq!(refresh(&mut session, hashes(1, 4), 5, 100), Refresh::Refused);
    }
}
