use std::sync::Arc;

use postrider_domain::{
    Aggregate as _, SessionId,
    tokens::RefreshToken,
    users::{Session, SessionEnd},
};

use super::secrets::hash_refresh;
use crate::{
    Error, Ports, Result,
    access::{Public, PublicScope},
    mediator::{Handles, Request},
    ports::{Identities, Repository, Store, UnitOfWork as _},
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

impl<S: Store> Handles<LogOut> for LogOutHandler<S>
where
    S::Tx: Repository<Session, Key = SessionId>,
{
    async fn handle(&self, scope: PublicScope, request: LogOut) -> Result<(), Error> {
        let id = request.token.session();
        let Some(record) = self.identities.session_now(id).await? else {
            return Ok(());
        };
        let person = scope.proved(record.user, Some(record.tenant));
        let Some(tenant) = person.tenant_scope() else {
            return Err(Error::internal("a session without a tenant"));
        };
        let mut tx = self.store.begin_as_person(&person).await?;
        let Some(mut session) = tx.find(&tenant, &id).await? else {
            return Ok(());
        };
        if session.state().refresh.family != hash_refresh(&request.token).family {
            return Ok(());
        }
        session.end(SessionEnd::LoggedOut);
        tx.delete(&tenant, session).await?;
        tx.commit(person.did(id)).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        access::Caller,
        testing::{World, log_in},
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
}
