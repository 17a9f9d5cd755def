use std::{sync::Arc, time::Duration};

use postrider_domain::{
    Aggregate as _, ApplicationId, InvalidValue, PortalTokenId, Rule, Timestamp,
    access::{Permission, PortalAccess, may_delegate},
    applications::{Application, ApplicationRef},
};

use crate::{
    Error, Ports, Result, Violation, Violations,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request},
    ports::{AccessClaims, AccessTokens, Clock, Ids, Repository, Store, Subject, UnitOfWork as _},
};

/// The longest that a portal token may be good.
pub const MAX_PORTAL_TOKEN_LIFETIME: Duration = Duration::from_hours(24);

/// Mints a token for one of the tenant's customers: some of the caller's permissions in one application, for a
/// while.
#[derive(Debug)]
pub struct MintPortalToken {
    /// The application.
    pub application: ApplicationRef,
    /// What the token may do.
    pub permissions: Vec<Permission>,
    /// How long it is good.
    pub lifetime: Duration,
}

/// A portal token; not stored.
#[derive(Clone)]
pub struct MintedPortalToken {
    /// Its id, by which the audit log names who used it.
    pub id: PortalTokenId,
    /// To be sent as `Authorization: Bearer`.
    pub token: String,
    /// Until when it is good.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for MintedPortalToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MintedPortalToken({}, …)", self.id)
    }
}

impl Request for MintPortalToken {
    type Output = MintedPortalToken;
    type Access = OnApplication;
    const NAME: &'static str = "portal_token.mint";

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::PortalTokensIssue)
    }

    fn validate(&self) -> Result<()> {
        let mut violations = Violations::default();
        let most = MAX_PORTAL_TOKEN_LIFETIME;
        if self.lifetime < Duration::from_mins(1) || self.lifetime > most {
            let range = InvalidValue::new(Rule::Range, "must be from 60 to 86400 seconds");
            violations.push(Violation::new("expires_in", range));
        }
        if self.permissions.is_empty() {
            let required = InvalidValue::new(Rule::Required, "must name at least one permission");
            violations.push(Violation::new("permissions", required));
        }
        for (index, permission) in self.permissions.iter().enumerate() {
            let field = || format!("permissions[{index}]");
            if self.permissions[..index].contains(permission) {
                let twice = InvalidValue::new(Rule::Duplicate, "is named twice");
                violations.push(Violation::new(field(), twice));
            } else if !permission.in_portal() {
                let never = InvalidValue::new(Rule::Unknown, "cannot be given to a portal token");
                violations.push(Violation::new(field(), never));
            }
        }
        violations.finish()
    }
}

