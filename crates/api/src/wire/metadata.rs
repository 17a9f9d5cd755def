//! Notes of the tenant's own, as a patch says them.

use std::collections::BTreeMap;

use postrider_application::Patch;
use postrider_domain::{InvalidValue, Metadata, Rule};

use super::{Checked, Checks, patch::Patched};

/// The most keys of one patch: all that there may be go, and as many come.
const MAX_NAMED: usize = 2 * Metadata::MAX_PAIRS;

/// What a patch says of the notes, each by itself as it may be: what is wrong with it whatever is stored is told before
/// anything is looked up.
pub(super) fn patched(
    checks: &mut Checks,
    Patched(patch): Patched<BTreeMap<String, Option<String>>>,
) -> Checked<Patch<BTreeMap<String, Option<String>>>> {
    if let Patch::Set(pairs) = &patch {
        if pairs.len() > MAX_NAMED {
            let many = InvalidValue::new(Rule::TooLong, format!("must name at most {MAX_NAMED} keys"));
            return checks.check("metadata", Err(many));
        }
        for (key, value) in pairs {
            let pair = (key.clone(), value.clone().unwrap_or_default());
            checks.check("metadata", Metadata::parse(BTreeMap::from([pair])))?;
        }
    }
    Some(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(pairs: impl IntoIterator<Item = (String, Option<&'static str>)>) -> Option<String> {
        let pairs = pairs
            .into_iter()
            .map(|(key, value)| (key, value.map(ToOwned::to_owned)));
        let mut checks = Checks::default();
        let patch = patched(&mut checks, Patched(Patch::Set(pairs.collect())));
        let error = checks.all((patch,)).err()?;
        Some(error.violations()[0].rule.to_string())
    }

    #[test]
    fn each_note_is_looked_at_and_those_that_go_as_well() {
        let of = |key: &str, value| [(key.to_owned(), value)];
        assert_eq!(fault(of("a", Some(""))), None);
        assert_eq!(fault(of("a", None)), None);
        assert_eq!(fault(of("", None)).as_deref(), Some("required"));
        assert_eq!(fault(of("a\0", None)).as_deref(), Some("charset"));
        assert_eq!(fault(of(&"x".repeat(65), Some(""))).as_deref(), Some("too_long"));
        assert_eq!(fault(of("a", Some("\n"))).as_deref(), Some("charset"));
        let keys = |count| (0..count).map(|key: u32| (key.to_string(), None));
        assert_eq!(fault(keys(100)), None);
        assert_eq!(fault(keys(101)).as_deref(), Some("too_long"));
    }
}
