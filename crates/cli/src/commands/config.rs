use std::process::ExitCode;

use super::Outcome;
use crate::{
    args::ConfigArgs,
    configuration::{Configuration, schema},
};

/// Reads all layers and says what is wrong.
pub(super) fn check(args: &ConfigArgs) -> Outcome {
    let configuration = Configuration::load(args, None)?;
    let database = if configuration.database.url.is_some() {
        "PostgreSQL".to_owned()
    } else {
        format!("SQLite in {}", configuration.database.directory.display())
    };
    for doubt in configuration.doubts() {
        println!("  {}: {}", doubt.key, doubt.message);
    }
    println!(
        "The configuration is valid: {database}, listening on {}.",
        configuration.server.listen
    );
    Ok(ExitCode::SUCCESS)
}

/// Prints the schema that a configuration file is to fit.
pub(super) fn schema() -> Outcome {
    println!("{}", serde_json::to_string_pretty(&schema::schema())?);
    Ok(ExitCode::SUCCESS)
}
