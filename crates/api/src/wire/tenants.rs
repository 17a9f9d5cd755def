use postrider_application::{
    Error,
    tenants::{CreateTenant, CreatedTenant},
};
use postrider_domain::{Name, users::Email};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::{Body, Checks, Object};

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
    /// The person's address. Somebody known already becomes the owner and keeps their name and password.
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
        })
    }
}

/// A tenant that was created.
#[derive(Serialize, ToSchema)]
pub(crate) struct Tenant {
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

impl From<CreatedTenant> for Tenant {
    fn from(created: CreatedTenant) -> Self {
        Self {
            id: created.tenant.to_string(),
            owner: Owner {
                id: created.owner.to_string(),
                existed: created.owner_existed,
            },
        }
    }
}
