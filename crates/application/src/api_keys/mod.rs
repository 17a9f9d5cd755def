//! API keys: machine principals.

mod mint;

pub use mint::{GrantRequest, MintApiKey, MintApiKeyHandler, MintedApiKey};
