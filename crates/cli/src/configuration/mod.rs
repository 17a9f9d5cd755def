//! The configuration: one documented struct a section, unknown keys are errors, units in the names' ends.
//!
//! Weakest first: defaults, a TOML file, the environment (`POSTRIDER_SECTION__KEY`), flags.

mod database;
mod delivery;
mod events;
mod faults;
mod intake;
mod limits;
mod management;
mod replays;
mod retention;
pub(crate) mod schema;
mod security;
mod server;
mod telemetry;

pub(crate) use database::DatabaseConfig;
pub(crate) use delivery::DeliveryConfig;
pub(crate) use events::EventsConfig;
pub(crate) use faults::Faults;
pub(crate) use intake::IntakeConfig;
pub(crate) use limits::LimitsConfig;
pub(crate) use management::ManagementConfig;
pub(crate) use replays::ReplaysConfig;
pub(crate) use retention::RetentionConfig;
pub(crate) use security::SecurityConfig;
pub(crate) use server::ServerConfig;
pub(crate) use telemetry::{LogFormat, TelemetryConfig};

use std::{fmt, time::Duration};

use figment::{
    Figment,
    providers::{Env, Format as _, Serialized, Toml},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::args::ConfigArgs;
use faults::fault;

/// Everything that an operator may set. What a section is about stands with its type.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Configuration {
    pub(crate) server: ServerConfig,
    pub(crate) database: DatabaseConfig,
    pub(crate) security: SecurityConfig,
    pub(crate) limits: LimitsConfig,
    pub(crate) intake: IntakeConfig,
    pub(crate) delivery: DeliveryConfig,
    pub(crate) replays: ReplaysConfig,
    pub(crate) retention: RetentionConfig,
    pub(crate) events: EventsConfig,
    pub(crate) telemetry: TelemetryConfig,
    pub(crate) management: ManagementConfig,
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The key, `section.key`.
    pub(crate) key: String,
    /// What is wrong with it; never its value.
    pub(crate) message: String,
}

/// Everything that is wrong, at once.
#[derive(Debug)]
pub(crate) struct ConfigError(pub(crate) Vec<Fault>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration is not valid")?;
        self.0
            .iter()
            .try_for_each(|fault| write!(f, "\n  {}: {}", fault.key, fault.message))
    }
}

impl std::error::Error for ConfigError {}

/// Flags, as the strongest layer.
#[derive(Debug, Default, Serialize)]
struct Flags {
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<ServerFlags>,
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<DatabaseFlags>,
}

#[derive(Debug, Serialize)]
struct ServerFlags {
    listen: std::net::SocketAddr,
}

#[derive(Debug, Serialize)]
struct DatabaseFlags {
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    directory: Option<std::path::PathBuf>,
}

