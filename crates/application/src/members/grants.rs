use std::sync::Arc;

use postrider_domain::{
    InvalidValue, Rule,
    access::{Authority, Grant, GrantScope, MAX_GRANTS, Role, may_confer},
    applications::ApplicationRef,
};

use crate::{
    Error, ErrorCode, Result, Violation, Violations, access::TenantScope, ports::ApplicationDirectory,
};

/// A role, on the tenant or on one application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRequest {
    /// The role.
    pub role: Role,
    /// Where it holds; the whole tenant, if absent.
    pub application: Option<ApplicationRef>,
}

/// Makes grants of what was asked for. Nobody confers what they do not hold.
#[derive(Clone)]
pub(crate) struct GrantResolver {
    directory: Arc<dyn ApplicationDirectory>,
}

impl GrantResolver {
    pub(crate) fn new(directory: Arc<dyn ApplicationDirectory>) -> Self {
        Self { directory }
    }

    /// The grants, all of which the caller may confer; else all violations at once.
    pub(crate) async fn resolve(
        &self,
        scope: &TenantScope,
        requests: Vec<GrantRequest>,
    ) -> Result<Vec<Grant>> {
        if requests.len() > MAX_GRANTS {
            // Refused before each of them costs a look.
            let too_long = InvalidValue::new(Rule::TooLong, format!("must hold at most {MAX_GRANTS} grants"));
            return Err(Error::invalid_field("grants", too_long));
        }
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
            if may_confer(scope.authority(), grant) {
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

/// Refuses a credential that ends by itself: what it makes would outlast it.
pub(crate) fn only_lasting(scope: &TenantScope) -> Result<()> {
    if scope.expires_at().is_some() {
        return Err(Error::new(
            ErrorCode::Forbidden,
            "your credential expires, and members do not: log in, or use a key without an end",
        ));
    }
    Ok(())
}

/// Whether the holder of `authority` holds all that `grants` confer: nobody manages those above them.
pub(crate) fn confers_all(authority: &Authority, grants: &[Grant]) -> bool {
    grants.iter().all(|grant| may_confer(authority, *grant))
}
