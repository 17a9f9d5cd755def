use postrider_application::{
    Error,
    authentication::{LogIn, LoggedIn},
};
use postrider_domain::users::Email;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::{Body, Checks, path};

/// Logs a person in.
// No `Debug`: it holds a password.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"email": "ada@example.com", "password": "correct horse battery staple"})))]
pub(crate) struct Login {
    /// The person's address.
    #[schema(format = "email", max_length = 254)]
    email: String,
    /// Their password.
    #[validate(length(
        min = 1,
        max = 1024,
        code = "length",
        message = "must be from 1 to 1024 characters"
    ))]
    #[schema(format = "password", min_length = 1, max_length = 1024)]
    password: String,
    /// Which tenant to log in to; needed by members of several.
    tenant: Option<String>,
}

impl Body for Login {}

impl Login {
    /// The command.
    pub(crate) fn into_command(self) -> Result<LogIn, Error> {
        let mut checks = Checks::of(&self);
        let email = checks.check("email", Email::parse(&self.email));
        let tenant = checks.optional("tenant", self.tenant.as_deref(), path::id);
        let (email, tenant) = checks.all((email, tenant))?;
        Ok(LogIn {
            email,
            password: SecretString::from(self.password),
            tenant,
        })
    }
}

/// An access token.
#[derive(Serialize, ToSchema)]
pub(crate) struct IssuedToken {
    /// Send it as `Authorization: Bearer`.
    access_token: String,
    /// Always `Bearer`.
    #[schema(examples("Bearer"))]
    token_type: &'static str,
    /// How many seconds it is good.
    #[schema(examples(600))]
    expires_in: u64,
    /// The tenant that was logged in to.
    #[schema(examples("ten_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    tenant: String,
}

impl From<LoggedIn> for IssuedToken {
    fn from(login: LoggedIn) -> Self {
        Self {
            access_token: login.access_token,
            token_type: "Bearer",
            expires_in: login.expires_in.as_secs(),
            tenant: login.tenant.to_string(),
        }
    }
}