impl Configuration {
    /// Reads all layers and checks every section.
    pub(crate) fn load(args: &ConfigArgs, listen: Option<std::net::SocketAddr>) -> Result<Self, ConfigError> {
        let mut figment = Figment::new();
        if let Some(file) = &args.config {
            if !file.is_file() {
                let message = format!("there is no such file: {}", file.display());
                return Err(ConfigError(vec![Fault {
                    key: "--config".into(),
                    message,
                }]));
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        let database = (args.database_url.is_some() || args.data_dir.is_some()).then(|| DatabaseFlags {
            url: args.database_url.clone(),
            directory: args.data_dir.clone(),
        });
        let flags = Flags {
            server: listen.map(|listen| ServerFlags { listen }),
            database,
        };
        // `POSTRIDER_CONFIG` and `POSTRIDER_RECEIVE_SECRET` belong to the command line.
        let environment = Env::prefixed("POSTRIDER_")
            .ignore(&["config", "receive_secret"])
            .split("__");
        let configuration: Self = figment
            .merge(environment)
            .merge(Serialized::defaults(flags))
            .extract()
            .map_err(|error| ConfigError(error.into_iter().map(|e| fault(&e)).collect()))?;
        configuration.validate()?;
        Ok(configuration)
    }

    /// How long attempts under way have to end in a shutdown.
    pub(crate) fn drain_limit(&self) -> Duration {
        Duration::from_millis(self.delivery.drain_timeout_ms).min(self.server.drain_limit())
    }

    /// What is allowed, and hardly meant.
    pub(crate) fn doubts(&self) -> Vec<Fault> {
        let mut doubts = Faults::default();
        let (drain, timeout) = (self.drain_limit(), self.delivery.attempt_timeout_ms);
        if Duration::from_millis(timeout) > drain {
            doubts.push(
                "delivery.attempt_timeout_ms",
                format!(
                    "a shutdown leaves attempts {} ms (delivery.drain_timeout_ms, or what server.shutdown_timeout_s leaves \
                     of it): those that take longer are cut at each restart, and repeated",
                    drain.as_millis()
                ),
            );
        }
        doubts.wrong
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let faults = self.check();
        if faults.wrong.is_empty() {
            Ok(())
        } else {
            Err(ConfigError(faults.wrong))
        }
    }

    /// Holds every section to its rules.
    fn check(&self) -> Faults {
        let mut faults = Faults::default();
        self.server.validate(&mut faults);
        self.database.validate(&mut faults);
        self.security.validate(&self.database, &mut faults);
        self.limits.validate(&mut faults);
        self.intake.validate(&mut faults);
        self.delivery.validate(&mut faults);
        self.replays.validate(&mut faults);
        let horizon = Duration::from_secs(self.delivery.schedule_horizon_s);
        self.retention.validate(horizon, &mut faults);
        self.events.validate(&mut faults);
        self.telemetry.validate(&mut faults);
        self.management.validate(self.server.listen, &mut faults);
        faults
    }
}

#[cfg(test)]
#[expect(
    clippy::result_large_err,
    reason = "figment's own test helper prescribes the error type"
)]
mod tests {
    use super::*;

    /// `Jail` isolates environment and working directory; its error type is figment's and large.
    fn jailed(test: impl FnOnce(&mut figment::Jail) -> Result<(), figment::Error>) {
        figment::Jail::expect_with(|jail| {
            jail.clear_env();
            test(jail)
        });
    }

