//! The installation's own keys: those that sign access tokens, and the master key that stored secrets are sealed
//! with.

mod rotate_master_key;
mod rotate_signing_key;

pub use rotate_master_key::{RotateMasterKey, RotateMasterKeyHandler, RotatedMasterKey};
pub use rotate_signing_key::{RotateSigningKey, RotateSigningKeyHandler};
