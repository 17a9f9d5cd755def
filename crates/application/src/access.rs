//! Who calls, what a request demands, and the scopes that only granting makes.
//!
//! A request names its rule as a *type* ([`crate::mediator::Request::Access`]); what the rule grants is what its
//! handler receives. A [`TenantScope`] has no public constructor: holding one is proof that somebody was allowed
//! in, and every repository call demands one.

use async_trait::async_trait;
use postrider_domain::{
    ApiKeyId, ApplicationId, SessionId, TenantId, Timestamp, UserId,
    access::{Decision, Grant, Permission, Target, decide},
    applications::ApplicationRef,
    tenants::Tenant,
};

use crate::{
    Error, ErrorCode, Result,
    ports::{ApplicationDirectory, TenantMembership},
};
use postrider_domain::Aggregate as _;

/// What kind of principal calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PrincipalId {
    /// A person, by one of their sessions.
    User(UserId, SessionId),
    /// A machine.
    ApiKey(ApiKeyId),
}

/// Somebody known, in one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Who.
    pub id: PrincipalId,
    /// The tenant they act in.
    pub tenant: TenantId,
    /// What they may do there.
    pub grants: Vec<Grant>,
    /// When the credential itself ends, where what it makes must not outlive it: an API key's expiry.
    pub expires_at: Option<Timestamp>,
}

/// Who calls. Made by authentication, at the door, and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Nobody known.
    Anonymous,
    /// Whoever runs the installation.
    Operator,
    /// Somebody known, in one tenant.
    Principal(Principal),
}

/// Proof that a principal was allowed in, and the tenant that it is confined to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantScope {
    tenant: TenantId,
    grants: Vec<Grant>,
    expires_at: Option<Timestamp>,
}

impl TenantScope {
    /// The tenant.
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// What the principal may do there; nothing for scopes that no principal holds.
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// When the credential ends that the caller came with; what is minted with it may not last longer.
    pub const fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// The scope of a tenant that an operator just made.
    pub(crate) fn of_new(tenant: &Tenant, _proof: &OperatorScope) -> Self {
        Self {
            tenant: tenant.state().id,
            grants: Vec::new(),
            expires_at: None,
        }
    }

    /// The scope of a person whose password just proved right, in one of their tenants.
    pub(crate) fn of_login(membership: &TenantMembership) -> Self {
        Self {
            tenant: membership.tenant,
            grants: membership.grants.clone(),
            expires_at: None,
        }
    }
}

/// Proof that a principal was allowed in to one application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationScope {
    tenant: TenantScope,
    application: ApplicationId,
}

impl ApplicationScope {
    /// The tenant's scope.
    pub const fn tenant_scope(&self) -> &TenantScope {
        &self.tenant
    }

    /// The tenant.
    pub const fn tenant(&self) -> TenantId {
        self.tenant.tenant
    }

    /// The application.
    pub const fn application(&self) -> ApplicationId {
        self.application
    }
}

/// Proof that the installation's operator calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorScope(());

/// For requests that anybody may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicScope(());

/// What a request demands of its caller, and what it gets for it.
#[async_trait]
pub trait AccessRule: Send + Sync {
    /// The proof that the handler receives.
    type Granted: Send;

    /// Decides. Nobody known: `unauthenticated`; another tenant's or no resource: `not_found`; one's own without
    /// a grant: `forbidden`.
    async fn grant(&self, caller: &Caller, directory: &dyn ApplicationDirectory) -> Result<Self::Granted>;
}

/// Anybody may; said out loud, because there is no default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Public;

/// A permission on the tenant as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnTenant(pub Permission);

/// A permission on one application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnApplication(pub ApplicationRef, pub Permission);

/// Whoever runs the installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsOperator;

#[async_trait]
impl AccessRule for Public {
    type Granted = PublicScope;

    async fn grant(&self, _: &Caller, _: &dyn ApplicationDirectory) -> Result<PublicScope> {
        Ok(PublicScope(()))
    }
}

#[async_trait]
impl AccessRule for AsOperator {
    type Granted = OperatorScope;

    async fn grant(&self, caller: &Caller, _: &dyn ApplicationDirectory) -> Result<OperatorScope> {
        match caller {
            Caller::Operator => Ok(OperatorScope(())),
            Caller::Anonymous => Err(unauthenticated()),
            Caller::Principal(_) => Err(forbidden("this is for the installation's operator")),
        }
    }
}

#[async_trait]
impl AccessRule for OnTenant {
    type Granted = TenantScope;

    async fn grant(&self, caller: &Caller, _: &dyn ApplicationDirectory) -> Result<TenantScope> {
        let principal = principal(caller)?;
        permit(principal, self.0, Target::Tenant)?;
        Ok(scope_of(principal))
    }
}

