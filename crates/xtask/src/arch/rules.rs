//! `arch.toml` as types.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

/// Crate name (or pattern) to the reason why it is there.
pub(crate) type Reasons = BTreeMap<String, String>;

/// All rules.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Our crates, and whom of ours each may know.
    pub(crate) crates: BTreeMap<String, Vec<String>>,
    pub(crate) dev: DevRules,
    /// Crates with an allow-list of third-party crates.
    pub(crate) third_party: BTreeMap<String, ThirdParty>,
    /// Crates beneath which certain crates must not be, at any depth.
    pub(crate) forbidden: BTreeMap<String, Reasons>,
    #[serde(default)]
    pub(crate) forbidden_exceptions: BTreeMap<String, Reasons>,
    /// Words that stand only in some files.
    #[serde(default)]
    pub(crate) restricted: BTreeMap<String, Restricted>,
    pub(crate) layout: Layout,
    pub(crate) sources: SourceRules,
}

/// Our crates as dev-dependencies.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DevRules {
    pub(crate) anyone: Vec<String>,
    pub(crate) except: Vec<String>,
}

/// Allowed third-party crates of one of ours.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ThirdParty {
    #[serde(default)]
    pub(crate) normal: Reasons,
    #[serde(default)]
    pub(crate) dev: Reasons,
}

/// A word with few users.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Restricted {
    pub(crate) reason: String,
    pub(crate) allowed: Vec<String>,
}

/// The top of the repository.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Layout {
    pub(crate) folders: Vec<String>,
    pub(crate) files: Vec<String>,
}

/// What every source file is held to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceRules {
    pub(crate) forbidden_macros: Vec<String>,
    pub(crate) long_file_lines: usize,
}

impl Rules {
    /// Reads the rules' file.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not right", path.display()))
    }

    /// The crates whose whole tree is looked at.
    pub(crate) fn inner_crates(&self) -> impl Iterator<Item = &str> {
        self.forbidden.keys().map(String::as_str)
    }
}

/// Whether a name fits a pattern: itself, or a beginning followed by `*`.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    pattern
        .strip_suffix('*')
        .map_or(pattern == name, |beginning| name.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_this_repository_can_be_read() {
        let rules = Rules::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("arch.toml")).unwrap();
        assert!(rules.crates["postrider-domain"].is_empty());
        let reasons = rules
            .third_party
            .values()
            .flat_map(|lists| lists.normal.values().chain(lists.dev.values()));
        assert!(
            reasons.into_iter().all(|reason| reason.len() > 10),
            "every crate has a reason"
        );
    }

    #[test]
    fn a_star_means_all_that_begin_so() {
        assert!(fits("sqlx*", "sqlx-core") && fits("sqlx*", "sqlx") && fits("axum", "axum"));
        assert!(!fits("axum", "axum-core") && !fits("sqlx*", "sql"));
    }
}
