use std::process::ExitCode;

use postrider_application::users::IssuePasswordReset;
use postrider_domain::users::Email;

use super::{Outcome, ask, configured};
use crate::args::ResetPasswordArgs;

/// Issues a password reset.
pub(super) fn reset_password(args: &ResetPasswordArgs) -> Outcome {
    let configuration = configured(&args.config)?;
    let email = Email::parse(&args.email).map_err(|invalid| format!("the e-mail address {invalid}"))?;
    let minutes = configuration.security.password_reset_lifetime_s / 60;
    let issued = ask(&configuration, IssuePasswordReset { email })?;
    println!("{}", issued.token.reveal());
    eprintln!("Hand the token to the person; it is shown this once and good once, for {minutes} minutes:");
    eprintln!(r#"  POST /v1/auth/password-reset {{"token": "...", "password": "..."}}"#);
    eprintln!("It ends all their sessions.");
    Ok(ExitCode::SUCCESS)
}
