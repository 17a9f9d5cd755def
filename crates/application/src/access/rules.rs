use std::sync::Arc;

use async_trait::async_trait;
use postrider_domain::{
    ApplicationId,
    access::{Authority, Basis, Decision, Denial, GrantScope, Permission, Target, decide, visible},
    applications::ApplicationRef,
};

use super::{
    ApplicationScope, Caller, Identity, OperatorScope, PersonScope, Principal, PrincipalId, PrincipalScope,
    PublicScope, TenantScope, VisibleScope,
};
use crate::{Error, ErrorCode, Result, audit::Occasion, ports::ApplicationDirectory};

/// What a request demands of its caller, and what it gets for it.
#[async_trait]
pub trait AccessRule: Send + Sync {
    /// The proof that the handler receives.
    type Granted: Send;

    /// Decides. Nobody known: `unauthenticated`; another tenant's or no resource: `not_found`; one's own without
    /// a grant: `forbidden`.
    async fn grant(
        &self,
        caller: &Caller,
        occasion: &Arc<Occasion>,
        directory: &dyn ApplicationDirectory,
    ) -> Result<Self::Granted>;

    /// Who may, as the documentation says it: a permission, or one of `public`, `operator`, `principal`, `person`.
    fn demands(&self) -> &'static str;

    /// What it touches, as the audit log names it, if that is known before looking.
    fn target(&self) -> Option<String> {
        None
    }
}

/// Anybody may; said out loud, because there is no default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Public;

/// Anybody known may: it is about themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsPrincipal;

/// A person, by a session: for their own affairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsPerson;

/// A permission on the tenant as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnTenant(pub Permission);

/// A permission on one application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnApplication(pub ApplicationRef, pub Permission);

/// A permission on some applications: a list of what the caller may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnVisibleApplications(pub Permission);

/// Whoever runs the installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsOperator;

#[async_trait]
impl AccessRule for Public {
    type Granted = PublicScope;

    async fn grant(
        &self,
        _: &Caller,
        occasion: &Arc<Occasion>,
        _: &dyn ApplicationDirectory,
    ) -> Result<PublicScope> {
        Ok(PublicScope {
            occasion: occasion.clone(),
        })
    }

    fn demands(&self) -> &'static str {
        "public"
    }
}

#[async_trait]
impl AccessRule for AsPrincipal {
    type Granted = PrincipalScope;

    async fn grant(
        &self,
        caller: &Caller,
        occasion: &Arc<Occasion>,
        _: &dyn ApplicationDirectory,
    ) -> Result<PrincipalScope> {
        let principal = principal(caller)?;
        Ok(PrincipalScope {
            principal: principal.clone(),
            tenant: TenantScope::of(principal, occasion),
        })
    }

    fn demands(&self) -> &'static str {
        "principal"
    }
}

#[async_trait]
impl AccessRule for AsPerson {
    type Granted = PersonScope;

    async fn grant(
        &self,
        caller: &Caller,
        occasion: &Arc<Occasion>,
        _: &dyn ApplicationDirectory,
    ) -> Result<PersonScope> {
        let principal = principal(caller)?;
        match principal.id {
            PrincipalId::User(user, session) => {
                Ok(PersonScope::of(user, session, principal.tenant, occasion))
            }
            PrincipalId::ApiKey(_) | PrincipalId::Portal(_) => {
                Err(forbidden("this is for people: log in with a password"))
            }
        }
    }

    fn demands(&self) -> &'static str {
        "person"
    }
}

#[async_trait]
impl AccessRule for AsOperator {
    type Granted = OperatorScope;

    async fn grant(
        &self,
        caller: &Caller,
        occasion: &Arc<Occasion>,
        _: &dyn ApplicationDirectory,
    ) -> Result<OperatorScope> {
        match &caller.identity {
            Identity::Operator(_) => Ok(OperatorScope {
                occasion: occasion.clone(),
            }),
            Identity::Anonymous => Err(unauthenticated()),
            Identity::Principal(_) => Err(forbidden("this is for the installation's operator")),
        }
    }

    fn demands(&self) -> &'static str {
        "operator"
    }
}

#[async_trait]
impl AccessRule for OnTenant {
    type Granted = TenantScope;