/// Serves [`MintPortalToken`].
pub struct MintPortalTokenHandler<S> {
    store: S,
    tokens: Arc<dyn AccessTokens>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

impl<S: Clone> MintPortalTokenHandler<S> {
    pub(crate) fn new(ports: &Ports<S>) -> Self {
        Self {
            store: ports.store.clone(),
            tokens: ports.tokens.clone(),
            clock: ports.clock.clone(),
            ids: ports.ids.clone(),
        }
    }
}

impl<S: Store> Handles<MintPortalToken> for MintPortalTokenHandler<S>
where
    S::Tx: Repository<Application, Key = ApplicationId>,
{
    async fn handle(
        &self,
        scope: ApplicationScope,
        request: MintPortalToken,
    ) -> Result<MintedPortalToken, Error> {
        let (tenant, application) = (scope.tenant_scope(), scope.application());
        let mut violations = Violations::default();
        for (index, permission) in request.permissions.iter().enumerate() {
            if !may_delegate(tenant.authority(), *permission, application) {
                let not_held = InvalidValue::new(Rule::NotHeld, "is more than you hold");
                violations.push(Violation::new(format!("permissions[{index}]"), not_held));
            }
        }
        violations.finish()?;

        let mut tx = self.store.begin(tenant).await?;
        let stored = tx
            .find(tenant, &application)
            .await?
            .ok_or_else(|| Error::not_found("application"))?;
        let now = self.clock.now();
        let end = now.plus(request.lifetime);
        let expires_at = tenant.expires_at().map_or(end, |credential| credential.min(end));
        let id = PortalTokenId::from_uuid(self.ids.next());
        let token = self.tokens.issue(&AccessClaims {
            subject: Subject::Portal(
                id,
                PortalAccess {
                    application,
                    permissions: request.permissions,
                },
                stored.state().tokens_valid_after,
            ),
            tenant: tenant.tenant(),
            issued_at: now,
            expires_at,
        })?;
        // Nothing is stored of the token but that it was minted.
        let minted = MintedPortalToken {
            id,
            token,
            expires_at,
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
        access::Caller,
        applications::RevokePortalTokens,
        endpoints::GetEndpoint,
        testing::{World, create_endpoint},
    };
    use postrider_domain::{
        access::{Grant, Role},
        endpoints::EndpointRef,
    };

    fn mint(application: ApplicationId, permissions: &[Permission]) -> MintPortalToken {
        MintPortalToken {
            application: application.into(),
            permissions: permissions.to_vec(),
            lifetime: Duration::from_hours(1),
        }
    }

    async fn world() -> (World, Caller, ApplicationId) {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let application = world.application(&owner, None).await.id;
        (world, owner, application)
    }

    #[tokio::test]
    async fn a_token_does_what_it_names_until_it_is_revoked() {
        let (world, owner, application) = world().await;
        let endpoint = world
            .send(&owner, create_endpoint(application, "https://a.example/"))
            .await
            .unwrap();
        let request = || mint(application, &[Permission::EndpointsRead]);
        let minted = world.send(&owner, request()).await.unwrap();
        let customer = world.known(&minted.token).await;
        let get = || GetEndpoint {
            application: application.into(),
            endpoint: EndpointRef::Id(endpoint.endpoint.id),
        };
        assert!(world.send(&customer, get()).await.is_ok());
        assert_eq!(
            world
                .refusal(&customer, create_endpoint(application, "https://b.example/"))
                .await,
            ErrorCode::Forbidden
        );
        assert_eq!(
            world.refusal(&customer, request()).await,
            ErrorCode::Forbidden,
            "no token begets tokens"
        );
        let other = world.application(&owner, None).await.id;
        let elsewhere = GetEndpoint {
            application: other.into(),
            endpoint: EndpointRef::Id(endpoint.endpoint.id),
        };
        assert_eq!(world.refusal(&customer, elsewhere).await, ErrorCode::NotFound);

        let revoke = RevokePortalTokens {
            application: application.into(),
        };
        world.send(&owner, revoke).await.unwrap();
        assert!(!world.is_known(&minted.token).await);
        let next = world.send(&owner, request()).await.unwrap();
        assert!(world.is_known(&next.token).await, "also in the same second");
    }

    #[tokio::test]
    async fn nobody_gives_more_than_they_hold_or_what_no_token_may() {
        let (world, owner, application) = world().await;
        let developer = World::same_tenant(&owner, Grant::application(Role::Developer, application));
        let error = world
            .send(
                &developer,
                mint(
                    application,
                    &[Permission::EndpointsRead, Permission::PayloadsDelete],
                ),
            )
            .await
            .unwrap_err();
        assert_eq!(
            (
                error.violations()[0].field.as_ref(),
                error.violations()[0].rule.as_ref()
            ),
            ("permissions[1]", "not_held")
        );
        for (permissions, rule) in [
            (vec![], "required"),
            (vec![Permission::PortalTokensIssue], "unknown"),
            (vec![Permission::TenantRead], "unknown"),
            (vec![Permission::EndpointsRead; 2], "duplicate"),
        ] {
            let error = world
                .send(&owner, mint(application, &permissions))
                .await
                .unwrap_err();
            assert_eq!(error.violations()[0].rule, rule);
        }
        for lifetime in [Duration::ZERO, Duration::from_secs(86_401)] {
            let request = MintPortalToken {
                lifetime,
                ..mint(application, &[Permission::EndpointsRead])
            };
            let error = world.send(&owner, request).await.unwrap_err();
            assert_eq!(error.violations()[0].field, "expires_in");
        }
    }

    #[tokio::test]
    async fn ends_with_its_time() {
        let (world, owner, application) = world().await;
        let minted = world
            .send(&owner, mint(application, &[Permission::EndpointsRead]))
            .await
            .unwrap();
        world.pass(Duration::from_hours(1));
        assert!(!world.is_known(&minted.token).await);
    }
}
