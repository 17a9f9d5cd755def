//! Who may do what: permissions, roles, grants, and the one pure function that decides.
//!
//! Three layers compose: a *permission* is what a request asks for; a *role* is a named set of permissions; a
//! *grant* gives a role on a scope, the whole tenant or one application.

mod permission;
mod role;

pub use permission::Permission;
pub use role::Role;

use crate::ApplicationId;

/// Where a grant holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GrantScope {
    /// Everywhere in the tenant.
    Tenant,
    /// In one application only.
    Application(ApplicationId),
}

/// A role on a scope, held by a principal of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Grant {
    /// The named set of permissions.
    pub role: Role,
    /// Where it holds.
    pub scope: GrantScope,
}

impl Grant {
    /// `role` everywhere in the tenant.
    pub const fn tenant(role: Role) -> Self {
        Self {
            role,
            scope: GrantScope::Tenant,
        }
    }

    /// `role` in one application.
    pub const fn application(role: Role, application: ApplicationId) -> Self {
        Self {
            role,
            scope: GrantScope::Application(application),
        }
    }
}

/// What a request touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Something of the tenant as a whole.
    Tenant,
    /// Something of one application.
    Application(ApplicationId),
}

/// The answer, with its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// Allowed, by this grant.
    Allowed(Grant),
    /// No grant on this target holds the permission.
    Denied,
}

/// Whether `grants` allow `permission` on `target`.
///
/// A grant on the tenant holds on each of its applications; a grant on an application holds there only. A role
/// on an application confers only the permissions that make sense inside one
/// ([`Permission::within_application`]).
pub fn decide(grants: &[Grant], permission: Permission, target: Target) -> Decision {
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
    grants
        .iter()
        .find(covers)
        .map_or(Decision::Denied, |grant| Decision::Allowed(*grant))
}

/// Whether a principal with `held` may give `wanted` to another: only if it holds every permission that the
/// grant confers, on the grant's own scope.
pub fn may_confer(held: &[Grant], wanted: Grant) -> bool {
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
        .all(|permission| matches!(decide(held, permission, target), Decision::Allowed(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn app(n: u128) -> ApplicationId {
        ApplicationId::from_uuid(Uuid::from_u128(n))
    }

    fn allowed(grants: &[Grant], permission: Permission, target: Target) -> bool {
        matches!(decide(grants, permission, target), Decision::Allowed(_))
    }

    #[test]
    fn a_grant_on_the_tenant_holds_in_every_application() {
        let grants = [Grant::tenant(Role::Publisher)];
        assert!(allowed(
            &grants,
            Permission::MessagesPublish,
            Target::Application(app(1))
        ));
        assert!(!allowed(
            &grants,
            Permission::EndpointsWrite,
            Target::Application(app(1))
        ));
    }

    #[test]
    fn a_grant_on_an_application_holds_there_and_nowhere_else() {
        let grants = [Grant::application(Role::Admin, app(1))];
        assert!(allowed(
            &grants,
            Permission::EndpointsWrite,
            Target::Application(app(1))
        ));
        assert!(!allowed(
            &grants,
            Permission::EndpointsWrite,
            Target::Application(app(2))
        ));
        assert!(!allowed(&grants, Permission::EndpointsWrite, Target::Tenant));
    }

    #[test]
    fn an_admin_of_an_application_does_not_manage_the_tenant() {
        let grants = [Grant::application(Role::Admin, app(1))];
        for permission in [
            Permission::ApiKeysManage,
            Permission::MembersManage,
            Permission::TenantWrite,
        ] {
            assert!(
                !allowed(&grants, permission, Target::Application(app(1))),
                "{}",
                permission.as_str()
            );
        }
    }

    #[test]
    fn nobody_without_grants_may_do_anything() {
        for permission in Permission::ALL {
            assert_eq!(decide(&[], permission, Target::Tenant), Decision::Denied);
        }
    }

    #[test]
    fn nobody_confers_what_they_do_not_hold() {
        let admin = [Grant::tenant(Role::Admin)];
        assert!(may_confer(&admin, Grant::tenant(Role::Publisher)));
        assert!(may_confer(&admin, Grant::application(Role::Admin, app(1))));
        assert!(!may_confer(&admin, Grant::tenant(Role::Owner)));
        let local = [Grant::application(Role::Admin, app(1))];
        assert!(may_confer(&local, Grant::application(Role::Viewer, app(1))));
        assert!(!may_confer(&local, Grant::application(Role::Viewer, app(2))));
        assert!(!may_confer(&local, Grant::tenant(Role::Viewer)));
    }
}
