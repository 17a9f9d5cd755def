//! `postrider doctor`: looks at everything that an installation stands on, changes nothing, and says what to do.
//!
//! | module | what is looked at |
//! |---|---|
//! | `report` | how it is told |
//! | `storage` | the database: there, of this version, guarded; its clock; the data directory |
//! | `drain` | whether attempts have the time to end when the server does |
//! | `keys` | whether the keys fit the database |
//! | `network` | names, and where telemetry goes |
//! | `machine` | ports and open files |
//!
//! Findings name keys of the configuration, addresses and causes; never a password, a key or a token.

mod drain;
mod keys;
mod machine;
mod network;
mod report;
mod storage;

use std::process::ExitCode;

use self::report::Report;
use super::{Outcome, telemetry_for_people};
use crate::{args::DoctorArgs, configuration::Configuration, runtime, telemetry::Scope};

/// Looks at everything, prints what it found, and fails if anything has to be done.
pub(super) fn run(args: &DoctorArgs) -> Outcome {
    // What goes wrong is found, not logged.
    let _telemetry = telemetry_for_people("off", Scope::LogsOnly)?;
    let mut report = Report::default();
    match Configuration::load(&args.config, args.listen) {
        Ok(configuration) => {
            report.ok("configuration", "every section is valid");
            runtime::block_on(examine(&configuration, &args.resolve, &mut report))?;
        }
        Err(error) => {
            for fault in error.0 {
                report.failed(
                    "configuration",
                    format!("{}: {}", fault.key, fault.message),
                    "correct it in the file or the environment; what depends on it was not looked at",
                );
            }
        }
    }
    if args.json {
        println!("{}", report.json());
    } else {
        print!("{report}");
    }
    Ok(if report.is_failed() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

async fn examine(configuration: &Configuration, name: &str, report: &mut Report) {
    let database = storage::examine(configuration, report).await;
    drain::examine(configuration, database.as_ref(), report).await;
    if let Some(database) = database {
        keys::examine(configuration, &database, report).await;
        // Its last answer was had; nothing depends on how it says goodbye.
        let _ = database.close().await;
    }
    network::examine(configuration, name, report).await;
    machine::examine(configuration, report).await;
}
