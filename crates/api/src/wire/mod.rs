//! What requests and answers look like. Serialisation lives here and nowhere further in: wire types become values
//! of the domain once, at the door, and all of their faults are answered at once.

pub(crate) mod api_keys;
pub(crate) mod applications;
pub(crate) mod audit_entries;
pub(crate) mod authentication;
mod checks;
pub(crate) mod deliveries;
pub(crate) mod endpoint_changes;
pub(crate) mod endpoints;
pub(crate) mod event_types;
pub(crate) mod export;
pub(crate) mod figures;
pub(crate) mod grants;
pub(crate) mod headers;
pub(crate) mod health;
pub(crate) mod invitations;
pub(crate) mod me;
pub(crate) mod members;
pub(crate) mod messages;
mod metadata;
mod object;
pub(crate) mod operations;
pub(crate) mod page;
pub(crate) mod patch;
pub(crate) mod path;
pub(crate) mod portal_tokens;
mod raw;
pub(crate) mod replays;
pub(crate) mod secrets;
pub(crate) mod send_test;
pub(crate) mod tenants;
mod time;
mod whole;

pub(crate) use checks::{Checked, Checks, MAX_VIOLATIONS};
pub(crate) use object::Object;
pub(crate) use whole::Whole;

use serde::de::DeserializeOwned;
use validator::Validate;

use crate::Limits;

/// What a request's body may be read into.
pub(crate) trait Body: DeserializeOwned + Validate + 'static {
    /// Whether it has maps, such as metadata, in which a key could stand twice: looking for that costs another reading.
    const HAS_MAPS: bool = true;

    /// Whether anybody may send it, without a credential.
    const IS_PUBLIC: bool = false;

    /// The most bytes of it.
    fn max_bytes(limits: &Limits) -> usize {
        if Self::IS_PUBLIC {
            limits.max_public_body_bytes
        } else {
            limits.max_resource_body_bytes
        }
    }
}
