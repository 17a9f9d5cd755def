use postrider_application::{
    Error,
    access::PrincipalId,
    me::{ChangePassword, Me as Known},
};
use postrider_domain::access::Authority;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::{
    Body, Checks,
    grants::{self, Grant},
    tenants::Tenant,
    time,
};

/// Who you are, and what you may do.
#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    /// `user` for people, `api_key` for machines, `portal` for one of a tenant's customers.
    #[schema(examples("user"))]
    kind: &'static str,
    /// The id of the person, key or portal token.
    #[schema(examples("usr_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    id: String,
    /// A person's session.
    #[schema(required, examples("ses_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    session: Option<String>,
    /// The tenant that you act in.
    tenant: Tenant,
    /// What you hold; none with a portal token.
    grants: Vec<Grant>,
    /// What a portal token may do.
    #[schema(required)]
    portal: Option<Portal>,
    /// When a key or portal token stops working by itself.
    #[schema(required, format = "date-time", examples("2026-11-22T18:00:00.000000Z"))]
    expires_at: Option<String>,
}

/// What a portal token may do.
#[derive(Serialize, ToSchema)]
pub(crate) struct Portal {
    /// In this application.
    #[schema(examples("app_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    application: String,
    /// This.
    #[schema(examples(json!(["endpoints:read", "endpoints:write"])))]
    permissions: Vec<&'static str>,
}

impl From<Known> for Me {
    fn from(Known { principal, tenant }: Known) -> Self {
        let (kind, id, session) = match principal.id {
            PrincipalId::User(user, session) => ("user", user.to_string(), Some(session.to_string())),
            PrincipalId::ApiKey(key) => ("api_key", key.to_string(), None),
            PrincipalId::Portal(token) => ("portal", token.to_string(), None),
        };
        let portal = match &principal.authority {
            Authority::Grants(_) => None,
            Authority::Portal(access) => Some(Portal {
                application: access.application.to_string(),
                permissions: access.permissions.iter().map(|p| p.as_str()).collect(),
            }),
        };
        Self {
            kind,
            id,
            session,
            tenant: tenant.into(),
            grants: grants::show(principal.authority.grants()),
            portal,
            expires_at: principal.expires_at.map(time::show),
        }
    }
}

/// Your password, to be changed.
// No `Debug`: it holds two.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({
    "current_password": "correct horse battery staple",
    "new_password": "staple battery horse correct"
})))]
pub(crate) struct PasswordChange {
    /// The one that is good until now.
    #[validate(length(
        min = 1,
        max = 1024,
        code = "length",
        message = "must be from 1 to 1024 characters"
    ))]
    #[schema(format = "password", min_length = 1, max_length = 1024)]
    current_password: String,
    /// The one that is good from now on.
    #[schema(format = "password", min_length = 12, max_length = 1024)]
    new_password: String,
}

impl Body for PasswordChange {}

impl PasswordChange {
    /// The command.
    pub(crate) fn into_command(self) -> Result<ChangePassword, Error> {
        Checks::of(&self).all(())?;
        Ok(ChangePassword {
            current: SecretString::from(self.current_password),
            new: SecretString::from(self.new_password),
        })
    }
}
