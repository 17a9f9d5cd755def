//! One installation under test: a binary, a database of its own, a folder, an address.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;

use super::Binary;
use crate::chance::secret_hex;
use crate::postgres::{Postgres, free_port};
use crate::process;
use crate::server::{Launch, Server};

const COMMAND_LIMIT: Duration = Duration::from_mins(2);
/// An ordinary login, as an installation must have: it owns nothing and inherits nothing.
const LOGIN: &str = "postrider";

/// On which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Database {
    /// Embedded SQLite
    Sqlite,
    /// A throw-away PostgreSQL
    Postgres,
}

impl Database {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];

    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// An installation in a temporary folder, removed with it.
#[derive(Debug)]
pub struct Installation {
    binary: Binary,
    folder: TempDir,
    address: SocketAddr,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    database: Option<String>,
}

impl Installation {
    /// A new and empty installation: on a database of its own of this server, else on SQLite.
    pub fn new(binary: &Binary, postgres: Option<&Postgres>) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("postrider-installation-")
            .tempdir()?;
        let mut installation = Self {
            binary: binary.clone(),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)),
            environment: Vec::new(),
            arguments: Vec::new(),
            database: None,
            folder,
        };
        installation.set("POSTRIDER_DELIVERY__ALLOWED_NETWORKS", r#"["127.0.0.0/8"]"#);
        installation.set("POSTRIDER_TELEMETRY__LOG", "warn");
        // Several run on one machine.
        installation.set("POSTRIDER_MANAGEMENT__LISTEN", "127.0.0.1:0");
        if let Some(server) = postgres {
            let name = format!("postrider_{}", secret_hex(4)?);
            let [url, admin_url] = new_database(server, &name)?;
            installation.database = Some(name);
            installation.set("POSTRIDER_DATABASE__URL", url);
            installation.set("POSTRIDER_DATABASE__ADMIN_URL", admin_url);
            installation.set("POSTRIDER_SECURITY__MASTER_KEY", secret_hex(32)?);
        } else {
            let data = installation.folder.path().join("data");
            let data = data.to_str().context("the temporary folder's name is not text")?;
            installation.arguments = vec!["--data-dir".to_owned(), data.to_owned()];
        }
        Ok(installation)
    }

    /// Sets a variable of its configuration.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.environment.push((name.to_owned(), value.into()));
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its folder, which also gets the server's log.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its database's name on the PostgreSQL server.
    pub fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// The program.
    pub fn binary(&self) -> &Binary {
        &self.binary
    }

    /// Makes a tenant by the command line, before the server runs, and answers the owner's address and password.
    pub fn create_tenant(&self) -> anyhow::Result<(String, String)> {
        let email = format!("owner-{}@conformance.example", secret_hex(4)?);
        let password = secret_hex(16)?;
        let mut command = self.command(&["tenants", "create"]);
        command.args([
            "--name",
            "Conformance",
            "--owner-email",
            &email,
            "--password-stdin",
        ]);
        process::capture_with_input(&mut command, password.as_bytes(), COMMAND_LIMIT)
            .context("no tenant could be made")?;
        Ok((email, password))
    }

    /// Starts the server and waits until it is ready.
    pub fn serve(&self) -> anyhow::Result<Server> {
        Server::start(self.launch(self.address))
    }

    /// How a server of it is started that listens there: more than one may share a PostgreSQL.
    pub fn launch(&self, address: SocketAddr) -> Launch {
        let mut launch = Launch::new(self.binary.path(), self.folder.path(), address)
            .arguments(["serve", "--listen"])
            .arguments([address.to_string()])
            .arguments(&self.arguments);
        launch.throw_away = true;
        for (name, value) in &self.environment {
            launch = launch.environment(name, value);
        }
        launch
    }

    /// A command of its binary, in its folder and with its configuration.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = self.binary.command();
        command
            .args(words)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path());
        command
    }
}

/// Makes a database of that name, and answers its URL for an ordinary login and for the superuser, who migrates.
fn new_database(server: &Postgres, name: &str) -> anyhow::Result<[String; 2]> {
    let port = server
        .port()
        .context("a given database is not filled by this tool")?;
    let known = server.query(&format!("select 1 from pg_roles where rolname = '{LOGIN}'"))?;
    if known.is_empty() {
        server.query(&format!("create role {LOGIN} login noinherit"))?;
    }
    server.query(&format!("create database {name}"))?;
    Ok([LOGIN, "postgres"].map(|user| format!("postgres://{user}@127.0.0.1:{port}/{name}")))
}
