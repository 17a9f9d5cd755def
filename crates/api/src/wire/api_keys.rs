use postrider_application::{
    Error, Violation,
    api_keys::{GrantRequest, MintApiKey, MintedApiKey},
};
use postrider_domain::{InvalidValue, Name, Rule, access::Role, api_keys::ApiKey};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::{Body, Checked, Checks, Object, path, time};

/// An API key to be minted.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"name": "billing service", "grants": [{"role": "publisher"}]})))]
pub(crate) struct NewApiKey {
    /// Display name.
    #[schema(min_length = 1, max_length = 120)]
    name: String,
    /// What it may do: nothing that you may not do yourself.
    #[schema(value_type = Vec<NewGrant>, min_items = 1, max_items = 100)]
    grants: Vec<Object<NewGrant>>,
    /// When it stops working by itself (RFC 3339); never, if absent.
    #[schema(format = "date-time")]
    expires_at: Option<String>,
}

/// A role, on the tenant or on one application.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewGrant {
    /// One of `owner`, `admin`, `developer`, `viewer`, `publisher`.
    #[schema(examples("publisher"))]
    role: String,
    /// The application, by id or uid, that it holds on; the whole tenant, if absent.
    application: Option<String>,
}

impl Body for NewApiKey {}

impl NewApiKey {
    /// The command.
    pub(crate) fn into_command(self) -> Result<MintApiKey, Error> {
        let mut checks = Checks::of(&self);
        let name = checks.check("name", Name::parse(&self.name));
        let grants = grants(&mut checks, self.grants);
        let expires_at = checks.optional("expires_at", self.expires_at.as_deref(), time::parse);
        let (name, grants, expires_at) = checks.all((name, grants, expires_at))?;
        Ok(MintApiKey {
            name,
            grants,
            expires_at,
        })
    }
}

fn grants(checks: &mut Checks, grants: Vec<Object<NewGrant>>) -> Checked<Vec<GrantRequest>> {
    if grants.len() > ApiKey::MAX_GRANTS {
        // Refused before each of them costs a look.
        let max = ApiKey::MAX_GRANTS;
        let too_long = InvalidValue::new(Rule::TooLong, format!("must hold at most {max} grants"));
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

/// A key that was minted.
// No `Debug`: it holds the token.
#[derive(Serialize, ToSchema)]
pub(crate) struct MintedKey {
    /// Its id.
    #[schema(examples("key_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    id: String,
    /// What the machine sends as `Authorization: Bearer`. Shown this once.
    #[schema(examples("prk_01jd8x3v9ce2sbm4w8f1q7k5zt_<52 characters>"))]
    token: String,
    /// When it was minted.
    #[schema(format = "date-time", examples("2026-11-22T18:00:00.000000Z"))]
    created_at: String,
}

impl From<MintedApiKey> for MintedKey {
    fn from(key: MintedApiKey) -> Self {
        Self {
            id: key.id.to_string(),
            token: key.token.reveal(),
            created_at: time::show(key.created_at),
        }
    }
}
