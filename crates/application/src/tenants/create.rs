use std::sync::Arc;

use postrider_domain::{
    Aggregate as _, MembershipId, Name, TenantId, UserId,
    access::{Grant, Role},
    tenants::Tenant,
    users::{Email, Membership, User},
};
use secrecy::SecretString;

use crate::{
    Error, Result,
    access::{AsOperator, OperatorScope, TenantScope},
    mediator::{Handles, Request},
    ports::{Clock, Ids, PasswordHasher, Repository, Store, UnitOfWork as _, UserRepository},
};

/// Creates a tenant with its first owner. A person of that address who is known already becomes the owner and
/// keeps their password.
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
        let scope = TenantScope::of_new(&tenant, &operator);

        let mut tx = self.store.begin_as_operator(&operator).await?;
        let known = tx.find_user(&operator, &request.owner_email).await?;
        let owner_existed = known.is_some();
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
        tx.commit().await?;
        Ok(CreatedTenant {
            tenant: scope.tenant(),
            owner,
            owner_existed,
        })
    }
}
