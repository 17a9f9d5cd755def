use postrider_domain::{ApiKeyId, InvitationId, access::Permission, api_keys::ApiKey, users::Invitation};

use crate::{
    Error, Result,
    access::{OnTenant, TenantScope},
    mediator::{Handles, Request},
    members::withdraw_invitations_of,
    ports::{MemberRepository, Repository, Store, UnitOfWork as _},
};

/// Revokes an API key. Whoever manages keys may revoke any of the tenant's, one mightier than they too: it is the
/// quick answer to a leak.
#[derive(Debug)]
pub struct RevokeApiKey {
    /// Which.
    pub key: ApiKeyId,
}

impl Request for RevokeApiKey {
    type Output = ();
    type Access = OnTenant;
    const NAME: &'static str = "api_key.revoke";

    fn access(&self) -> OnTenant {
        OnTenant(Permission::ApiKeysManage)
    }
}

/// Serves [`RevokeApiKey`].
pub struct RevokeApiKeyHandler<S> {
    store: S,
}

impl<S> RevokeApiKeyHandler<S> {
    pub(crate) const fn new(store: S) -> Self {
        Self { store }
    }
}

impl<S: Store> Handles<RevokeApiKey> for RevokeApiKeyHandler<S>
where
    S::Tx: Repository<ApiKey, Key = ApiKeyId> + Repository<Invitation, Key = InvitationId> + MemberRepository,
{
    async fn handle(&self, scope: TenantScope, request: RevokeApiKey) -> Result<(), Error> {
        let mut tx = self.store.begin(&scope).await?;
        let mut key = Repository::<ApiKey>::find(&mut tx, &scope, &request.key)
            .await?
            .ok_or_else(|| Error::not_found("API key"))?;
        key.revoke();
        withdraw_invitations_of(&mut tx, &scope, &request.key.to_string()).await?;
        tx.delete(&scope, key).await?;
        tx.commit(scope.did(request.key)).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorCode, api_keys::MintApiKey, members::GrantRequest, testing::World};
    use postrider_domain::{
        Name,
        access::{Grant, Role},
    };

    #[tokio::test]
    async fn a_revoked_key_lets_nobody_in() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let mint = MintApiKey {
            name: Name::parse("ci").unwrap(),
            grants: vec![GrantRequest {
                role: Role::Publisher,
                application: None,
            }],
            expires_at: None,
        };
        let minted = world.send(&owner, mint).await.unwrap();
        let token = minted.token.reveal();
        assert!(world.is_known(&token).await);
        let stranger = world.caller("eve@evil.example", Grant::tenant(Role::Owner)).await;
        let revoke = || RevokeApiKey { key: minted.id };
        assert_eq!(world.refusal(&stranger, revoke()).await, ErrorCode::NotFound);
        world.send(&owner, revoke()).await.unwrap();
        assert!(!world.is_known(&token).await);
        assert_eq!(world.refusal(&owner, revoke()).await, ErrorCode::NotFound);
    }
}
