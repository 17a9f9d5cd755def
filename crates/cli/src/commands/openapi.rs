use std::process::ExitCode;

use super::Outcome;

/// Prints the document that `/openapi.json` serves.
pub(super) fn run() -> Outcome {
    println!("{}", postrider_api::openapi_json());
    Ok(ExitCode::SUCCESS)
}
