//! Statements on an installation that nobody serves.

use std::io::Read as _;

use crate::{Failure, args::ConfigArgs, configuration::Configuration, runtime, storage::Storage};

/// Runs what stands on standard input.
pub(crate) fn run(args: &ConfigArgs) -> Result<(), Failure> {
    let configuration = Configuration::load(args, None)?;
    let mut statements = String::new();
    std::io::stdin().read_to_string(&mut statements)?;
    runtime::block_on(async {
        let storage = Storage::open(&configuration.database, 1).await?;
        storage.run(statements).await?;
        Ok(())
    })?
}
