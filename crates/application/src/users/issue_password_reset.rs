use std::{sync::Arc, time::Duration};

use postrider_domain::{
    Aggregate as _, PasswordResetId, Timestamp, UserId, tokens::PasswordResetToken, users::Email,
};

use crate::{
    Error, Ports, Result, Settings,
    access::{AsOperator, OperatorScope},
    authentication::hash_secret,
    mediator::{Handles, Request},
    ports::{Clock, Ids, PasswordReset, Randomness, Store, UnitOfWork as _, UserRepository},
};

/// Issues a token with which a person sets their password anew. An earlier one is good no more. Only for the
/// operator: a tenant's owner must never come by a person who is in other tenants too.
#[derive(Debug)]
pub struct IssuePasswordReset {
    /// Whose.
    pub email: Email,
}

/// A password reset, to be handed to the person; its token is shown this once.
#[derive(Debug, Clone)]
pub struct IssuedPasswordReset {
    /// The person.
    pub user: UserId,
    /// What they present.
    pub token: PasswordResetToken,
    /// Until when.
    pub expires_at: Timestamp,
}

impl Request for IssuePasswordReset {
    type Output = IssuedPasswordReset;
    type Access = AsOperator;
    const NAME: &'static str = "password_reset.issue";

    fn access(&self) -> AsOperator {
        AsOperator
    }
}

/// Serves [`IssuePasswordReset`].
pub struct IssuePasswordResetHandler<S> {
    store: S,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    randomness: Arc<dyn Randomness>,
    lifetime: Duration,
}

impl<S: Clone> IssuePasswordResetHandler<S> {
    pub(crate) fn new(ports: &Ports<S>, settings: &Settings) -> Self {
        Self {
            store: ports.store.clone(),
            clock: ports.clock.clone(),
            ids: ports.ids.clone(),
            randomness: ports.randomness.clone(),
            lifetime: settings.password_reset_lifetime,
        }
    }
}

impl<S: Store> Handles<IssuePasswordReset> for IssuePasswordResetHandler<S>
where
    S::Tx: UserRepository,
{
    async fn handle(
        &self,
        scope: OperatorScope,
        request: IssuePasswordReset,
    ) -> Result<IssuedPasswordReset, Error> {
        let mut tx = self.store.begin_as_operator(&scope).await?;
        let user = tx
            .find_user(&scope, &request.email)
            .await?
            .ok_or_else(|| Error::not_found("person"))?
            .state()
            .id;
        let token = PasswordResetToken::new(
            PasswordResetId::from_uuid(self.ids.next()),
            self.randomness.bytes(),
        );
        let reset = PasswordReset {
            id: token.id(),
            user,
            token_hash: hash_secret(token.secret()),
            expires_at: self.clock.now().plus(self.lifetime),
        };
        tx.put_password_reset(&scope, &reset).await?;
        tx.commit(scope.did(user)).await?;
        Ok(IssuedPasswordReset {
            user,
            token,
            expires_at: reset.expires_at,
        })
    }
}
