//! One file a command.

mod config;
mod dev;
mod migrate;
mod openapi;
mod operator;
mod receive;
mod serve;
mod tenants;

use std::process::ExitCode;

use crate::{
    args::{Command, ConfigCommand, OperatorCommand, TenantsCommand},
    configuration::TelemetryConfig,
    telemetry::Telemetry,
};

/// What a command ends with: an exit code, or an error to be shown with its causes.
pub(crate) type Outcome = Result<ExitCode, Box<dyn std::error::Error + Send + Sync>>;

/// Runs a command to its end.
pub(crate) fn run(command: Command) -> Outcome {
    match command {
        Command::Serve(args) => serve::run(&args),
        Command::Migrate(args) => migrate::run(&args),
        Command::Dev(args) => dev::run(args),
        Command::Receive(args) => receive::run(&args),
        Command::Tenants(TenantsCommand::Create(args)) => tenants::create(&args),
        Command::Operator(OperatorCommand::NewToken) => Ok(operator::new_token()),
        Command::Openapi => Ok(openapi::run()),
        Command::Config(ConfigCommand::Check(args)) => config::check(&args),
    }
}

/// Logging for commands that are run by hand: warnings only, for people.
fn quiet_telemetry(log: &str) -> Result<Telemetry, crate::telemetry::TelemetryError> {
    let format = crate::configuration::LogFormat::Pretty;
    Telemetry::start(&TelemetryConfig {
        log: log.to_owned(),
        format,
    })
}
