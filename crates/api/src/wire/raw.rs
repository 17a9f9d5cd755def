//! JSON that is kept byte for byte.

use serde::{Deserialize as _, Deserializer};
use serde_json::value::RawValue;

/// A value that is there, though it be null: by itself serde reads null as absent. To be used with
/// `#[serde(default, deserialize_with = "present")]`.
pub(super) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}
