//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};

/// Multi-tenant webhook delivery that never loses what it accepted.
#[derive(Debug, Parser)]
#[command(name = "postrider", version, propagate_version = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// All commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the API and deliver.
    Serve(ServeArgs),
    /// Bring the database's schema up to date, and stop.
    Migrate(ConfigArgs),
    /// Look at everything that an installation stands on, change nothing, and say what to do.
    Doctor(DoctorArgs),
    /// Try it: embedded database, demo tenant, sample events, and a receiver that verifies them.
    Dev(DevArgs),
    /// Receive webhooks, verify their signatures, and print what arrives.
    Receive(ReceiveArgs),
    /// Manage tenants (beside `POST /v1/operator/tenants`).
    #[command(subcommand)]
    Tenants(TenantsCommand),
    /// Manage people.
    #[command(subcommand)]
    Users(UsersCommand),
    /// Manage the installation's keys.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Manage the operator's tokens.
    #[command(subcommand)]
    Operator(OperatorCommand),
    /// Print the `OpenAPI` document.
    Openapi,
    /// Print who may do what: permissions, roles, and what each operation needs.
    Permissions,
    /// Print every bound: the settings with their defaults and ranges, and what cannot be set.
    Limits,
    /// Look at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Ask a node whether it is ready; fails if it is not. For health checks of containers.
    Health(HealthArgs),
}

/// Where the configuration comes from, weakest first: defaults, file, environment (`POSTRIDER_SECTION__KEY`),
/// flags.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ConfigArgs {
    /// A TOML file.
    #[arg(long, short, env = "POSTRIDER_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A PostgreSQL URL (`database.url`). Better given by the environment: a command line is visible to all.
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// The directory of the embedded SQLite database (`database.directory`).
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// Of `serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Where to listen (`server.listen`).
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
}

/// Of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Where the server is to listen (`server.listen`).
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// A name to look up, as deliveries do.
    #[arg(long, default_value = "example.com", value_name = "NAME")]
    pub(crate) resolve: String,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Of `dev`.
#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Run in a temporary directory on free ports, deliver the sample events, and stop; fails unless every one
    /// arrived and verified.
    #[arg(long)]
    pub(crate) once: bool,
    /// Where the embedded database lives.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "./data/dev",
        conflicts_with = "once"
    )]
    pub(crate) data_dir: PathBuf,
    /// The API's port; if it is taken, the next free one.
    #[arg(long, default_value_t = 8080, conflicts_with = "once")]
    pub(crate) port: u16,
}

/// Of `receive`.
#[derive(Debug, Args)]
pub(crate) struct ReceiveArgs {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:9000", value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,
    /// The endpoint's secret, `whsec_…`; several during a rotation. Without one nothing is verified.
    #[arg(
        long,
        env = "POSTRIDER_RECEIVE_SECRET",
        value_name = "SECRET",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub(crate) secret: Vec<String>,
    /// Answer the first attempts of every message with 503.
    #[arg(long, default_value_t = 0, value_name = "ATTEMPTS")]
    pub(crate) fail_first: u32,
    /// Print one JSON object a webhook instead of a line for people.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Of `tenants`.
#[derive(Debug, Subcommand)]
pub(crate) enum TenantsCommand {
    /// Create a tenant with its first owner.
    Create(CreateTenantArgs),
}

/// Of `tenants create`.
#[derive(Debug, Args)]
pub(crate) struct CreateTenantArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// The tenant's display name.
    #[arg(long)]
    pub(crate) name: String,
    /// The owner's e-mail address.
    #[arg(long)]
    pub(crate) owner_email: String,
    /// The owner's display name; the address, if absent.
    #[arg(long)]
    pub(crate) owner_name: Option<String>,
    /// Make the owner of somebody who is known already; make sure that the address is theirs.
    #[arg(long)]
    pub(crate) known_owner: bool,
    /// Read the owner's password from standard input; otherwise one is made and printed once.
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

/// Of `users`.
#[derive(Debug, Subcommand)]
pub(crate) enum UsersCommand {
    /// Let a person set their password anew: prints a token, good once, for `POST /v1/auth/password-reset`.
    ResetPassword(ResetPasswordArgs),
}

/// Of `users reset-password`.
#[derive(Debug, Args)]
pub(crate) struct ResetPasswordArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// The person's e-mail address.
    pub(crate) email: String,
}

/// Of `keys`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a new key to sign access tokens with; the old ones verify until their tokens have expired.
    Rotate(RotateArgs),
    /// Re-encrypt everything that is stored secretly with `security.master_key`, while nodes serve. All nodes must
    /// seal with that key already, and know the old one (`security.other_master_keys`): as long as one seals with
    /// another, it is refused.
    RotateMaster(ConfigArgs),
}

/// Of `keys rotate`.
#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// An old key may be in wrong hands: remove all old ones at once. All access and portal tokens end with them;
    /// people's clients refresh by themselves.
    #[arg(long)]
    pub(crate) compromised: bool,
    /// Remove those old ones that do not open, and their tokens with them. First see to it that every master key is
    /// configured (`security.master_key`, `security.other_master_keys`): what does not open with these is gone for good.
    #[arg(long)]
    pub(crate) discard_unreadable: bool,
}

/// Of `operator`.
#[derive(Debug, Subcommand)]
pub(crate) enum OperatorCommand {
    /// Make an operator token, and print it with the hash that goes into the configuration.
    NewToken,
}

/// Of `health`.
#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Whom to ask, `http://host:port/path`; without one, the node of this configuration (`server.listen`).
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
}

/// Of `config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Read and check the configuration, and say what is wrong.
    Check(ConfigArgs),
    /// Print the JSON Schema of the configuration file.
    Schema,
}
