//! Who may do what: permissions, roles, grants, and the one pure function that decides.
//!
//! Three layers compose: a *permission* is what a request asks for; a *role* is a named set of permissions; a
//! *grant* gives a role on a scope, the whole tenant or one application.

mod permission;
mod role;

pub use permission::Permission;
pub use role::Role;

use crate::{ApplicationId, InvalidValue, Rule, tenants::TenantStatus};

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

/// The most grants that one principal may hold.
pub const MAX_GRANTS: usize = 100;

/// Whether a principal may hold these grants: some, not too many, each once.
pub fn check_grants(grants: &[Grant]) -> Result<(), InvalidValue> {
    if grants.is_empty() {
        return Err(InvalidValue::new(Rule::Required, "must hold at least one grant"));
    }
    if grants.len() > MAX_GRANTS {
        return Err(InvalidValue::new(Rule::TooLong, "must hold at most 100 grants"));
    }
    let mut sorted = grants.to_vec();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(InvalidValue::new(
            Rule::Duplicate,
            "must not hold the same grant twice",
        ));
    }
    Ok(())
}

/// What a portal token confers: some permissions in one application, named one by one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PortalAccess {
    /// The application.
    pub application: ApplicationId,
    /// The permissions.
    pub permissions: Vec<Permission>,
}

/// What a principal may do, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authority {
    /// A person's or a machine's grants.
    Grants(Vec<Grant>),
    /// A portal token.
    Portal(PortalAccess),
}

impl Authority {
    /// The grants; none of a portal token's.
    pub fn grants(&self) -> &[Grant] {
        match self {
            Self::Grants(grants) => grants,
            Self::Portal(_) => &[],
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
mod tests {
    use super::*;
    use uuid::Uuid;

    fn app(n: u128) -> ApplicationId {
        ApplicationId::from_uuid(Uuid::from_u128(n))
    }

    fn holds(grants: &[Grant]) -> Authority {
        Authority::Grants(grants.to_vec())
    }

    fn decided(authority: &Authority, permission: Permission, target: Target) -> Decision {
        decide(authority, TenantStatus::Active, permission, target)
    }

    fn allowed(grants: &[Grant], permission: Permission, target: Target) -> bool {
        matches!(decided(&holds(grants), permission, target), Decision::Allowed(_))
    }

    fn portal(permissions: &[Permission]) -> Authority {
        Authority::Portal(PortalAccess {
            application: app(1),
            permissions: permissions.to_vec(),
        })
    }

    const DENIED: Decision = Decision::Denied(Denial::NotGranted);

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
            assert_eq!(decided(&holds(&[]), permission, Target::Tenant), DENIED);
        }
    }

    #[test]
    fn nobody_confers_what_they_do_not_hold() {
        let admin = holds(&[Grant::tenant(Role::Admin)]);
        assert!(may_confer(&admin, Grant::tenant(Role::Publisher)));
        assert!(may_confer(&admin, Grant::application(Role::Admin, app(1))));
        assert!(!may_confer(&admin, Grant::tenant(Role::Owner)));
        let local = holds(&[Grant::application(Role::Admin, app(1))]);
        assert!(may_confer(&local, Grant::application(Role::Viewer, app(1))));
        assert!(!may_confer(&local, Grant::application(Role::Viewer, app(2))));
        assert!(!may_confer(&local, Grant::tenant(Role::Viewer)));
    }

    #[test]
    fn a_portal_token_holds_what_it_names_in_its_application_and_nothing_else() {
        let token = portal(&[Permission::EndpointsRead, Permission::PortalTokensIssue]);
        let here = Target::Application(app(1));
        assert_eq!(
            decided(&token, Permission::EndpointsRead, here),
            Decision::Allowed(Basis::Portal)
        );
        assert_eq!(decided(&token, Permission::EndpointsWrite, here), DENIED);
        assert_eq!(
            decided(&token, Permission::EndpointsRead, Target::Application(app(2))),
            DENIED
        );
        assert_eq!(decided(&token, Permission::EndpointsRead, Target::Tenant), DENIED);
        assert_eq!(
            decided(&token, Permission::PortalTokensIssue, here),
            DENIED,
            "no token begets tokens"
        );
        for role in Role::ALL {
            assert!(!may_confer(&token, Grant::application(role, app(1))));
        }
    }

    #[test]
    fn a_suspended_tenant_reads_and_a_deleted_one_does_nothing() {
        let owner = holds(&[Grant::tenant(Role::Owner)]);
        for permission in Permission::ALL {
            let suspended = decide(&owner, TenantStatus::Suspended, permission, Target::Tenant);
            let deleting = decide(&owner, TenantStatus::Deleting, permission, Target::Tenant);
            assert_eq!(deleting, Decision::Denied(Denial::TenantDeleting));
            if permission.is_read() {
                assert!(matches!(suspended, Decision::Allowed(_)));
            } else {
                assert_eq!(suspended, Decision::Denied(Denial::TenantSuspended));
            }
        }
    }

    #[test]
    fn what_was_never_granted_is_not_excused_by_a_suspension() {
        let viewer = holds(&[Grant::tenant(Role::Viewer)]);
        let publish = Permission::MessagesPublish;
        assert_eq!(
            decide(&viewer, TenantStatus::Suspended, publish, Target::Tenant),
            DENIED
        );
    }

    #[test]
    fn lists_show_what_is_held_and_nothing_else() {
        let read = Permission::ApplicationsRead;
        let see = |authority: &Authority| visible(authority, TenantStatus::Active, read);
        assert_eq!(see(&holds(&[Grant::tenant(Role::Viewer)])), Ok(Visibility::All));
        let local = holds(&[
            Grant::application(Role::Viewer, app(2)),
            Grant::application(Role::Admin, app(1)),
            Grant::application(Role::Publisher, app(2)),
        ]);
        let shown = see(&local).unwrap();
        assert_eq!(shown, Visibility::Only(vec![app(1), app(2)]));
        assert!(shown.shows(app(2)) && !shown.shows(app(3)));
        assert_eq!(see(&portal(&[read])), Ok(Visibility::Only(vec![app(1)])));
        assert_eq!(
            see(&portal(&[Permission::EndpointsRead])),
            Err(Denial::NotGranted)
        );
        assert_eq!(
            visible(&local, TenantStatus::Deleting, read),
            Err(Denial::TenantDeleting)
        );
    }

    #[test]
    fn a_portal_token_is_given_what_its_minter_holds_in_the_application() {
        let developer = holds(&[Grant::application(Role::Developer, app(1))]);
        assert!(may_delegate(&developer, Permission::EndpointsWrite, app(1)));
        assert!(!may_delegate(&developer, Permission::EndpointsWrite, app(2)));
        assert!(!may_delegate(&developer, Permission::PayloadsDelete, app(1)));
        assert!(!may_delegate(&developer, Permission::PortalTokensIssue, app(1)));
    }
}
