//! Applications: a tenant's customers, and the tokens by which they come in themselves.

mod create;
mod delete;
mod get;
mod list;
mod mint_portal_token;
mod patch;
mod put;
mod revoke_portal_tokens;

pub use create::{CreateApplication, CreateApplicationHandler};
pub use delete::{DeleteApplication, DeleteApplicationHandler};
pub use get::{GetApplication, GetApplicationHandler};
pub use list::{ListApplications, ListApplicationsHandler};
pub use mint_portal_token::{
    MAX_PORTAL_TOKEN_LIFETIME, MintPortalToken, MintPortalTokenHandler, MintedPortalToken,
};
pub use patch::{PatchApplication, PatchApplicationHandler};
pub use put::{PutApplication, PutApplicationHandler};
pub use revoke_portal_tokens::{RevokePortalTokens, RevokePortalTokensHandler};
