use std::process::ExitCode;

use postrider_application::keys::{RotateMasterKey, RotateSigningKey};

use super::{Outcome, ask, configured};
use crate::args::ConfigArgs;

/// Makes a new key to sign access tokens with.
pub(super) fn rotate(args: &ConfigArgs) -> Outcome {
    let rotated = ask(&configured(args)?, RotateSigningKey)?;
    println!(
        "{} signs from now on; nodes take it up within seconds.",
        rotated.kid
    );
    for kid in rotated.removed {
        println!("{kid} was removed: all its tokens have expired.");
    }
    Ok(ExitCode::SUCCESS)
}

/// Re-encrypts everything that is stored secretly.
pub(super) fn rotate_master(args: &ConfigArgs) -> Outcome {
    let configuration = configured(args)?;
    let rotated = ask(&configuration, RotateMasterKey)?;
    println!(
        "{} secrets were re-encrypted; all are sealed with security.master_key now.",
        rotated.changed
    );
    if !configuration.security.other_master_keys.is_empty() {
        println!("Take the old key out of security.other_master_keys on every node.");
    }
    Ok(ExitCode::SUCCESS)
}
