use std::process::ExitCode;

use super::{Outcome, quiet_telemetry};
use crate::{
    args::DevArgs,
    configuration::Configuration,
    dev::{self, Directory, Ports},
    options, runtime,
};

/// Takes the ride.
pub(super) fn run(args: DevArgs) -> Outcome {
    let _telemetry =
        quiet_telemetry(&std::env::var("POSTRIDER_TELEMETRY__LOG").unwrap_or_else(|_| "warn".into()))?;
    let (directory, ports) = if args.once {
        (Directory::temporary()?, Ports::Free)
    } else {
        (Directory::kept(args.data_dir)?, Ports::From(args.port))
    };
    let mut configuration = Configuration::default();
    directory.path().clone_into(&mut configuration.database.directory);
    // The receiver listens on loopback; `serve` would refuse to deliver there.
    configuration.delivery.allowed_networks = vec!["127.0.0.0/8".into()];
    let options = options::platform(&configuration);
    let complete = runtime::block_on(dev::run(directory, ports, options, args.once))??;
    Ok(if complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
