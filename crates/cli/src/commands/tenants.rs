use std::{io::Read as _, process::ExitCode};

use postrider_application::{authentication::check_new_password, ports::Randomness, tenants::CreateTenant};
use postrider_crypto::OsRandomness;
use postrider_domain::{InvalidValue, Name, users::Email};
use secrecy::SecretString;

use super::{Outcome, ask_or_begin, configured};
use crate::args::CreateTenantArgs;

/// Creates a tenant with its first owner, directly in the database.
pub(super) fn create(args: &CreateTenantArgs) -> Outcome {
    let configuration = configured(&args.config)?;
    let owner_name = args.owner_name.as_ref().unwrap_or(&args.owner_email);
    let (password, generated) = password(args.password_stdin)?;
    let request = CreateTenant {
        name: valid("--name", Name::parse(&args.name))?,
        owner_email: valid("--owner-email", Email::parse(&args.owner_email))?,
        owner_name: valid("--owner-name", Name::parse(owner_name))?,
        owner_password: password,
        owner_may_be_known: args.known_owner,
    };
    let created = ask_or_begin(&configuration, request, true)?;
    println!("tenant {}", created.tenant);
    println!("owner {} <{}>", created.owner, args.owner_email);
    match generated {
        _ if created.owner_existed => println!("The owner is known already and keeps their password."),
        Some(password) => println!("password {password}   (shown this once)"),
        None => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// The password, and its text if it was made here and must be shown.
fn password(
    from_stdin: bool,
) -> Result<(SecretString, Option<String>), Box<dyn std::error::Error + Send + Sync>> {
    if !from_stdin {
        let randomness: &dyn Randomness = &OsRandomness::new();
        let text = hex::encode(randomness.bytes::<16>());
        return Ok((text.clone().into(), Some(text)));
    }
    let mut text = String::new();
    std::io::stdin().take(4_096).read_to_string(&mut text)?;
    let password = SecretString::from(text.trim_end_matches(['\r', '\n']));
    valid("--password-stdin", check_new_password(&password))?;
    Ok((password, None))
}

fn valid<T>(flag: &str, value: Result<T, InvalidValue>) -> Result<T, String> {
    value.map_err(|invalid| format!("{flag} {invalid}"))
}
