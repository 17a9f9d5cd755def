use std::sync::Arc;

use postrider_domain::{tokens::PasswordResetToken, users::SessionEnd};
use secrecy::SecretString;

use super::{check_new_password, secrets::hash_secret};
use crate::{
    Error, ErrorCode, Ports, Result,
    access::{Public, PublicScope},
    mediator::{Handles, Request},
    ports::{Clock, Identities, PasswordHasher, PersonRepository, Store, UnitOfWork as _},
};

/// Sets a password anew with a token that the operator's command line issued. Good once; ends all sessions.
#[derive(Debug)]
pub struct ResetPassword {
    /// The token.
    pub token: PasswordResetToken,
    /// The new password.
    pub password: SecretString,
}

impl Request for ResetPassword {
    type Output = ();
    type Access = Public;
    const NAME: &'static str = "password.reset";

    fn access(&self) -> Public {
        Public
    }

    fn validate(&self) -> Result<()> {
        check_new_password(&self.password).map_err(|invalid| Error::invalid_field("password", invalid))
    }
}

/// Serves [`ResetPassword`].
pub struct ResetPasswordHandler<S> {
    store: S,
    identities: Arc<dyn Identities>,
    passwords: Arc<dyn PasswordHasher>,
    clock: Arc<dyn Clock>,
}

impl<S: Clone> ResetPasswordHandler<S> {
    pub(crate) fn new(ports: &Ports<S>) -> Self {
        Self {
            store: ports.store.clone(),
            identities: ports.identities.clone(),
            passwords: ports.passwords.clone(),
            clock: ports.clock.clone(),
        }
    }
}

impl<S: Store> Handles<ResetPassword> for ResetPasswordHandler<S>
where
    S::Tx: PersonRepository,
{
    async fn handle(&self, scope: PublicScope, request: ResetPassword) -> Result<(), Error> {
        let (id, secret) = (request.token.id(), hash_secret(request.token.secret()));
        let reset = self
            .identities
            .password_reset(id)
            .await?
            .filter(|reset| reset.token_hash == secret && reset.expires_at > self.clock.now())
            .ok_or_else(|| refused("unknown, wrong or expired"))?;
        let person = scope.proved(reset.user, None);
        // Hashing takes milliseconds of CPU: before the transaction, never inside it.
        let password = self.passwords.hash(request.password).await?;
        let mut tx = self.store.begin_as_person(&person).await?;
        if !tx.take_password_reset(&person, id).await? {
            return Err(refused("used at the same moment"));
        }
        let mut user = tx
            .find_me(&person)
            .await?
            .ok_or_else(|| refused("the person is gone"))?;
        user.change_password(password);
        tx.save_me(&person, &mut user).await?;
        tx.forget_password_resets(&person).await?;
        tx.end_my_sessions(&person, None, SessionEnd::PasswordChanged)
            .await?;
        tx.commit(person.did(reset.user)).await?;
        Ok(())
    }
}

/// One answer for every reason; the reason is for the trace.
fn refused(reason: &'static str) -> Error {
    Error::new(
        ErrorCode::InvalidToken,
        "the token is not good, or not any more: ask the operator for another",
    )
    .caused_by(reason)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        access::Caller,
        testing::{World, log_in, log_in_with, operator},
        users::IssuePasswordReset,
    };
    use postrider_domain::users::Email;

    async fn issued(world: &World) -> PasswordResetToken {
        let email = Email::parse("ada@acme.example").unwrap();
        let request = IssuePasswordReset { email };
        world.send(&operator(), request).await.unwrap().token
    }

    fn reset(token: &PasswordResetToken, password: &str) -> ResetPassword {
        ResetPassword {
            token: token.clone(),
            password: password.into(),
        }
    }

    #[tokio::test]
    async fn sets_the_password_once_and_ends_all_sessions() {
        let world = World::new();
        world.tenant("ada@acme.example").await;
        let before = log_in(&world, "ada@acme.example").await;
        let token = issued(&world).await;
        let anyone = Caller::anonymous();
        world
            .send(&anyone, reset(&token, "a wholly new password"))
            .await
            .unwrap();
        assert!(!world.is_known(&before.access_token).await);
        assert!(
            log_in_with(&world, "ada@acme.example", "a wholly new password")
                .await
                .is_ok()
        );
        assert_eq!(
            world
                .refusal(&anyone, reset(&token, "yet another password"))
                .await,
            ErrorCode::InvalidToken
        );
    }

    #[tokio::test]
    async fn a_late_a_wrong_and_a_replaced_token_are_refused() {
        let world = World::new();
        world.tenant("ada@acme.example").await;
        let anyone = Caller::anonymous();
        let replaced = issued(&world).await;
        let good = issued(&world).await;
        let wrong = PasswordResetToken::new(good.id(), [9; 32]);
        for bad in [&replaced, &wrong] {
            assert_eq!(
                world.refusal(&anyone, reset(bad, "a wholly new password")).await,
                ErrorCode::InvalidToken
            );
        }
        world.pass(Duration::from_hours(1));
        assert_eq!(
            world
                .refusal(&anyone, reset(&good, "a wholly new password"))
                .await,
            ErrorCode::InvalidToken
        );
    }
}
