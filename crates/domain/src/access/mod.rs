//! Who may do what: permissions, roles, grants, and the one pure function that decides.
//!
//! Three layers compose: a *permission* is what a request asks for; a *role* is a named set of permissions; a
//! *grant* gives a role on a scope, the whole tenant or one application.

mod decision;
mod permission;
mod role;

pub use decision::{Basis, Decision, Denial, Target, Visibility, decide, may_confer, may_delegate, visible};
pub use permission::Permission;
pub use role::Role;

use crate::{ApplicationId, InvalidValue, Rule};

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