    fn load(args: &ConfigArgs) -> Result<Configuration, String> {
        Configuration::load(args, None).map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_valid() {
        jailed(|_| {
            assert!(load(&ConfigArgs::default()).is_ok());
            Ok(())
        });
    }

    #[test]
    fn flags_beat_environment_beats_file() {
        jailed(|jail| {
            jail.create_file(
                "p.toml",
                "[server]\nlisten = \"127.0.0.1:1001\"\nmax_payload_bytes = 2048\n",
            )?;
            jail.set_env("POSTRIDER_SERVER__LISTEN", "127.0.0.1:1002");
            let args = ConfigArgs {
                config: Some("p.toml".into()),
                ..ConfigArgs::default()
            };
            let from_environment = Configuration::load(&args, None).unwrap();
            assert_eq!(from_environment.server.listen.port(), 1002);
            assert_eq!(from_environment.server.max_payload_bytes, 2048);
            let from_flag = Configuration::load(&args, Some("127.0.0.1:1003".parse().unwrap())).unwrap();
            assert_eq!(from_flag.server.listen.port(), 1003);
            Ok(())
        });
    }

    #[test]
    fn unknown_keys_are_errors_wherever_they_come_from() {
        jailed(|jail| {
            jail.create_file("p.toml", "[server]\nlisten_port = 1\n")?;
            let args = ConfigArgs {
                config: Some("p.toml".into()),
                ..ConfigArgs::default()
            };
            assert!(load(&args).unwrap_err().contains("unknown key `listen_port`"));
            jail.set_env("POSTRIDER_SERVR__LISTEN", "127.0.0.1:1");
            assert!(
                load(&ConfigArgs::default())
                    .unwrap_err()
                    .contains("unknown key `servr`")
            );
            Ok(())
        });
    }

    #[test]
    fn what_is_no_value_of_a_key_is_told_with_what_would_be() {
        jailed(|jail| {
            jail.set_env("POSTRIDER_TELEMETRY__FORMAT", "xml");
            let error = load(&ConfigArgs::default()).unwrap_err();
            assert!(
                error.contains("telemetry.format: must be one of pretty, json"),
                "{error}"
            );
            jail.set_env("POSTRIDER_TELEMETRY__FORMAT", "json");
            for (key, value, rule) in [
                ("DATABASE__MAX_CONNECTIONS", "many", "from 0 to 4294967295"),
                ("DATABASE__WAIT_S", "-1", "0 or more"),
                ("DELIVERY__RETRY_JITTER_PERCENT", "300", "from 0 to 255"),
            ] {
                let name = format!("POSTRIDER_{key}");
                jail.set_env(&name, value);
                let error = load(&ConfigArgs::default()).unwrap_err();
                let key = key.to_lowercase().replace("__", ".");
                let told = format!("{key}: must be a whole number");
                assert!(error.contains(&told) && error.contains(rule), "{error}");
                jail.clear_env();
            }
            Ok(())
        });
    }

    #[test]
    fn all_faults_are_told_at_once_and_no_value_with_them() {
        jailed(|jail| {
            jail.set_env("POSTRIDER_SERVER__MAX_PAYLOAD_BYTES", "0");
            jail.set_env("POSTRIDER_DELIVERY__MAX_IN_FLIGHT", "0");
            jail.set_env("POSTRIDER_DATABASE__URL", "mysql://user:s3cret@host/db");
            jail.set_env("POSTRIDER_DATABASE__ADMIN_URL", "mysql://admin:s3cret@host/db");
            let error = load(&ConfigArgs::default()).unwrap_err();
            assert!(error.contains("server.max_payload_bytes"), "{error}");
            assert!(error.contains("delivery.max_in_flight"), "{error}");
            assert!(error.contains("database.admin_url"), "{error}");
            assert!(
                error.contains("database.url") && !error.contains("s3cret"),
                "{error}"
            );
            Ok(())
        });
    }

    #[test]
    fn attempts_that_outlast_a_shutdown_are_doubted() {
        let mut configuration = Configuration::default();
        assert_eq!(configuration.doubts(), []);
        configuration.delivery.attempt_timeout_ms = 20_001;
        assert_eq!(configuration.doubts()[0].key, "delivery.attempt_timeout_ms");
        configuration.delivery.drain_timeout_ms = 30_000;
        assert_eq!(
            configuration.doubts().len(),
            1,
            "server.shutdown_timeout_s leaves no more"
        );
        configuration.server.shutdown_timeout_s = 40;
        assert_eq!(configuration.doubts(), []);
    }

    #[test]
    fn who_wants_no_management_listener_is_told_how() {
        jailed(|jail| {
            jail.set_env("POSTRIDER_MANAGEMENT__LISTEN", "");
            let error = load(&ConfigArgs::default()).unwrap_err();
            assert!(
                error.contains("management.listen") && error.contains("set management.enabled to false"),
                "{error}"
            );
            Ok(())
        });
    }

    #[test]
    fn postgres_needs_a_master_key() {
        jailed(|jail| {
            jail.set_env("POSTRIDER_DATABASE__URL", "postgres://u@h/db");
            assert!(
                load(&ConfigArgs::default())
                    .unwrap_err()
                    .contains("security.master_key")
            );
            jail.set_env("POSTRIDER_SECURITY__MASTER_KEY", "ab".repeat(32));
            assert!(load(&ConfigArgs::default()).is_ok());
            Ok(())
        });
    }
}
