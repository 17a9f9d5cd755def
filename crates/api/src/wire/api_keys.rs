use postrider_application::{
    Error,
    api_keys::{MintApiKey, MintedApiKey},
    ports::ApiKeyView,
};
use postrider_domain::Name;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::{
    Body, Checks, Object,
    grants::{self, Grant, NewGrant},
    time,
};

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

impl Body for NewApiKey {}

impl NewApiKey {
    /// The command.
    pub(crate) fn into_command(self) -> Result<MintApiKey, Error> {
        let mut checks = Checks::of(&self);
        let name = checks.check("name", Name::parse(&self.name));
        let grants = grants::requests(&mut checks, self.grants);
        let expires_at = checks.optional("expires_at", self.expires_at.as_deref(), time::parse);
        let (name, grants, expires_at) = checks.all((name, grants, expires_at))?;
        Ok(MintApiKey {
            name,
            grants,
            expires_at,
        })
    }
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

/// An API key. Its token was shown when it was minted, and never again.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiKey {
    /// Its id.
    #[schema(examples("key_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    id: String,
    /// Display name.
    #[schema(examples("billing service"))]
    name: String,
    /// What it may do.
    grants: Vec<Grant>,
    /// When it was minted.
    #[schema(format = "date-time", examples("2026-11-22T18:00:00.000000Z"))]
    created_at: String,
    /// When it stops working by itself; null: never.
    #[schema(required, format = "date-time", examples("2027-11-22T18:00:00.000000Z"))]
    expires_at: Option<String>,
    /// When it was last used, to the minute or so; null: not yet.
    #[schema(required, format = "date-time", examples("2026-11-23T09:00:00.000000Z"))]
    last_used_at: Option<String>,
}

impl From<ApiKeyView> for ApiKey {
    fn from(key: ApiKeyView) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name.as_str().to_owned(),
            grants: grants::show(&key.grants),
            created_at: time::show(key.created_at),
            expires_at: key.expires_at.map(time::show),
            last_used_at: key.last_used_at.map(time::show),
        }
    }
}
