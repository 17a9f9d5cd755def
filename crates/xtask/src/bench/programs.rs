//! The programs that take part, optimised.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::product::{Binary, Which, build};

/// What is run.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    /// The product.
    pub(super) product: Binary,
    /// This tool, as load generator and receiver.
    pub(super) children: PathBuf,
    /// The product's parts by themselves, once they were wanted.
    limits: OnceCell<PathBuf>,
}

impl Programs {
    /// Builds what is not given. `cargo xtask` itself is a debug build, which would be the slowest part of all.
    pub(super) fn get(which: &Which, limits: Option<&Path>, children: Option<&Path>) -> anyhow::Result<Self> {
        let product = Binary::get(&which.clone().optimised())?;
        let children = if let Some(children) = children {
            // They are run from other folders.
            children
                .canonicalize()
                .with_context(|| children.display().to_string())?
        } else if cfg!(debug_assertions) {
            build(&["--release", "--package", "xtask", "--bin", "xtask"], "xtask")?
        } else {
            std::env::current_exe().context("where this program is")?
        };
        let known = OnceCell::new();
        if let Some(limits) = limits {
            // It is run from other folders.
            known.get_or_init(|| limits.canonicalize().unwrap_or_else(|_| limits.to_owned()));
        }
        Ok(Self {
            product,
            children,
            limits: known,
        })
    }

    /// The example that measures the limits, built when it is first wanted.
    pub(super) fn limits(&self) -> anyhow::Result<&Path> {
        if let Some(known) = self.limits.get() {
            return Ok(known);
        }
        let built = build(
            &["--release", "--package", "postrider", "--example", "limits"],
            "limits",
        )?;
        Ok(self.limits.get_or_init(|| built))
    }
}
