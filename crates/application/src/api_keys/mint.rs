use std::sync::Arc;

use postrider_domain::{
    ApiKeyId, InvalidValue, Name, Rule, Timestamp,
    access::{Grant, GrantScope, Permission, Role, may_confer},
    api_keys::{ApiKey, ApiKeyToken, SecretHash},
    applications::ApplicationRef,
};
use sha2::{Digest as _, Sha256};

use crate::{
    Error, Result, Violation, Violations,
    access::{OnTenant, TenantScope},
    mediator::{Handles, Request},
    ports::{ApplicationDirectory, Clock, Ids, Randomness, Repository, Store, UnitOfWork as _},
};

/// A role, on the tenant or on one application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRequest {
    /// The role.
    pub role: Role,
    /// Where it holds; the whole tenant, if absent.
    pub application: Option<ApplicationRef>,
}

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
    directory: Arc<dyn ApplicationDirectory>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    randomness: Arc<dyn Randomness>,
}

impl<S> MintApiKeyHandler<S> {
    pub(crate) fn new(
        store: S,
        directory: Arc<dyn ApplicationDirectory>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        randomness: Arc<dyn Randomness>,
    ) -> Self {
        Self {
            store,
            directory,
            clock,
            ids,
            randomness,
        }
    }

    async fn resolve(&self, scope: &TenantScope, requests: Vec<GrantRequest>) -> Result<Vec<Grant>> {
        let (mut grants, mut violations) = (Vec::new(), Violations::default());
        for (index, request) in requests.into_iter().enumerate() {
            let grant_scope = match request.application {
                None => GrantScope::Tenant,
                Some(reference) => {
                    if let Some(application) = self.directory.resolve(scope, &reference).await? {
                        GrantScope::Application(application)
                    } else {
                        let unknown = InvalidValue::new(Rule::Unknown, "names no application");
                        violations.push(Violation::new(format!("grants[{index}].application"), unknown));
                        continue;
                    }
                }
            };
            let grant = Grant {
                role: request.role,
                scope: grant_scope,
            };
            if may_confer(scope.grants(), grant) {
                grants.push(grant);
            } else {
                let not_held = InvalidValue::new(Rule::NotHeld, "confers more than you hold");
                violations.push(Violation::new(format!("grants[{index}].role"), not_held));
            }
        }
        violations.finish()?;
        Ok(grants)
    }
}

impl<S: Store> Handles<MintApiKey> for MintApiKeyHandler<S>
where
    S::Tx: Repository<ApiKey>,
{
    async fn handle(&self, scope: TenantScope, request: MintApiKey) -> Result<MintedApiKey, Error> {
        // Each grant may cost a look-up: the bound is checked before the first.
        if request.grants.len() > ApiKey::MAX_GRANTS {
            let invalid = InvalidValue::new(Rule::TooLong, "must hold at most 100 grants");
            return Err(Error::invalid_field("grants", invalid));
        }
        let outlives = scope
            .expires_at()
            .is_some_and(|end| request.expires_at.is_none_or(|wanted| wanted > end));
        if outlives {
            let invalid = InvalidValue::new(Rule::NotHeld, "must not be later than your own key's expiry");
            return Err(Error::invalid_field("expires_at", invalid));
        }
        let grants = self.resolve(&scope, request.grants).await?;
        let now = self.clock.now();
        let id = ApiKeyId::from_uuid(self.ids.next());
        let token = ApiKeyToken::new(id, self.randomness.bytes());
        let hash = SecretHash(Sha256::digest(token.secret()).into());
        let field = if grants.is_empty() { "grants" } else { "expires_at" };
        let mut key = ApiKey::mint(
            id,
            scope.tenant(),
            request.name,
            hash,
            grants,
            request.expires_at,
            now,
        )
        .map_err(|invalid| Error::invalid_field(field, invalid))?;
        let mut tx = self.store.begin(&scope).await?;
        tx.save(&scope, &mut key).await?;
        tx.commit().await?;
        Ok(MintedApiKey {
            id,
            token,
            created_at: now,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorCode, testing::World};
    use postrider_domain::Uid;

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
        let crate::access::Caller::Principal(mut principal) = owner else {
            panic!("a principal")
        };
        let end = world.now().plus(std::time::Duration::from_mins(1));
        principal.expires_at = Some(end);
        let key = crate::access::Caller::Principal(principal);
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
