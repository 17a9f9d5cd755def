//! Fields of a JSON Merge Patch (RFC 7396): absent, null, or a value.

use serde::{Deserialize, Deserializer};

/// What a patch says of one field. To be used with `#[serde(default)]`, and for the
/// document with `#[schema(value_type = Option<T>)]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Patched<T>(pub(crate) postrider_application::Patch<T>);

impl<T> Default for Patched<T> {
    fn default() -> Self {
        Self(postrider_application::Patch::Keep)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patched<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use postrider_application::Patch;
        let value = Option::<T>::deserialize(deserializer)?;
        Ok(Self(value.map_or(Patch::Clear, Patch::Set)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_application::Patch;

    #[derive(Deserialize)]
    struct Change {
        #[serde(default)]
        name: Patched<String>,
    }

    #[test]
    fn null_is_not_absent() {
        let read = |text| serde_json::from_str::<Change>(text).map(|change| change.name.0);
        assert_eq!(read("{}").unwrap(), Patch::Keep);
        assert_eq!(read(r#"{"name":null}"#).unwrap(), Patch::Clear);
        assert_eq!(read(r#"{"name":"a"}"#).unwrap(), Patch::Set("a".to_owned()));
        assert!(read(r#"{"name":1}"#).is_err());
    }
}
