use std::sync::Arc;

use postrider_domain::{
    Aggregate as _, SessionId,
    tokens::RefreshToken,
    users::{Session, SessionEnd},
};

use super::secrets::hash_refresh;
use crate::{
    Error, Ports, Result,
    access::{PersonScope, Public, PublicScope, TenantScope},
    contention::again_while_stale,
    mediator::{Handles, Request},
    ports::{Identities, Repository, Store, StoreError, UnitOfWork as _},
};

/// Ends the session of a refresh token. Whoever holds any token of the session may, an old one too; for a token
/// that is not good there is nothing to end, which is no error.
#[derive(Debug)]
pub struct LogOut {
    /// The token.
    pub token: RefreshToken,
}

impl Request for LogOut {
    type Output = ();
    type Access = Public;
    const NAME: &'static str = "session.end";

    fn access(&self) -> Public {
        Public
    }
}

/// Serves [`LogOut`].
pub struct LogOutHandler<S> {
    store: S,
    identities: Arc<dyn Identities>,
}

impl<S: Clone> LogOutHandler<S> {
    pub(crate) fn new(ports: &Ports<S>) -> Self {
        Self {
            store: ports.store.clone(),
            identities: ports.identities.clone(),
        }
    }
}

impl<S: Store> LogOutHandler<S>
where
    S::Tx: Repository<Session, Key = SessionId>,
{
    async fn end(
        &self,
        person: &PersonScope,
        tenant: &TenantScope,
        token: &RefreshToken,
    ) -> Result<(), StoreError> {
        let id = token.session();
        let mut tx = self.store.begin_as_person(person).await?;
        let Some(mut session) = tx.find(tenant, &id).await? else {
            return Ok(());
        };
        if session.state().refresh.family != hash_refresh(token).family {
            return Ok(());
        }
        session.end(SessionEnd::LoggedOut);
        tx.delete(tenant, session).await?;
        tx.commit(person.did(id)).await
    }
}

impl<S: Store> Handles<LogOut> for LogOutHandler<S>
where
    S::Tx: Repository<Session, Key = SessionId>,
{
    async fn handle(&self, scope: PublicScope, request: LogOut) -> Result<(), Error> {
        let Some(record) = self.identities.session_now(request.token.session()).await? else {
            return Ok(());
        };
        let person = scope.proved(record.user, Some(record.tenant));
        let Some(tenant) = person.tenant_scope() else {
            return Err(Error::internal("a session without a tenant"));
        };
        // Somebody may refresh the session at the same moment: it ends nevertheless, as its family is the same.
        again_while_stale(|| self.end(&person, &tenant, &request.token)).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use postrider_domain::AuditEntryId;

    use super::*;
    use crate::{
        ErrorCode,
        access::{AccessRule as _, Caller, Origin},
        audit::{Actor, Occasion},
        contention::TRIES,
        testing::{Contended, World, log_in},
    };

    #[tokio::test]
    async fn ends_this_session_and_no_other() {
        let world = World::new();
        world.tenant("ada@acme.example").await;
        let (here, there) = (
            log_in(&world, "ada@acme.example").await,
            log_in(&world, "ada@acme.example").await,
        );
        for _ in 0..2 {
            let token = here.refresh_token.clone();
            world.send(&Caller::anonymous(), LogOut { token }).await.unwrap();
        }
        assert!(!world.is_known(&here.access_token).await);
        assert!(world.is_known(&there.access_token).await);
    }

    #[tokio::test]
    async fn a_guess_ends_nothing() {
        let world = World::new();
        world.tenant("ada@acme.example").await;
        let tokens = log_in(&world, "ada@acme.example").await;
        let token = RefreshToken::first(tokens.session, [1; 32], [2; 32]);
        world.send(&Caller::anonymous(), LogOut { token }).await.unwrap();
        assert!(world.is_known(&tokens.access_token).await);
    }
    /// Logs out while so many others refresh the session, each of them between our reading and writing it.
    async fn log_out_while_refreshed(world: &World, token: RefreshToken, others: usize) -> Result<()> {
        let handler = LogOutHandler {
            store: Contended::new(world.store.clone(), others),
            identities: Arc::new(world.store.clone()),
        };
        let caller = Caller::anonymous();
        let occasion = Arc::new(Occasion {
            asking: None,
            id: AuditEntryId::from_uuid(world.ids().next()),
            at: world.now(),
            action: LogOut::NAME,
            actor: Actor::of(&caller),
            origin: Origin::default(),
        });
        let scope = Public.grant(&caller, &occasion, &world.store).await?;
        handler.handle(scope, LogOut { token }).await
    }

    #[tokio::test]
    async fn a_session_that_is_refreshed_meanwhile_is_ended_too() {
        for (others, ends) in [(1, true), (TRIES - 1, true), (TRIES, false)] {
            let world = World::new();
            world.tenant("ada@acme.example").await;
            let tokens = log_in(&world, "ada@acme.example").await;
            let ended = log_out_while_refreshed(&world, tokens.refresh_token, others).await;
            let code = ended.err().map(|error| error.code());
            assert_eq!(code, (!ends).then_some(ErrorCode::StaleVersion), "{others}");
            assert_eq!(world.is_known(&tokens.access_token).await, !ends, "{others}");
        }
    }
}
