//! The programs that take part, optimised.

use std::path::PathBuf;

use anyhow::Context;

use crate::product::{Binary, Which, build};

/// What is run.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    /// The product.
    pub(super) product: Binary,
    /// This tool, as load generator and receiver.
    pub(super) children: PathBuf,
}

impl Programs {
    /// Builds what is not given. `cargo xtask` itself is a debug build, which would be the slowest part of all.
    pub(super) fn get(which: &Which) -> anyhow::Result<Self> {
        let product = Binary::get(&which.clone().optimised())?;
        let children = if cfg!(debug_assertions) {
            build(&["--release", "--package", "xtask", "--bin", "xtask"], "xtask")?
        } else {
            std::env::current_exe().context("where this program is")?
        };
        Ok(Self { product, children })
    }
}
