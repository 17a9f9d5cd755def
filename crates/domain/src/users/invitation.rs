use std::time::Duration;

use super::Email;
use crate::{
    InvalidValue, InvitationId, TenantId, Timestamp,
    access::{Grant, check_grants},
    aggregate::aggregate,
    tokens::SecretHash,
};

/// All stored facts of an [`Invitation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationState {
    /// Its id.
    pub id: InvitationId,
    /// The tenant that invites.
    pub tenant: TenantId,
    /// Who is invited.
    pub email: Email,
    /// What they will hold.
    pub grants: Vec<Grant>,
    /// The hash of its token's secret.
    pub token_hash: SecretHash,
    /// Who invited, as the audit log names them.
    pub invited_by: String,
    /// When.
    pub created_at: Timestamp,
    /// Until when it can be accepted.
    pub expires_at: Timestamp,
}

/// What can happen to an [`Invitation`]. Events name no addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvitationEvent {
    /// Somebody was invited.
    Issued {
        /// What they will hold.
        grants: Vec<Grant>,
        /// Until when it can be accepted.
        expires_at: Timestamp,
    },
    /// It was accepted, and is used up.
    Accepted,
    /// It was withdrawn.
    Withdrawn,
    /// It had expired when another took its place.
    Replaced,
}

aggregate!(
    /// A person is asked into a tenant; good once, and not for ever.
    Invitation, InvitationState, InvitationEvent
);

/// What an invitation is made of.
#[derive(Debug, Clone)]
pub struct NewInvitation {
    /// Who is invited.
    pub email: Email,
    /// What they will hold.
    pub grants: Vec<Grant>,
    /// The hash of its token's secret.
    pub token_hash: SecretHash,
    /// Who invites, as the audit log names them.
    pub invited_by: String,
}

/// Why an invitation cannot be accepted. Answered alike; the reason is for the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAcceptable {
    /// The secret is another.
    #[error("the secret is not the invitation's")]
    WrongSecret,
    /// It is too late.
    #[error("the invitation has expired")]
    Expired,
}

impl Invitation {
    /// The longest that an invitation may last.
    pub const MAX_LIFETIME: Duration = Duration::from_hours(30 * 24);

    /// Invites a person.
    pub fn issue(
        id: InvitationId,
        tenant: TenantId,
        new: NewInvitation,
        at: Timestamp,
        lifetime: Duration,
    ) -> Result<Self, InvalidValue> {
        let NewInvitation {
            email,
            grants,
            token_hash,
            invited_by,
        } = new;
        check_grants(&grants)?;
        let expires_at = at.plus(lifetime.min(Self::MAX_LIFETIME));
        let event = InvitationEvent::Issued {
            grants: grants.clone(),
            expires_at,
        };
        Ok(Self::born(
            InvitationState {
                id,
                tenant,
                email,
                grants,
                token_hash,
                invited_by,
                created_at: at,
                expires_at,
            },
            event,
        ))
    }

    /// Uses it up; the row is to be deleted.
    pub fn accept(&mut self, secret: SecretHash, at: Timestamp) -> Result<(), NotAcceptable> {
        if secret != self.state.token_hash {
            return Err(NotAcceptable::WrongSecret);
        }
        if self.has_expired(at) {
            return Err(NotAcceptable::Expired);
        }
        self.pending.push(InvitationEvent::Accepted);
        Ok(())
    }

    /// Whether it is too late to accept it.
    pub fn has_expired(&self, at: Timestamp) -> bool {
        at >= self.state.expires_at
    }

    /// Withdraws it; the row is to be deleted.
    pub fn withdraw(&mut self) {
        self.pending.push(InvitationEvent::Withdrawn);
    }

    /// Makes room for another to the same address; the row is to be deleted.
    pub fn replace(&mut self) {
        self.pending.push(InvitationEvent::Replaced);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Aggregate as _, access::Role};
    use uuid::Uuid;

    fn invite(grants: Vec<Grant>) -> Result<Invitation, InvalidValue> {
        Invitation::issue(
            InvitationId::from_uuid(Uuid::from_u128(1)),
            TenantId::from_uuid(Uuid::from_u128(2)),
            NewInvitation {
                email: Email::parse("bob@acme.example").unwrap(),
                grants,
                token_hash: SecretHash([1; 32]),
                invited_by: "usr_1".to_owned(),
            },
            Timestamp::from_micros(0),
            Duration::from_secs(10),
        )
    }

    #[test]
    fn is_accepted_with_its_secret_before_it_expires() {
        let mut invitation = invite(vec![Grant::tenant(Role::Viewer)]).unwrap();
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        assert_eq!(
            invitation.accept(SecretHash([2; 32]), at(1)),
            Err(NotAcceptable::WrongSecret)
        );
        assert_eq!(
            invitation.accept(SecretHash([1; 32]), at(10)),
            Err(NotAcceptable::Expired)
        );
        assert_eq!(invitation.accept(SecretHash([1; 32]), at(9)), Ok(()));
        assert_eq!(invitation.take_events().len(), 2);
    }

    #[test]
    fn invites_to_something() {
        assert!(invite(vec![]).is_err());
    }
}
