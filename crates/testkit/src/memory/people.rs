//! People, and what they and others do with their memberships and sessions.

use postrider_application::{
    access::{OperatorScope, PersonScope, TenantScope},
    ports::{MemberRepository, PasswordReset, PersonRepository, StoreError, UserRepository},
};
use postrider_domain::{
    Aggregate as _, MembershipId, PasswordResetId, SessionId,
    events::DomainEvent,
    users::{Email, Invitation, Membership, Session, SessionEnd, SessionEvent, SessionState, User},
};

use super::{repositories::write, state::fault, store::MemoryTx, tables::check_user};

impl MemoryTx {
    /// Ends the sessions that are `meant`; how many there were.
    fn end_sessions(&mut self, why: SessionEnd, meant: impl Fn(&SessionState) -> bool) -> u32 {
        let sessions = self.configuration.sessions.iter();
        let ended: Vec<_> = sessions
            .filter(|(_, row)| meant(&row.state))
            .map(|(id, row)| (*id, Session::restore(row.state.clone(), row.version)))
            .collect();
        for (id, session) in &ended {
            self.configuration.sessions.remove(id);
            let (tenant, user) = (session.state().tenant, session.state().user);
            let event = DomainEvent::Session(*id, SessionEvent::Ended { user, why });
            self.record(Some(tenant), session.version().next(), event);
        }
        u32::try_from(ended.len()).unwrap_or(u32::MAX)
    }

    fn write_user(&mut self, user: &mut User) -> Result<(), StoreError> {
        let state = user.state().clone();
        check_user(&self.configuration, &state)?;
        let (id, read) = (state.id, user.version());
        let version = write(&mut self.configuration.users, id, read, state, || {
            StoreError::Stale
        })?;
        for event in user.take_events() {
            self.record(None, version, DomainEvent::User(id, event));
        }
        Ok(())
    }
}

impl MemberRepository for MemoryTx {
    /// The others wait already: writers take turns.
    async fn count_owners(&mut self, scope: &TenantScope) -> Result<u32, StoreError> {
        let Some(tenant) = self.visible(scope) else {
            return Ok(0);
        };
        let memberships = self.configuration.memberships.values();
        let owners = memberships
            .filter(|row| row.state.tenant == tenant && row.state.is_owner())
            .count();
        Ok(u32::try_from(owners).unwrap_or(u32::MAX))
    }

    async fn find_member(
        &mut self,
        scope: &TenantScope,
        email: &Email,
    ) -> Result<Option<MembershipId>, StoreError> {
        let Some(tenant) = self.visible(scope) else {
            return Ok(None);
        };
        let user = self.configuration.user_by_email(email);
        let member = user.and_then(|user| self.configuration.membership(tenant, user.state.id));
        Ok(member.map(|row| row.state.id))
    }

    async fn find_invitation(
        &mut self,
        scope: &TenantScope,
        email: &Email,
    ) -> Result<Option<Invitation>, StoreError> {
        let Some(tenant) = self.visible(scope) else {
            return Ok(None);
        };
        let mut invitations = self.configuration.invitations.values();
        let row = invitations.find(|row| row.state.tenant == tenant && row.state.email == *email);
        Ok(row.map(|row| Invitation::restore(row.state.clone(), row.version)))
    }

    async fn invitations_by(
        &mut self,
        scope: &TenantScope,
        inviter: &str,
    ) -> Result<Vec<Invitation>, StoreError> {
        let Some(tenant) = self.visible(scope) else {
            return Ok(Vec::new());
        };
        let invitations = self.configuration.invitations.values();
        Ok(invitations
            .filter(|row| row.state.tenant == tenant && row.state.invited_by == inviter)
            .map(|row| Invitation::restore(row.state.clone(), row.version))
            .collect())
    }

    async fn end_sessions_of(
        &mut self,
        scope: &TenantScope,
        member: &Membership,
        why: SessionEnd,
    ) -> Result<u32, StoreError> {
        let tenant = self
            .visible(scope)
            .ok_or_else(|| fault("a scope of another tenant"))?;
        let user = member.state().user;
        Ok(self.end_sessions(why, |session| (session.tenant, session.user) == (tenant, user)))
    }
}

impl UserRepository for MemoryTx {
    async fn find_user(&mut self, _: &OperatorScope, email: &Email) -> Result<Option<User>, StoreError> {
        self.of_operator()?;
        let row = self.configuration.user_by_email(email);
        Ok(row.map(|row| User::restore(row.state.clone(), row.version)))
    }

    async fn save_user(&mut self, _: &OperatorScope, user: &mut User) -> Result<(), StoreError> {
        self.of_operator()?;
        self.write_user(user)
    }

    async fn put_password_reset(
        &mut self,
        _: &OperatorScope,
        reset: &PasswordReset,
    ) -> Result<(), StoreError> {
        self.of_operator()?;
        if !self.configuration.users.contains_key(&reset.user) {
            return Err(fault("a password reset of nobody"));
        }
        self.configuration
            .password_resets
            .insert(reset.user, reset.clone());
        Ok(())
    }
}

impl PersonRepository for MemoryTx {
    async fn find_me(&mut self, scope: &PersonScope) -> Result<Option<User>, StoreError> {
        let me = self.myself(scope)?;
        let row = self.configuration.users.get(&me);
        Ok(row.map(|row| User::restore(row.state.clone(), row.version)))
    }

    async fn save_me(&mut self, scope: &PersonScope, user: &mut User) -> Result<(), StoreError> {
        if user.state().id != self.myself(scope)? {
            return Err(fault("another person"));
        }
        self.write_user(user)
    }

    async fn end_my_sessions(
        &mut self,
        scope: &PersonScope,
        except: Option<SessionId>,
        why: SessionEnd,
    ) -> Result<u32, StoreError> {
        let me = self.myself(scope)?;
        Ok(self.end_sessions(why, |session| session.user == me && Some(session.id) != except))
    }

    async fn take_password_reset(
        &mut self,
        scope: &PersonScope,
        id: PasswordResetId,
    ) -> Result<bool, StoreError> {
        let me = self.myself(scope)?;
        let resets = &mut self.configuration.password_resets;
        let mine = resets.get(&me).is_some_and(|reset| reset.id == id);
        Ok(mine && resets.remove(&me).is_some())
    }

    async fn forget_password_resets(&mut self, scope: &PersonScope) -> Result<(), StoreError> {
        let me = self.myself(scope)?;
        self.configuration.password_resets.remove(&me);
        Ok(())
    }

    async fn am_member(&mut self, scope: &PersonScope) -> Result<bool, StoreError> {
        let me = self.myself(scope)?;
        let tenant = scope.tenant();
        Ok(tenant.is_some_and(|tenant| self.configuration.membership(tenant, me).is_some()))
    }
}