#[async_trait]
impl AccessRule for OnApplication {
    type Granted = ApplicationScope;

    async fn grant(&self, caller: &Caller, directory: &dyn ApplicationDirectory) -> Result<ApplicationScope> {
        let principal = principal(caller)?;
        let tenant = scope_of(principal);
        let application = directory
            .resolve(&tenant, &self.0)
            .await?
            .ok_or_else(|| Error::not_found("application"))?;
        permit(principal, self.1, Target::Application(application))?;
        Ok(ApplicationScope { tenant, application })
    }
}

fn principal(caller: &Caller) -> Result<&Principal> {
    match caller {
        Caller::Principal(principal) => Ok(principal),
        Caller::Anonymous => Err(unauthenticated()),
        Caller::Operator => Err(forbidden("the operator acts on no tenant's behalf")),
    }
}

fn scope_of(principal: &Principal) -> TenantScope {
    TenantScope {
        tenant: principal.tenant,
        grants: principal.grants.clone(),
        expires_at: principal.expires_at,
    }
}

fn permit(principal: &Principal, permission: Permission, target: Target) -> Result<()> {
    match decide(&principal.grants, permission, target) {
        Decision::Allowed(grant) => {
            tracing::debug!(
                permission = permission.as_str(),
                role = grant.role.as_str(),
                "allowed"
            );
            Ok(())
        }
        Decision::Denied => Err(forbidden_for(permission)),
    }
}

fn forbidden_for(permission: Permission) -> Error {
    Error::new(
        ErrorCode::Forbidden,
        format!("the permission {} is needed", permission.as_str()),
    )
}

fn forbidden(detail: &'static str) -> Error {
    Error::new(ErrorCode::Forbidden, detail)
}

fn unauthenticated() -> Error {
    Error::new(
        ErrorCode::Unauthenticated,
        "present an access token or an API key",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::StoreError;
    use postrider_domain::access::Role;
    use uuid::Uuid;

    /// Knows one application of one tenant.
    struct OneApplication(TenantId, ApplicationId);

    #[async_trait]
    impl ApplicationDirectory for OneApplication {
        async fn resolve(
            &self,
            scope: &TenantScope,
            reference: &ApplicationRef,
        ) -> Result<Option<ApplicationId>, StoreError> {
            Ok((scope.tenant() == self.0 && *reference == ApplicationRef::Id(self.1)).then_some(self.1))
        }
    }

    fn tenant(n: u128) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(n))
    }

    fn app(n: u128) -> ApplicationId {
        ApplicationId::from_uuid(Uuid::from_u128(n))
    }

    fn caller(tenant_number: u128, grant: Grant) -> Caller {
        Caller::Principal(Principal {
            id: PrincipalId::ApiKey(ApiKeyId::from_uuid(Uuid::from_u128(9))),
            tenant: tenant(tenant_number),
            grants: vec![grant],
            expires_at: None,
        })
    }

    async fn code(rule: impl AccessRule, caller: Caller) -> Option<ErrorCode> {
        rule.grant(&caller, &OneApplication(tenant(1), app(1)))
            .await
            .err()
            .map(|e| e.code())
    }

    #[tokio::test]
    async fn strangers_see_nothing_and_insiders_without_a_grant_are_refused() {
        let rule = || OnApplication(app(1).into(), Permission::EndpointsWrite);
        assert_eq!(
            code(rule(), Caller::Anonymous).await,
            Some(ErrorCode::Unauthenticated)
        );
        assert_eq!(
            code(rule(), caller(2, Grant::tenant(Role::Owner))).await,
            Some(ErrorCode::NotFound)
        );
        assert_eq!(
            code(rule(), caller(1, Grant::tenant(Role::Viewer))).await,
            Some(ErrorCode::Forbidden)
        );
        assert_eq!(
            code(rule(), caller(1, Grant::tenant(Role::Developer))).await,
            None
        );
        assert_eq!(
            code(rule(), caller(1, Grant::application(Role::Developer, app(1)))).await,
            None
        );
        assert_eq!(code(rule(), Caller::Operator).await, Some(ErrorCode::Forbidden));
    }

    #[tokio::test]
    async fn operators_are_not_principals_and_the_other_way_round() {
        assert_eq!(code(AsOperator, Caller::Operator).await, None);
        assert_eq!(
            code(AsOperator, caller(1, Grant::tenant(Role::Owner))).await,
            Some(ErrorCode::Forbidden)
        );
        assert_eq!(
            code(AsOperator, Caller::Anonymous).await,
            Some(ErrorCode::Unauthenticated)
        );
        assert_eq!(
            code(OnTenant(Permission::TenantRead), Caller::Operator).await,
            Some(ErrorCode::Forbidden)
        );
    }
}
