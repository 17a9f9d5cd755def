use std::sync::Arc;

use postrider_domain::{Aggregate as _, users::SessionEnd};
use secrecy::SecretString;

use crate::{
    Error, Ports, Result,
    access::{AsPerson, PersonScope},
    authentication::{PasswordProof, check_new_password, still_proved},
    mediator::{Handles, Request},
    ports::{PasswordHasher, PersonRepository, Store, UnitOfWork as _},
};

/// Changes the caller's password, which they prove first. Ends their other sessions, in all tenants.
#[derive(Debug)]
pub struct ChangePassword {
    /// The password that is good until now.
    pub current: SecretString,
    /// The one that is good from now on.
    pub new: SecretString,
}

impl Request for ChangePassword {
    type Output = ();
    type Access = AsPerson;
    const NAME: &'static str = "password.change";

    fn access(&self) -> AsPerson {
        AsPerson
    }

    fn validate(&self) -> Result<()> {
        check_new_password(&self.new).map_err(|invalid| Error::invalid_field("new_password", invalid))
    }
}

/// Serves [`ChangePassword`].
pub struct ChangePasswordHandler<S> {
    store: S,
    passwords: Arc<dyn PasswordHasher>,
    proof: PasswordProof,
}

impl<S: Clone> ChangePasswordHandler<S> {
    pub(crate) fn new(ports: &Ports<S>) -> Self {
        Self {
            store: ports.store.clone(),
            passwords: ports.passwords.clone(),
            proof: PasswordProof::new(ports.passwords.clone(), ports.throttle.clone()),
        }
    }
}

impl<S: Store> Handles<ChangePassword> for ChangePasswordHandler<S>
where
    S::Tx: PersonRepository,
{
    async fn handle(&self, scope: PersonScope, request: ChangePassword) -> Result<(), Error> {
        // Passwords take milliseconds of CPU: the person is read before, and again inside of the transaction.
        let user = {
            let mut tx = self.store.begin_as_person(&scope).await?;
            tx.find_me(&scope).await?
        };
        let user = user.ok_or_else(|| Error::not_found("person"))?;
        let email = user.state().email.clone();
        let address = scope.origin().address;
        self.proof.attempt(&email, address)?;
        let (proved, _) = self
            .proof
            .prove(&email, address, Some(user), request.current)
            .await?;
        let password = self.passwords.hash(request.new).await?;
        let mut tx = self.store.begin_as_person(&scope).await?;
        let mut user = still_proved(&proved, tx.find_me(&scope).await?)?;
        user.change_password(password);
        tx.save_me(&scope, &mut user).await?;
        tx.forget_password_resets(&scope).await?;
        tx.end_my_sessions(&scope, scope.session(), SessionEnd::PasswordChanged)
            .await?;
        tx.commit(scope.did(scope.user())).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ErrorCode,
        testing::{World, log_in, log_in_with},
    };

    fn change(current: &str, new: &str) -> ChangePassword {
        ChangePassword {
            current: current.into(),
            new: new.into(),
        }
    }

    const OLD: &str = "correct horse battery";

    #[tokio::test]
    async fn ends_the_other_sessions_and_the_old_password() {
        let world = World::new();
        world.tenant("ada@acme.example").await;
        let (here, there) = (
            log_in(&world, "ada@acme.example").await,
            log_in(&world, "ada@acme.example").await,
        );
        let ada = world.known(&here.access_token).await;
        world
            .send(&ada, change(OLD, "a wholly new password"))
            .await
            .unwrap();
        assert!(world.is_known(&here.access_token).await);
        assert!(!world.is_known(&there.access_token).await);
        assert!(log_in_with(&world, "ada@acme.example", OLD).await.is_err());
        assert!(
            log_in_with(&world, "ada@acme.example", "a wholly new password")
                .await
                .is_ok()
        );
    }

    #[tokio::test]
    async fn needs_the_current_password_and_a_good_new_one() {
        let world = World::new();
        world.tenant("ada@acme.example").await;
        let ada = log_in(&world, "ada@acme.example").await;
        let ada = world.known(&ada.access_token).await;
        assert_eq!(
            world
                .refusal(&ada, change("wrong", "a wholly new password"))
                .await,
            ErrorCode::InvalidCredentials
        );
        assert_eq!(
            world.refusal(&ada, change(OLD, "short")).await,
            ErrorCode::ValidationFailed
        );
        assert!(log_in_with(&world, "ada@acme.example", OLD).await.is_ok());
    }
}
