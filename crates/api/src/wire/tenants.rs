use std::collections::BTreeMap;

use postrider_application::{
    Error, IfMatch, Patch,
    ports::ErasureView,
    tenants::{CreateTenant, CreatedTenant as Created, FoundTenant, UpdateTenant},
};
use postrider_domain::{
    Name,
    tenants::{SchemaValidation, TenantState, UnregisteredEventTypes},
    users::Email,
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::{Body, Checks, Object, patch::Patched, time};

/// A tenant to be created, with its first owner.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({
    "name": "Acme",
    "owner": {"email": "ada@example.com", "name": "Ada", "password": "correct horse battery staple"}
})))]
pub(crate) struct NewTenant {
    /// Display name.
    #[schema(min_length = 1, max_length = 120)]
    name: String,
    /// Its first owner.
    #[validate(nested)]
    #[schema(value_type = NewOwner)]
    owner: Object<NewOwner>,
}

/// The first owner of a tenant.
// No `Debug`: it holds a password.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewOwner {
    /// The person's address. Somebody known already keeps their name and password.
    #[schema(format = "email", max_length = 254)]
    email: String,
    /// Display name.
    #[schema(min_length = 1, max_length = 120)]
    name: String,
    /// The password to log in with.
    #[validate(length(
        min = 12,
        max = 1024,
        code = "length",
        message = "must be from 12 to 1024 characters"
    ))]
    #[schema(format = "password", min_length = 12, max_length = 1024)]
    password: String,
    /// Whether somebody who is known already may become the owner: nobody has proved here that an address is theirs.
    /// Without it, a known address is a conflict.
    #[serde(default)]
    may_be_known: bool,
}

impl Body for NewTenant {}

impl NewTenant {
    /// The command.
    pub(crate) fn into_command(self) -> Result<CreateTenant, Error> {
        let mut checks = Checks::of(&self);
        let Object(owner) = self.owner;
        let name = checks.check("name", Name::parse(&self.name));
        let email = checks.check("owner.email", Email::parse(&owner.email));
        let owner_name = checks.check("owner.name", Name::parse(&owner.name));
        let (name, owner_email, owner_name) = checks.all((name, email, owner_name))?;
        Ok(CreateTenant {
            name,
            owner_email,
            owner_name,
            owner_password: SecretString::from(owner.password),
            owner_may_be_known: owner.may_be_known,
        })
    }
}

/// A tenant that was created.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedTenant {
    /// Its id.
    #[schema(examples("ten_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    id: String,
    /// Its first owner.
    owner: Owner,
}

/// The first owner of a tenant.
#[derive(Serialize, ToSchema)]
pub(crate) struct Owner {
    /// The person's id.
    #[schema(examples("usr_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    id: String,
    /// Whether the person was known before; then the given name and password were not used.
    existed: bool,
}

impl From<Created> for CreatedTenant {
    fn from(created: Created) -> Self {
        Self {
            id: created.tenant.to_string(),
            owner: Owner {
                id: created.owner.to_string(),
                existed: created.owner_existed,
            },
        }
    }
}

/// A company that sends webhooks.
#[derive(Serialize, ToSchema)]
pub(crate) struct Tenant {
    /// Its id.
    #[schema(examples("ten_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    id: String,
    /// Display name.
    #[schema(examples("Acme"))]
    name: String,
    /// `active`; `suspended`: it can be read, not changed; or `deleting`.
    #[schema(examples("active"))]
    status: &'static str,
    /// Since when.
    #[schema(format = "date-time", examples("2026-11-22T18:00:00.000000Z"))]
    status_since: String,
    /// When it was created.
    #[schema(format = "date-time", examples("2026-11-22T18:00:00.000000Z"))]
    created_at: String,
    /// How it wants its messages to be treated.
    settings: Settings,
}

/// How a tenant wants its messages to be treated.
#[derive(Serialize, ToSchema)]
#[schema(as = TenantSettings)]
pub(crate) struct Settings {
    /// What becomes of a payload that its event type's latest schema does not allow: `off`: it is not looked at; `warn`:
    /// it is accepted, and the answer says what is wrong; `enforce`: it is refused.
    #[schema(examples("off"))]
    schema_validation: &'static str,
    /// What becomes of a message of an event type that is not registered, or archived: `accept` or `reject`.
    #[schema(examples("accept"))]
    unregistered_event_types: &'static str,
}

