//! The architecture check, in rooms: the rules as written, the facts as found, the comparison.

mod dependencies;
mod graph;
mod rules;
mod sources;

use std::fmt;

/// Where the rules stand, from the root.
pub const FILE: &str = "crates/xtask/arch.toml";

pub use dependencies::check as check_dependencies;
pub use graph::{Dependency, Graph, Kind, Package};
pub use rules::Rules;
pub use sources::{Sources, check_layout, check_sources};

/// Something that is not as the rules say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Reported, but no reason to fail.
    pub is_warning: bool,
    /// What is wrong, and where.
    pub what: String,
    /// The rule, with its reason.
    pub rule: String,
    /// How to mend it.
    pub mend: String,
}

impl Finding {
    fn violation(what: impl Into<String>, rule: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            is_warning: false,
            what: what.into(),
            rule: rule.into(),
            mend: mend.into(),
        }
    }

    fn warning(what: impl Into<String>, rule: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            is_warning: true,
            ..Self::violation(what, rule, mend)
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_warning { "warning" } else { "violation" };
        write!(
            f,
            "{word}: {}\n  rule: {}\n  mend: {}",
            self.what, self.rule, self.mend
        )
    }
}
