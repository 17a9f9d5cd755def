use std::sync::Arc;

use postrider_domain::{
    ApiKeyId, InvalidValue, Name, Rule, Timestamp,
    access::{Permission, check_grants},
    api_keys::ApiKey,
    tokens::ApiKeyToken,
};

use crate::{
    Error, Ports, Result,
    access::{OnTenant, TenantScope},
    authentication::hash_secret,
    mediator::{Handles, Request},
    members::{GrantRequest, GrantResolver},
    ports::{Clock, Ids, Randomness, Repository, Store, UnitOfWork as _},
};

/// Mints an API key. Nobody confers what they do not hold.
#[derive(Debug)]
pub struct MintApiKey {
    /// Display name.
    pub name: Name,
    /// What it may do.
    pub grants: Vec<GrantRequest>,
    /// When it stops working by itself; never, if absent.
    pub expires_at: Option<Timestamp>,
}

/// A key, and its token, which is shown this once.
#[derive(Debug, Clone)]
pub struct MintedApiKey {
    /// The key.
    pub id: ApiKeyId,
    /// What the machine presents.
    pub token: ApiKeyToken,
    /// When it was minted.
    pub created_at: Timestamp,
}

impl Request for MintApiKey {
    type Output = MintedApiKey;
    type Access = OnTenant;
    const NAME: &'static str = "api_key.mint";

    fn access(&self) -> OnTenant {
        OnTenant(Permission::ApiKeysManage)
    }
}

/// Serves [`MintApiKey`].
pub struct MintApiKeyHandler<S> {
    store: S,
    grants: GrantResolver,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    randomness: Arc<dyn Randomness>,
}

impl<S: Clone> MintApiKeyHandler<S> {
    pub(crate) fn new(ports: &Ports<S>) -> Self {
        Self {
            store: ports.store.clone(),
            grants: GrantResolver::new(ports.directory.clone()),
            clock: ports.clock.clone(),
            ids: ports.ids.clone(),
            randomness: ports.randomness.clone(),
        }
    }
}

impl<S: Store> Handles<MintApiKey> for MintApiKeyHandler<S>
where
    S::Tx: Repository<ApiKey>,
{
    async fn handle(&self, scope: TenantScope, request: MintApiKey) -> Result<MintedApiKey, Error> {
        let outlives = scope
            .expires_at()
            .is_some_and(|end| request.expires_at.is_none_or(|wanted| wanted > end));
        if outlives {
            let invalid = InvalidValue::new(Rule::NotHeld, "must not be later than your own key's expiry");
            return Err(Error::invalid_field("expires_at", invalid));
        }
        let grants = self.grants.resolve(&scope, request.grants).await?;
        check_grants(&grants).map_err(|invalid| Error::invalid_field("grants", invalid))?;
        let now = self.clock.now();
        let id = ApiKeyId::from_uuid(self.ids.next());
        let token = ApiKeyToken::new(id, self.randomness.bytes());
        let mut key = ApiKey::mint(
            id,
            scope.tenant(),
            request.name,
            hash_secret(token.secret()),
            grants,
            request.expires_at,
            now,
        )
        .map_err(|invalid| Error::invalid_field("expires_at", invalid))?;
        let mut tx = self.store.begin(&scope).await?;
        tx.save(&scope, &mut key).await?;
        let minted = MintedApiKey {
            id,
            token,
            created_at: now,
        };
        tx.commit(scope.did(id).answering(&scope, &minted)).await?;
        Ok(minted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ErrorCode,
        access::{Caller, Identity},
        testing::World,
    };
    use postrider_domain::{
        Uid,
        access::{Grant, Role},
        applications::ApplicationRef,
    };

    fn mint(role: Role, application: Option<ApplicationRef>) -> MintApiKey {
        MintApiKey {
            name: Name::parse("ci").unwrap(),
            grants: vec![GrantRequest { role, application }],
            expires_at: None,
        }
    }

    #[tokio::test]
    async fn nobody_confers_what_they_do_not_hold() {
        let world = World::new();
        let admin = world.caller("ada@acme.example", Grant::tenant(Role::Admin)).await;
        assert!(world.send(&admin, mint(Role::Publisher, None)).await.is_ok());
        let error = world.send(&admin, mint(Role::Owner, None)).await.unwrap_err();
        assert_eq!(
            (
                error.violations()[0].field.as_ref(),
                error.violations()[0].rule.as_ref()
            ),
            ("grants[0].role", "not_held")
        );
    }

    #[tokio::test]
    async fn a_grant_may_name_an_application_that_exists() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        world.application(&owner, Some("customer-1")).await;
        let by_uid = |uid: &str| Some(ApplicationRef::Uid(Uid::parse(uid).unwrap()));
        assert!(
            world
                .send(&owner, mint(Role::Publisher, by_uid("customer-1")))
                .await
                .is_ok()
        );
        let error = world
            .send(&owner, mint(Role::Publisher, by_uid("customer-2")))
            .await
            .unwrap_err();
        assert_eq!(error.violations()[0].field, "grants[0].application");
    }

    #[tokio::test]
    async fn developers_mint_nothing() {
        let world = World::new();
        let developer = world
            .caller("ada@acme.example", Grant::tenant(Role::Developer))
            .await;
        assert_eq!(
            world.refusal(&developer, mint(Role::Viewer, None)).await,
            ErrorCode::Forbidden
        );
    }

    #[tokio::test]
    async fn a_key_does_not_outlive_the_key_that_minted_it() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let Identity::Principal(principal) = owner.identity else {
            panic!("a principal")
        };
        let mut principal = principal.as_ref().clone();
        let end = world.now().plus(std::time::Duration::from_mins(1));
        principal.expires_at = Some(end);
        let key = Caller::principal(principal);
        let until = |expires_at| MintApiKey {
            expires_at,
            ..mint(Role::Viewer, None)
        };
        assert!(world.send(&key, until(Some(end))).await.is_ok());
        for longer in [None, Some(end.plus(std::time::Duration::from_micros(1)))] {
            let error = world.send(&key, until(longer)).await.unwrap_err();
            assert_eq!(error.violations()[0].field, "expires_at");
        }
    }

    #[tokio::test]
    async fn no_grants_and_too_many_are_refused() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let with = |count: usize| MintApiKey {
            grants: vec![
                GrantRequest {
                    role: Role::Viewer,
                    application: None
                };
                count
            ],
            ..mint(Role::Viewer, None)
        };
        for count in [0, 101] {
            let error = world.send(&owner, with(count)).await.unwrap_err();
            assert_eq!(error.violations()[0].field, "grants");
        }
    }
}
