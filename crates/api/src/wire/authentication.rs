use postrider_application::{
    Error,
    authentication::{IssuedTokens as Issued, LogIn, LogOut, RefreshSession, ResetPassword},
};
use postrider_domain::{
    tokens::{PasswordResetToken, RefreshToken},
    users::Email,
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::{Body, Checks, path, time};

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

impl Body for Login {
    const IS_PUBLIC: bool = true;
}

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

/// A refresh token.
// No `Debug`: it holds the token.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({
    "refresh_token": "prf_01jd8x3v9ce2sbm4w8f1q7k5zt_00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
})))]
pub(crate) struct PresentedRefreshToken {
    /// The token of the last answer of `logIn` or `refreshSession`.
    #[schema(format = "password", max_length = 256)]
    refresh_token: String,
}

impl Body for PresentedRefreshToken {
    const IS_PUBLIC: bool = true;
}

impl PresentedRefreshToken {
    fn token(&self) -> Result<RefreshToken, Error> {
        let mut checks = Checks::of(self);
        let token = checks.check("refresh_token", RefreshToken::parse(&self.refresh_token));
        let (token,) = checks.all((token,))?;
        Ok(token)
    }

    /// The command that exchanges it.
    pub(crate) fn refresh(&self) -> Result<RefreshSession, Error> {
        Ok(RefreshSession { token: self.token()? })
    }

    /// The command that ends its session.
    pub(crate) fn log_out(&self) -> Result<LogOut, Error> {
        Ok(LogOut { token: self.token()? })
    }
}

/// A password to be set anew.
// No `Debug`: it holds a password.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({
    "token": "prw_01jd8x3v9ce2sbm4w8f1q7k5zt_0000000000000000000000000000000000000000000000000000",
    "password": "correct horse battery staple"
})))]
pub(crate) struct NewPasswordByToken {
    /// The token that the installation's operator handed over.
    #[schema(format = "password", max_length = 256)]
    token: String,
    /// The password to log in with from now on.
    #[schema(format = "password", min_length = 12, max_length = 1024)]
    password: String,
}

impl Body for NewPasswordByToken {
    const IS_PUBLIC: bool = true;
}

impl NewPasswordByToken {
    /// The command.
    pub(crate) fn into_command(self) -> Result<ResetPassword, Error> {
        let mut checks = Checks::of(&self);
        let token = checks.check("token", PasswordResetToken::parse(&self.token));
        let (token,) = checks.all((token,))?;
        Ok(ResetPassword {
            token,
            password: SecretString::from(self.password),
        })
    }
}

/// The tokens of a session.
// No `Debug`: it holds them.
#[derive(Serialize, ToSchema)]
pub(crate) struct IssuedTokens {
    /// Send it as `Authorization: Bearer`.
    access_token: String,
    /// Always `Bearer`.
    #[schema(examples("Bearer"))]
    token_type: &'static str,
    /// How many seconds the access token is good.
    #[schema(examples(600))]
    expires_in: u64,
    /// Exchange it, once, for the next pair of tokens.
    #[schema(examples("prf_<session>_<104 characters>"))]
    refresh_token: String,
    /// Until when it can be exchanged.
    #[schema(format = "date-time", examples("2026-11-23T18:00:00.000000Z"))]
    refresh_expires_at: String,
    /// The person.
    #[schema(examples("usr_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    user: String,
    /// The tenant that was logged in to.
    #[schema(examples("ten_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    tenant: String,
}

impl From<Issued> for IssuedTokens {
    fn from(issued: Issued) -> Self {
        Self {
            access_token: issued.access_token,
            token_type: "Bearer",
            expires_in: issued.expires_in.as_secs(),
            refresh_token: issued.refresh_token.reveal(),
            refresh_expires_at: time::show(issued.refresh_expires_at),
            user: issued.user.to_string(),
            tenant: issued.tenant.to_string(),
        }
    }
}
