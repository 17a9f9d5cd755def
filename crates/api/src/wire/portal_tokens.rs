use std::time::Duration;

use postrider_application::{
    Error,
    applications::{MintPortalToken, MintedPortalToken},
};
use postrider_domain::access::Permission;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::{Body, Checks, Whole, path::ApplicationPath, time};

/// A portal token to be minted.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"permissions": ["endpoints:read", "endpoints:write"], "expires_in": 3600})))]
pub(crate) struct NewPortalToken {
    /// What it may do in the application: nothing that you may not do there yourself.
    #[validate(length(max = 50, code = "too_long", message = "must have at most 50 entries"))]
    #[schema(min_items = 1, max_items = 50)]
    permissions: Vec<String>,
    /// How many seconds it is good; no longer than the credential that mints it.
    #[schema(value_type = u64, minimum = 60, maximum = 86400)]
    expires_in: Whole,
}

impl Body for NewPortalToken {}

impl NewPortalToken {
    /// The command.
    pub(crate) fn into_command(self, path: &ApplicationPath) -> Result<MintPortalToken, Error> {
        let mut checks = Checks::of(&self);
        let application = path.application(&mut checks);
        let permissions = checks.list("permissions", self.permissions, |name| Permission::parse(&name));
        let (application, permissions) = checks.all((application, permissions))?;
        Ok(MintPortalToken {
            application,
            permissions,
            lifetime: Duration::from_secs(self.expires_in.0),
        })
    }
}

/// A portal token that was minted.
// No `Debug`: it holds the token.
#[derive(Serialize, ToSchema)]
pub(crate) struct PortalToken {
    /// Its id, by which the audit log names who used it.
    #[schema(examples("ptk_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    id: String,
    /// Your customer sends it as `Authorization: Bearer`. Shown this once.
    token: String,
    /// Until when it is good.
    #[schema(format = "date-time", examples("2026-11-22T19:00:00.000000Z"))]
    expires_at: String,
}

impl From<MintedPortalToken> for PortalToken {
    fn from(minted: MintedPortalToken) -> Self {
        Self {
            id: minted.id.to_string(),
            token: minted.token,
            expires_at: time::show(minted.expires_at),
        }
    }
}
