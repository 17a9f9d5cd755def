//! The product seen from outside: its real binary, started on a real database, used over REST.

mod api;
mod binary;
mod installation;
mod leases;
mod running;
mod tenant;

use std::process::Command;

pub use api::Api;
pub(crate) use binary::build;
pub use binary::{Binary, Which};
pub use installation::{Database, Installation};
pub use leases::Leases;
pub use running::{Complaints, Running};
pub use tenant::Tenant;
pub(crate) use tenant::publish_body;

/// What a developer has set for a Postrider or a telemetry back end of their own is not meant for those under test.
pub fn without_own_settings(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_own_setting) {
            command.env_remove(name);
        }
    }
    command
}

fn is_own_setting(name: &str) -> bool {
    name.starts_with("POSTRIDER_") || name.starts_with("OTEL_")
}

/// A new signing secret.
///
/// Hex digits are base64 too: 64 of them are the base64 of 48 bytes, within the 24 to 64 of Standard Webhooks.
pub fn signing_secret() -> anyhow::Result<String> {
    Ok(format!("whsec_{}", crate::chance::secret_hex(32)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_settings_are_known_by_their_prefix() {
        assert!(is_own_setting("POSTRIDER_DATABASE__URL") && is_own_setting("OTEL_EXPORTER_OTLP_ENDPOINT"));
        assert!(!is_own_setting("PATH") && !is_own_setting("TEST_DATABASE_URL"));
    }

    #[test]
    fn secrets_are_taken_by_the_official_library() {
        let secret = signing_secret().unwrap();
        assert!(standardwebhooks::Webhook::new(&secret).is_ok());
    }
}
