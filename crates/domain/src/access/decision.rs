use super::{Authority, Grant, GrantScope, Permission};
use crate::{ApplicationId, tenants::TenantStatus};

/// What a request touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Something of the tenant as a whole.
    Tenant,
    /// Something of one application.
    Application(ApplicationId),
}

/// What allowed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// This grant.
    Grant(Grant),
    /// The portal token names it.
    Portal,
}

/// What stood against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// Nothing held on this target confers the permission.
    NotGranted,
    /// It would be allowed, but the tenant is suspended and this is more than reading.
    TenantSuspended,
    /// The tenant is being deleted.
    TenantDeleting,
}

impl Denial {
    /// The stable name of the reason.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotGranted => "not_granted",
            Self::TenantSuspended => "tenant_suspended",
            Self::TenantDeleting => "tenant_deleting",
        }
    }
}

/// The answer, with its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// Allowed, by this.
    Allowed(Basis),
    /// Not allowed, because of this.
    Denied(Denial),
}

/// Whether `authority` allows `permission` on `target` in a tenant that is in `status`.
///
/// A grant on the tenant holds on each of its applications; a grant on an application holds there only. A role
/// on an application confers only the permissions that make sense inside one
/// ([`Permission::within_application`]). A suspended tenant's principals may read.
pub fn decide(
    authority: &Authority,
    status: TenantStatus,
    permission: Permission,
    target: Target,
) -> Decision {
    let Some(basis) = basis(authority, permission, target) else {
        return Decision::Denied(Denial::NotGranted);
    };
    match status {
        TenantStatus::Deleting => Decision::Denied(Denial::TenantDeleting),
        TenantStatus::Suspended if !permission.is_read() => Decision::Denied(Denial::TenantSuspended),
        TenantStatus::Active | TenantStatus::Suspended => Decision::Allowed(basis),
    }
}

fn basis(authority: &Authority, permission: Permission, target: Target) -> Option<Basis> {
    match authority {
        Authority::Grants(grants) => {
            let covers = |grant: &&Grant| {
                grant.role.permissions().contains(&permission)
                    && match (grant.scope, target) {
                        (GrantScope::Tenant, _) => true,
                        (GrantScope::Application(held), Target::Application(wanted)) => {
                            held == wanted && permission.within_application()
                        }
                        (GrantScope::Application(_), Target::Tenant) => false,
                    }
            };
            grants.iter().find(covers).map(|grant| Basis::Grant(*grant))
        }
        Authority::Portal(portal) => {
            let held = target == Target::Application(portal.application)
                && permission.in_portal()
                && portal.permissions.contains(&permission);
            held.then_some(Basis::Portal)
        }
    }
}

/// The applications that a list may show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Visibility {
    /// All of the tenant's.
    All,
    /// These, in order and each once.
    Only(Vec<ApplicationId>),
}

impl Visibility {
    /// Whether it is shown.
    pub fn shows(&self, application: ApplicationId) -> bool {
        match self {
            Self::All => true,
            Self::Only(these) => these.binary_search(&application).is_ok(),
        }
    }
}

/// In which applications `authority` allows `permission`; denied, if in none.
pub fn visible(
    authority: &Authority,
    status: TenantStatus,
    permission: Permission,
) -> Result<Visibility, Denial> {
    let on_tenant = decide(authority, status, permission, Target::Tenant);
    let denial = match on_tenant {
        Decision::Allowed(_) => return Ok(Visibility::All),
        Decision::Denied(denial) => denial,
    };
    let mut named: Vec<ApplicationId> = match authority {
        Authority::Grants(grants) => grants
            .iter()
            .filter_map(|grant| match grant.scope {
                GrantScope::Tenant => None,
                GrantScope::Application(application) => Some(application),
            })
            .collect(),
        Authority::Portal(portal) => vec![portal.application],
    };
    named.sort_unstable();
    named.dedup();
    let mut reason = denial;
    named.retain(|application| {
        match decide(authority, status, permission, Target::Application(*application)) {
            Decision::Allowed(_) => true,
            Decision::Denied(denial) => {
                if denial != Denial::NotGranted {
                    reason = denial;
                }
                false
            }
        }
    });
    if named.is_empty() {
        Err(reason)
    } else {
        Ok(Visibility::Only(named))
    }
}

/// Whether a principal may give `wanted` to another: only if it holds every permission that the grant confers, on
/// the grant's own scope.
pub fn may_confer(held: &Authority, wanted: Grant) -> bool {
    let (target, confers): (_, fn(&Permission) -> bool) = match wanted.scope {
        GrantScope::Tenant => (Target::Tenant, |_| true),
        GrantScope::Application(id) => (Target::Application(id), |p| p.within_application()),
    };
    wanted
        .role
        .permissions()
        .iter()
        .copied()
        .filter(confers)
        .all(|permission| basis(held, permission, target).is_some())
}

/// Whether a principal may put `permission` in a portal token of `application`.
pub fn may_delegate(held: &Authority, permission: Permission, application: ApplicationId) -> bool {
    permission.in_portal() && basis(held, permission, Target::Application(application)).is_some()
}

#[cfg(test)]
#[path = "decision_tests.rs"]
mod tests;
