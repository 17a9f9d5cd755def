use std::process::ExitCode;

/// Prints the page `docs/permissions.md`.
pub(super) fn run() -> ExitCode {
    print!("{}", postrider_api::permissions_markdown());
    ExitCode::SUCCESS
}
