//! Fields of a JSON Merge Patch (RFC 7396): absent, null, or a value.

use postrider_application::Patch;
use postrider_domain::{InvalidValue, Rule};
use serde::{Deserialize, Deserializer};

use super::{Checked, Checks};

/// What a patch says of one field. To be used with `#[serde(default)]`, and for the
/// document with `#[schema(value_type = Option<T>)]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Patched<T>(pub(crate) Patch<T>);

impl<T> Patched<T> {
    /// What it says, once it is parsed; or its violation noted and nothing.
    pub(crate) fn parsed<U>(
        self,
        field: &'static str,
        checks: &mut Checks,
        parse: impl FnOnce(T) -> Result<U, InvalidValue>,
    ) -> Checked<Patch<U>> {
        match self.0 {
            Patch::Keep => Some(Patch::Keep),
            Patch::Clear => Some(Patch::Clear),
            Patch::Set(value) => checks.check(field, parse(value)).map(Patch::Set),
        }
    }

    /// The same of a field that has no default to go back to; nothing, if it stays.
    pub(crate) fn not_null<U>(
        self,
        field: &'static str,
        checks: &mut Checks,
        parse: impl FnOnce(T) -> Result<U, InvalidValue>,
    ) -> Checked<Option<U>> {
        match self.0 {
            Patch::Keep => Some(None),
            Patch::Clear => {
                let null = InvalidValue::new(Rule::Required, "must not be null");
                checks.check(field, Err(null))
            }
            Patch::Set(value) => checks.check(field, parse(value)).map(Some),
        }
    }
}

impl<T> Default for Patched<T> {
    fn default() -> Self {
        Self(Patch::Keep)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patched<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Option::<T>::deserialize(deserializer)?;
        Ok(Self(value.map_or(Patch::Clear, Patch::Set)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
