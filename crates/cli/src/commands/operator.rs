use std::process::ExitCode;

use postrider_crypto::{OperatorTokens, OsRandomness};
use secrecy::ExposeSecret as _;

/// Makes an operator token.
pub(super) fn new_token() -> ExitCode {
    let (token, hash) = OperatorTokens::generate(&OsRandomness::new());
    println!("{}", token.expose_secret());
    eprintln!("Keep the token; it is shown this once. Put its hash into the configuration:");
    eprintln!("  [security]\n  operator_token_hashes = [\"{hash}\"]");
    ExitCode::SUCCESS
}
