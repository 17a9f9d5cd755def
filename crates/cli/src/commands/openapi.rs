use std::process::ExitCode;

/// Prints the document that `/openapi.json` serves.
pub(super) fn run() -> ExitCode {
    print!("{}", postrider_api::openapi_json());
    ExitCode::SUCCESS
}
