use std::process::ExitCode;

use postrider_application::keys::{RotateMasterKey, RotateSigningKey};

use super::{Outcome, ask, configured};
use crate::args::{ConfigArgs, RotateArgs};

/// Makes a new key to sign access tokens with.
pub(super) fn rotate(args: &RotateArgs) -> Outcome {
    let compromised = args.compromised;
    let rotated = ask(&configured(&args.config)?, RotateSigningKey { compromised })?;
    println!(
        "{} signs from now on; nodes take it up within seconds.",
        rotated.kid
    );
    for kid in rotated.removed {
        let why = if compromised {
            "all its tokens are refused"
        } else {
            "all its tokens have expired"
        };
        println!("{kid} was removed: {why}.");
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
        println!(
            "Take the old key out of security.other_master_keys on every node, once delivery.dedup_window_s has passed:"
        );
        println!("until then commands repeated under an Idempotency-Key from before are known again by it.");
    }
    Ok(ExitCode::SUCCESS)
}
