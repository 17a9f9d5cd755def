use std::{io::Read as _, process::ExitCode};

use postrider_api::composition::Platform;
use postrider_application::{
    access::Caller, authentication::check_new_password, ports::Randomness, tenants::CreateTenant,
};
use postrider_crypto::OsRandomness;
use postrider_domain::{InvalidValue, Name, users::Email};
use secrecy::SecretString;

use super::{Outcome, quiet_telemetry};
use crate::{args::CreateTenantArgs, configuration::Configuration, dev, options, runtime};

/// Creates a tenant with its first owner, directly in the database.
pub(super) fn create(args: &CreateTenantArgs) -> Outcome {
    let configuration = Configuration::load(&args.config, None)?;
    if configuration.database.url.is_none() {
        dev::refuse_dev_directory(&configuration.database.directory)?;
    }
    let _telemetry = quiet_telemetry("warn")?;
    let owner_name = args.owner_name.as_ref().unwrap_or(&args.owner_email);
    let (password, generated) = password(args.password_stdin)?;
    let request = CreateTenant {
        name: valid("--name", Name::parse(&args.name))?,
        owner_email: valid("--owner-email", Email::parse(&args.owner_email))?,
        owner_name: valid("--owner-name", Name::parse(owner_name))?,
        owner_password: password,
    };
    runtime::block_on(async {
        let platform = Platform::open(options::platform(&configuration)).await?;
        let created = platform.app().send(&Caller::Operator, request).await?;
        platform.close().await?;
        println!("tenant {}", created.tenant);
        println!("owner {} <{}>", created.owner, args.owner_email);
        match generated {
            _ if created.owner_existed => println!("The owner is known already and keeps their password."),
            Some(password) => println!("password {password}   (shown this once)"),
            None => {}
        }
        Ok(ExitCode::SUCCESS)
    })?
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
