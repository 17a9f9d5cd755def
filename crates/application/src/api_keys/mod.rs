//! API keys: machine principals.

mod list;
mod mint;
mod revoke;

pub use list::{ListApiKeys, ListApiKeysHandler};
pub use mint::{MintApiKey, MintApiKeyHandler, MintedApiKey};
pub use revoke::{RevokeApiKey, RevokeApiKeyHandler};
