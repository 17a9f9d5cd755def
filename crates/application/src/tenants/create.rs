use std::sync::Arc;

use postrider_domain::{
    Aggregate as _, MembershipId, Name, TenantId, UserId,
    access::{Grant, Role},
    tenants::Tenant,
    users::{Email, Membership, User},
};
use secrecy::SecretString;

use crate::{
    Error, ErrorCode, Result,
    access::{AsOperator, OperatorScope},
    authentication::check_new_password,
    mediator::{Handles, Request},
    ports::{Clock, Ids, PasswordHasher, Repository, Store, UnitOfWork as _, UserRepository},
};

/// Creates a tenant with its first owner. A person of that address who is known already becomes the owner if that is
/// said, and keeps their password.
#[derive(Debug)]
pub struct CreateTenant {
    /// The tenant's display name.
    pub name: Name,
    /// The owner's address.
    pub owner_email: Email,
    /// The owner's display name; used only if the person is new.
    pub owner_name: Name,
    /// The owner's password; used only if the person is new.
    pub owner_password: SecretString,
    /// Whether a person who is known already may become the owner. It must be said: nobody has proved here that an
    /// address is theirs, and whoever registered it first would own the tenant.
    pub owner_may_be_known: bool,
}

/// A tenant and its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedTenant {
    /// The tenant.
    pub tenant: TenantId,
    /// The owner.
    pub owner: UserId,
    /// Whether the person was known before; then the given password was not used.
    pub owner_existed: bool,
}

impl Request for CreateTenant {
    type Output = CreatedTenant;
    type Access = AsOperator;
    const NAME: &'static str = "tenant.create";

    fn access(&self) -> AsOperator {
        AsOperator
    }

    fn validate(&self) -> Result<()> {
        check_new_password(&self.owner_password)
            .map_err(|invalid| Error::invalid_field("owner.password", invalid))
    }
}

/// Serves [`CreateTenant`].
pub struct CreateTenantHandler<S> {
    store: S,
    passwords: Arc<dyn PasswordHasher>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

impl<S> CreateTenantHandler<S> {
    pub(crate) fn new(
        store: S,
        passwords: Arc<dyn PasswordHasher>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Self {
        Self {
            store,
            passwords,
            clock,
            ids,
        }
    }
}

impl<S: Store> Handles<CreateTenant> for CreateTenantHandler<S>
where
    S::Tx: Repository<Tenant> + Repository<Membership> + UserRepository,
{
    async fn handle(&self, operator: OperatorScope, request: CreateTenant) -> Result<CreatedTenant, Error> {
        // Hashing takes milliseconds of CPU: before the transaction, never inside it.
        let password = self.passwords.hash(request.owner_password).await?;
        let now = self.clock.now();
        let mut tenant = Tenant::create(TenantId::from_uuid(self.ids.next()), request.name, now);
        let scope = operator.in_tenant(tenant.state().id);

        let mut tx = self.store.begin_as_operator(&operator).await?;
        let known = tx.find_user(&operator, &request.owner_email).await?;
        let owner_existed = known.is_some();
        if owner_existed && !request.owner_may_be_known {
            return Err(Error::new(
                ErrorCode::OwnerExists,
                "the owner's address belongs to a known person: make sure that it is who you mean, and say so",
            ));
        }
        let owner = if let Some(user) = known {
            user.state().id
        } else {
            let id = UserId::from_uuid(self.ids.next());
            let mut user = User::register(id, request.owner_email, request.owner_name, password, now);
            tx.save_user(&operator, &mut user).await?;
            id
        };
        tx.save(&scope, &mut tenant).await?;
        let id = MembershipId::from_uuid(self.ids.next());
        let mut membership =
            Membership::join(id, scope.tenant(), owner, vec![Grant::tenant(Role::Owner)], now);
        tx.save(&scope, &mut membership).await?;
        let created = CreatedTenant {
            tenant: scope.tenant(),
            owner,
            owner_existed,
        };
        let record = scope.did(scope.tenant());
        tx.commit(record.answering(&operator, &created)).await?;
        Ok(created)
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        ErrorCode,
        access::Caller,
        ports::{EventLog as _, Identities as _},
        testing::{World, create_tenant, operator},
    };
    use postrider_domain::{
        Aggregate as _,
        access::{Grant, Role},
        users::Email,
    };

    #[tokio::test]
    async fn makes_tenant_owner_and_membership_together() {
        let world = World::new();
        let created = world.tenant("ada@acme.example").await;
        assert!(!created.owner_existed);
        let memberships = world.store.memberships(created.owner).await.unwrap();
        assert_eq!(memberships.len(), 1);
        assert_eq!(memberships[0].tenant, created.tenant);
        assert_eq!(memberships[0].grants, [Grant::tenant(Role::Owner)]);
        let kinds: Vec<_> = world
            .store
            .after(0, 10)
            .await
            .unwrap()
            .into_iter()
            .map(|e| e.kind)
            .collect();
        assert_eq!(kinds, ["user.registered", "tenant.created", "membership.joined"]);
    }

    #[tokio::test]
    async fn a_known_person_keeps_their_password() {
        let world = World::new();
        let first = world.tenant("ada@acme.example").await;
        let email = Email::parse("ada@acme.example").unwrap();
        let before = world
            .store
            .user_by_email(&email)
            .await
            .unwrap()
            .unwrap()
            .state()
            .password
            .clone();
        let mut request = create_tenant("ADA@acme.example");
        request.owner_password = "another password".into();
        request.owner_may_be_known = false;
        assert_eq!(world.refusal(&operator(), request).await, ErrorCode::OwnerExists);
        let mut request = create_tenant("ADA@acme.example");
        request.owner_password = "another password".into();
        let second = world.send(&operator(), request).await.unwrap();
        assert!(second.owner_existed && second.owner == first.owner && second.tenant != first.tenant);
        assert_eq!(
            world
                .store
                .user_by_email(&email)
                .await
                .unwrap()
                .unwrap()
                .state()
                .password,
            before
        );
    }

    #[tokio::test]
    async fn a_weak_password_makes_nothing() {
        let world = World::new();
        let mut request = create_tenant("ada@acme.example");
        request.owner_password = "short".into();
        let error = world.send(&operator(), request).await.unwrap_err();
        assert_eq!(error.violations()[0].field, "owner.password");
        assert_eq!(world.store.head().await.unwrap(), 0);
    }

    #[tokio::test]
    async fn only_the_operator_may() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        assert_eq!(
            world.refusal(&owner, create_tenant("b@b.example")).await,
            ErrorCode::Forbidden
        );
        assert_eq!(
            world
                .refusal(&Caller::anonymous(), create_tenant("b@b.example"))
                .await,
            ErrorCode::Unauthenticated
        );
    }
}
