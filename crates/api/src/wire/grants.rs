use postrider_application::{Violation, members::GrantRequest};
use postrider_domain::{
    InvalidValue, Rule,
    access::{Grant as Held, GrantScope, MAX_GRANTS, Role},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Checked, Checks, Object, path};

/// A role to be granted, on the tenant or on one application.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewGrant {
    /// One of `owner`, `admin`, `developer`, `viewer`, `publisher`.
    #[schema(examples("publisher"))]
    role: String,
    /// The application, by id or uid, that it holds on; the whole tenant, if absent.
    application: Option<String>,
}

/// What is asked for in the field `grants`.
pub(super) fn requests(checks: &mut Checks, grants: Vec<Object<NewGrant>>) -> Checked<Vec<GrantRequest>> {
    if grants.len() > MAX_GRANTS {
        // Refused before each of them costs a look.
        let too_long = InvalidValue::new(Rule::TooLong, format!("must hold at most {MAX_GRANTS} grants"));
        checks.push(Violation::new("grants", too_long));
        return None;
    }
    let mut requests = Vec::with_capacity(grants.len());
    for (index, Object(grant)) in grants.into_iter().enumerate() {
        let role = checks.check(format!("grants[{index}].role"), Role::parse(&grant.role));
        let application = match grant.application {
            None => Some(None),
            Some(text) => checks
                .check(format!("grants[{index}].application"), path::application(&text))
                .map(Some),
        };
        if let (Some(role), Some(application)) = (role, application) {
            requests.push(GrantRequest { role, application });
        }
    }
    Some(requests)
}

/// A role, on the tenant or on one application.
#[derive(Serialize, ToSchema)]
pub(crate) struct Grant {
    /// One of `owner`, `admin`, `developer`, `viewer`, `publisher`.
    #[schema(examples("publisher"))]
    role: &'static str,
    /// The application that it holds on; null: the whole tenant.
    #[schema(required, examples("app_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    application: Option<String>,
}

impl From<&Held> for Grant {
    fn from(grant: &Held) -> Self {
        Self {
            role: grant.role.as_str(),
            application: match grant.scope {
                GrantScope::Tenant => None,
                GrantScope::Application(id) => Some(id.to_string()),
            },
        }
    }
}

/// The wire form of what somebody holds.
pub(super) fn show(grants: &[Held]) -> Vec<Grant> {
    grants.iter().map(Into::into).collect()
}
