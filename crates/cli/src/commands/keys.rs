use std::process::ExitCode;

use postrider_application::{
    keys::{RotateMasterKey, RotateSigningKey},
    ports::OldKeys,
};

use super::{Outcome, ask, ask_with_readable_keys, configured};
use crate::args::{ConfigArgs, RotateArgs};

/// Makes a new key to sign access tokens with.
pub(super) fn rotate(args: &RotateArgs) -> Outcome {
    let configuration = configured(&args.config)?;
    let compromised = args.compromised;
    // Where keys are discarded that nobody need be able to read, they need not open. Otherwise that they do not is told:
    // perhaps it is only that a master key is missing from the configuration.
    let rotated = match (compromised, args.discard_unreadable) {
        (false, false) => ask(&configuration, RotateSigningKey { old: OldKeys::Verify })?,
        (true, _) => {
            let old = OldKeys::DiscardAll;
            ask_with_readable_keys(&configuration, RotateSigningKey { old })?
        }
        (false, true) => {
            let old = OldKeys::DiscardUnreadable;
            ask_with_readable_keys(&configuration, RotateSigningKey { old })?
        }
    };
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
    for kid in rotated.unreadable {
        println!("{kid} was removed: it does not open, and all its tokens are refused.");
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
