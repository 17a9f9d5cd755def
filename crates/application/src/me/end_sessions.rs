use postrider_domain::users::SessionEnd;

use crate::{
    Error, Result,
    access::{AsPerson, PersonScope},
    mediator::{Handles, Request},
    ports::{PersonRepository, Store, UnitOfWork as _},
};

/// Logs the caller out everywhere: ends their sessions in all tenants, this one too.
#[derive(Debug)]
pub struct EndMySessions;

impl Request for EndMySessions {
    type Output = ();
    type Access = AsPerson;
    const NAME: &'static str = "session.end_all";

    fn access(&self) -> AsPerson {
        AsPerson
    }
}

/// Serves [`EndMySessions`].
pub struct EndMySessionsHandler<S> {
    store: S,
}

impl<S> EndMySessionsHandler<S> {
    pub(crate) const fn new(store: S) -> Self {
        Self { store }
    }
}

impl<S: Store> Handles<EndMySessions> for EndMySessionsHandler<S>
where
    S::Tx: PersonRepository,
{
    async fn handle(&self, scope: PersonScope, _: EndMySessions) -> Result<(), Error> {
        let mut tx = self.store.begin_as_person(&scope).await?;
        tx.end_my_sessions(&scope, None, SessionEnd::LoggedOut).await?;
        tx.commit(scope.did(scope.user())).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, log_in, log_in_to};

    #[tokio::test]
    async fn ends_the_callers_sessions_in_all_tenants_and_nobody_elses() {
        let world = World::new();
        let here = world.tenant("ada@acme.example").await;
        let there = world.tenant("ada@acme.example").await;
        world.tenant("bob@beta.example").await;
        let tokens = [
            log_in_to(&world, "ada@acme.example", here.tenant).await,
            log_in_to(&world, "ada@acme.example", there.tenant).await,
        ];
        let bob = log_in(&world, "bob@beta.example").await;
        let ada = world.known(&tokens[0].access_token).await;
        world.send(&ada, EndMySessions).await.unwrap();
        for tokens in &tokens {
            assert!(!world.is_known(&tokens.access_token).await);
        }
        assert!(world.is_known(&bob.access_token).await);
    }
}