/// A change of your tenant, as a JSON Merge Patch.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"name": "Acme", "settings": {"schema_validation": "warn"}})))]
pub(crate) struct TenantPatch {
    /// Display name; not null.
    #[serde(default)]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 120)]
    name: Patched<String>,
    /// How it wants its messages to be treated; null for the defaults.
    #[serde(default)]
    #[schema(value_type = Option<SettingsPatch>)]
    settings: Patched<Object<SettingsPatch>>,
}

/// A change of a tenant's settings.
#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TenantSettingsPatch)]
pub(crate) struct SettingsPatch {
    /// `off`, `warn` or `enforce`; null for `off`.
    #[serde(default)]
    #[schema(value_type = Option<String>, examples("warn"))]
    schema_validation: Patched<String>,
    /// `accept` or `reject`; null for `accept`.
    #[serde(default)]
    #[schema(value_type = Option<String>, examples("reject"))]
    unregistered_event_types: Patched<String>,
}

impl Body for TenantPatch {}

impl TenantPatch {
    /// The command.
    pub(crate) fn into_command(self, if_match: IfMatch) -> Result<UpdateTenant, Error> {
        let mut checks = Checks::of(&self);
        let name = self.name.parsed("name", &mut checks, |text| Name::parse(&text));
        let settings = match self.settings.0 {
            Patch::Keep => SettingsPatch::default(),
            Patch::Clear => SettingsPatch {
                schema_validation: Patched(Patch::Clear),
                unregistered_event_types: Patched(Patch::Clear),
            },
            Patch::Set(Object(settings)) => settings,
        };
        let schema_validation =
            settings
                .schema_validation
                .parsed("settings.schema_validation", &mut checks, |text| {
                    SchemaValidation::parse(&text)
                });
        let unregistered = settings.unregistered_event_types.parsed(
            "settings.unregistered_event_types",
            &mut checks,
            |text| UnregisteredEventTypes::parse(&text),
        );
        let (name, schema_validation, unregistered_event_types) =
            checks.all((name, schema_validation, unregistered))?;
        Ok(UpdateTenant {
            name,
            schema_validation,
            unregistered_event_types,
            if_match,
        })
    }
}

impl From<TenantState> for Tenant {
    fn from(state: TenantState) -> Self {
        Self {
            id: state.id.to_string(),
            name: state.name.as_str().to_owned(),
            status: state.status.as_str(),
            status_since: time::show(state.status_since),
            created_at: time::show(state.created_at),
            settings: Settings {
                schema_validation: state.settings.schema_validation.as_str(),
                unregistered_event_types: state.settings.unregistered_event_types.as_str(),
            },
        }
    }
}

/// A tenant that is, or was.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum OperatedTenant {
    /// It is there.
    Present(Tenant),
    /// It was erased.
    Erased(ErasedTenant),
}

/// A tenant that was erased: all that is left of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErasedTenant {
    /// The id that it had.
    #[schema(examples("ten_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    id: String,
    /// Always `erased`.
    #[schema(examples("erased"))]
    status: &'static str,
    /// When its deletion was ordered.
    #[schema(format = "date-time", examples("2026-11-22T18:00:00.000000Z"))]
    ordered_at: String,
    /// When its last row went.
    #[schema(format = "date-time", examples("2026-11-22T18:05:00.000000Z"))]
    erased_at: String,
    /// How many rows of which table went.
    #[schema(examples(json!({"messages": 200_000})))]
    rows: BTreeMap<String, u64>,
}

impl From<FoundTenant> for OperatedTenant {
    fn from(found: FoundTenant) -> Self {
        match found {
            FoundTenant::Present(state) => Self::Present(state.into()),
            FoundTenant::Erased(erasure) => Self::Erased(erasure.into()),
        }
    }
}

impl From<ErasureView> for ErasedTenant {
    fn from(erasure: ErasureView) -> Self {
        Self {
            id: erasure.tenant.to_string(),
            status: "erased",
            ordered_at: time::show(erasure.ordered_at),
            erased_at: time::show(erasure.erased_at),
            rows: erasure.rows.into_iter().collect(),
        }
    }
}
