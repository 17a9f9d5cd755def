use std::process::ExitCode;

use postrider_persistence::Schema;

use super::{Outcome, quiet_telemetry};
use crate::{args::ConfigArgs, configuration::Configuration, options, runtime};

/// Brings the schema up to date.
pub(super) fn run(args: &ConfigArgs) -> Outcome {
    let configuration = Configuration::load(args, None)?;
    let _telemetry = quiet_telemetry("warn")?;
    runtime::block_on(async {
        let schema = Schema::open(options::database(&configuration.database)).await?;
        let pending = schema.pending().await?;
        // Even if none is: the roles may be missing, or not granted to the login that serves.
        schema.migrate().await?;
        match pending.len() {
            0 => println!("The schema is up to date."),
            count => println!("Applied {count} migrations; the schema is up to date."),
        }
        schema.close().await?;
        Ok(ExitCode::SUCCESS)
    })?
}