    async fn grant(
        &self,
        caller: &Caller,
        occasion: &Arc<Occasion>,
        _: &dyn ApplicationDirectory,
    ) -> Result<TenantScope> {
        let principal = principal(caller)?;
        permit(principal, self.0, Target::Tenant)?;
        Ok(TenantScope::of(principal, occasion))
    }

    fn demands(&self) -> &'static str {
        self.0.as_str()
    }
}

#[async_trait]
impl AccessRule for OnVisibleApplications {
    type Granted = VisibleScope;

    async fn grant(
        &self,
        caller: &Caller,
        occasion: &Arc<Occasion>,
        _: &dyn ApplicationDirectory,
    ) -> Result<VisibleScope> {
        let principal = principal(caller)?;
        match visible(&principal.authority, principal.tenant_status, self.0) {
            Ok(visible) => {
                note("allowed", "on what is visible");
                Ok(VisibleScope {
                    tenant: TenantScope::of(principal, occasion),
                    visible,
                })
            }
            Err(denial) => Err(denied(denial, self.0)),
        }
    }

    fn demands(&self) -> &'static str {
        self.0.as_str()
    }
}

#[async_trait]
impl AccessRule for OnApplication {
    type Granted = ApplicationScope;

    async fn grant(
        &self,
        caller: &Caller,
        occasion: &Arc<Occasion>,
        directory: &dyn ApplicationDirectory,
    ) -> Result<ApplicationScope> {
        let principal = principal(caller)?;
        let tenant = TenantScope::of(principal, occasion);
        let application = directory
            .resolve(&tenant, &self.0)
            .await?
            .filter(|application| may_know_of(&principal.authority, *application))
            .ok_or_else(|| Error::not_found("application"))?;
        permit(principal, self.1, Target::Application(application))?;
        Ok(ApplicationScope::of(tenant, application))
    }

    fn demands(&self) -> &'static str {
        self.1.as_str()
    }

    fn target(&self) -> Option<String> {
        Some(named(&self.0))
    }
}

pub(super) fn principal(caller: &Caller) -> Result<&Arc<Principal>> {
    match &caller.identity {
        Identity::Principal(principal) => Ok(principal),
        Identity::Anonymous => Err(unauthenticated()),
        Identity::Operator(_) => Err(forbidden("the operator acts on no tenant's behalf")),
    }
}

/// An application as the caller named it.
pub(super) fn named(application: &ApplicationRef) -> String {
    match application {
        ApplicationRef::Id(id) => id.to_string(),
        ApplicationRef::Uid(uid) => uid.as_str().to_owned(),
    }
}

/// One of the tenant's customers does not learn of the others.
pub(super) fn may_know_of(authority: &Authority, application: ApplicationId) -> bool {
    match authority {
        Authority::Grants(_) => true,
        Authority::Portal(access) => access.application == application,
    }
}

pub(super) fn permit(principal: &Principal, permission: Permission, target: Target) -> Result<()> {
    match decide(&principal.authority, principal.tenant_status, permission, target) {
        Decision::Allowed(Basis::Portal) => note("allowed", "portal token"),
        Decision::Allowed(Basis::Grant(grant)) => {
            let on = match grant.scope {
                GrantScope::Tenant => "tenant",
                GrantScope::Application(_) => "application",
            };
            note("allowed", format_args!("{} on {on}", grant.role.as_str()));
        }
        Decision::Denied(denial) => return Err(denied(denial, permission)),
    }
    Ok(())
}

/// The decision and its reason, in the use case's span.
fn note(decision: &'static str, reason: impl std::fmt::Display) {
    let span = tracing::Span::current();
    span.record("decision", decision);
    span.record("reason", tracing::field::display(reason));
}

fn denied(denial: Denial, permission: Permission) -> Error {
    note("denied", denial.as_str());
    match denial {
        Denial::NotGranted => Error::new(
            ErrorCode::Forbidden,
            format!("the permission {} is needed", permission.as_str()),
        ),
        Denial::TenantSuspended => Error::new(
            ErrorCode::TenantSuspended,
            "the tenant is suspended and can only be read",
        ),
        // Whoever was let in just before the deletion was ordered.
        Denial::TenantDeleting => unauthenticated(),
    }
}

fn forbidden(detail: &'static str) -> Error {
    note("denied", detail);
    Error::new(ErrorCode::Forbidden, detail)
}

fn unauthenticated() -> Error {
    Error::new(
        ErrorCode::Unauthenticated,
        "present an access token or an API key",
    )
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
