//! One file a command.

mod config;
mod dev;
mod doctor;
mod health;
mod keys;
mod limits;
mod listening;
mod migrate;
mod open_files;
mod openapi;
mod operator;
mod permissions;
mod receive;
mod serve;
mod start;
mod tenants;
mod users;

use std::process::ExitCode;

use postrider_api::composition::{OpenError, Platform};
use postrider_application::{
    UseCases,
    access::Caller,
    mediator::{Request, Serves},
};
use postrider_persistence::SqlStore;

use crate::{
    args::{Command, ConfigArgs, ConfigCommand, KeysCommand, OperatorCommand, TenantsCommand, UsersCommand},
    configuration::{Configuration, TelemetryConfig},
    dev::refuse_dev_directory,
    options, runtime,
    telemetry::{self, Telemetry},
};

/// What a command ends with: an exit code, or an error to be shown with its causes.
pub(crate) type Outcome = Result<ExitCode, Failure>;

/// Why a command failed.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs a command to its end.
pub(crate) fn run(command: Command) -> Outcome {
    match command {
        Command::Serve(args) => serve::run(&args),
        Command::Migrate(args) => migrate::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Dev(args) => dev::run(args),
        Command::Receive(args) => receive::run(&args),
        Command::Tenants(TenantsCommand::Create(args)) => tenants::create(&args),
        Command::Users(UsersCommand::ResetPassword(args)) => users::reset_password(&args),
        Command::Keys(KeysCommand::Rotate(args)) => keys::rotate(&args),
        Command::Keys(KeysCommand::RotateMaster(args)) => keys::rotate_master(&args),
        Command::Operator(OperatorCommand::NewToken) => Ok(operator::new_token()),
        Command::Openapi => Ok(openapi::run()),
        Command::Permissions => Ok(permissions::run()),
        Command::Limits => Ok(limits::run()),
        Command::Config(ConfigCommand::Check(args)) => config::check(&args),
        Command::Config(ConfigCommand::Schema) => config::schema(),
        Command::Health(args) => health::run(&args),
    }
}

/// Asks `request` of the use cases as the operator on the command line, in the configured installation, beside a server
/// or without one.
fn ask<R: Request>(configuration: &Configuration, request: R) -> Result<R::Output, Failure>
where
    UseCases<SqlStore>: Serves<R>,
{
    installed(configuration)?;
    ask_or_begin(configuration, request, false)
}

/// The same, also if stored signing keys do not open.
fn ask_with_readable_keys<R: Request>(configuration: &Configuration, request: R) -> Result<R::Output, Failure>
where
    UseCases<SqlStore>: Serves<R>,
{
    installed(configuration)?;
    ask_of(
        configuration,
        request,
        Platform::open_with_readable_keys(options::beside(configuration, false)),
    )
}

/// The same, but where there is no installation yet, begins one.
fn ask_or_begin<R: Request>(
    configuration: &Configuration,
    request: R,
    begin: bool,
) -> Result<R::Output, Failure>
where
    UseCases<SqlStore>: Serves<R>,
{
    ask_of(
        configuration,
        request,
        Platform::open(options::beside(configuration, begin)),
    )
}

/// That there is an installation.
fn installed(configuration: &Configuration) -> Result<(), Failure> {
    let directory = &configuration.database.directory;
    if configuration.database.url.is_none() && !directory.join("postrider.sqlite3").is_file() {
        let directory = directory.display();
        return Err(format!(
            "there is no installation in {directory}: name its directory with --data-dir or its database with database.url"
        )
        .into());
    }
    Ok(())
}

fn ask_of<R: Request>(
    configuration: &Configuration,
    request: R,
    platform: impl Future<Output = Result<Platform, OpenError>>,
) -> Result<R::Output, Failure>
where
    UseCases<SqlStore>: Serves<R>,
{
    if configuration.database.url.is_none() {
        refuse_dev_directory(&configuration.database.directory)?;
    }
    let _telemetry = quiet_telemetry("warn")?;
    runtime::block_on(async {
        let platform = platform.await?;
        let answer = platform
            .app()
            .send(&Caller::operator("command-line"), request)
            .await;
        platform.close().await?;
        Ok(answer?)
    })?
}

/// Reads the configuration of a command.
fn configured(args: &ConfigArgs) -> Result<Configuration, Failure> {
    Ok(Configuration::load(args, None)?)
}

/// Logging for commands that are run by hand: warnings only, for people.
fn quiet_telemetry(log: &str) -> Result<Telemetry, telemetry::TelemetryError> {
    telemetry_for_people(log, telemetry::Scope::Brief)
}

/// Logging for people, and `scope`.
fn telemetry_for_people(log: &str, scope: telemetry::Scope) -> Result<Telemetry, telemetry::TelemetryError> {
    let config = TelemetryConfig {
        log: log.to_owned(),
        format: crate::configuration::LogFormat::Pretty,
        ..TelemetryConfig::default()
    };
    Telemetry::start(&config, scope)
}
