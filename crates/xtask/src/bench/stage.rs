//! An installation to be measured: the real server on an empty database of its own, with a tenant and applications.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::processes;
use crate::postgres::{Connection, Postgres};
use crate::process;
use crate::product::{Api, Binary, Complaints, Database, Installation};
use crate::server::{Launch, Server};

/// The event type of all messages.
pub(super) const EVENT_TYPE: &str = "bench.sent";

/// How many requests a second a tenant and a credential may make: more than any server here answers, as it is the server
/// that is measured. By default one credential has a limit that the servers of `limits` reach.
const REQUESTS_PER_S: [(&str, &str); 2] = [
    ("POSTRIDER_LIMITS__TENANT_REQUESTS_PER_SECOND", "1000000"),
    ("POSTRIDER_LIMITS__CREDENTIAL_REQUESTS_PER_SECOND", "1000000"),
];

/// How long another program may take; filling millions of rows in takes minutes.
const RUN_LIMIT: Duration = Duration::from_mins(40);

/// A running installation. Dropping it ends the server and removes the database.
pub(super) struct Stage<'a> {
    // Dropped in this order: the server, then the folder, then the database that is on another server.
    server: Server,
    owner: Api,
    key: String,
    installation: Installation,
    base: Option<Base<'a>>,
}

/// The database's own server, and which database of it.
struct Base<'a> {
    postgres: &'a Postgres,
    name: String,
    connection: Connection,
    postmaster: Option<u32>,
}

/// What the database has done so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Written {
    /// Bytes of the write-ahead log.
    pub(super) wal: u64,
    /// Pages written there whole, after a checkpoint.
    pub(super) whole_pages: u64,
    /// Bytes of the database's files, where the server embeds it.
    pub(super) files: u64,
}

/// How the server of a stage is started.
pub(super) struct Cast<'a> {
    /// The product, which makes the tenant.
    pub(super) binary: &'a Binary,
    /// What serves instead of it: a program and what stands before the product's own arguments.
    pub(super) instead: Option<(PathBuf, Vec<String>)>,
    /// On this server, else embedded.
    pub(super) postgres: Option<&'a Postgres>,
    /// Settings beside the product's defaults and the limits of requests.
    pub(super) settings: Vec<(String, String)>,
}

impl<'a> Cast<'a> {
    /// The product with its defaults, but for the limits of requests.
    pub(super) fn product(binary: &'a Binary, postgres: Option<&'a Postgres>) -> Self {
        Self {
            binary,
            instead: None,
            postgres,
            settings: Vec::new(),
        }
    }
}

impl<'a> Stage<'a> {
    /// Sets up a tenant, and serves.
    pub(super) fn set(cast: &Cast<'a>) -> anyhow::Result<Self> {
        let mut installation = Installation::new(cast.binary, cast.postgres)?;
        for (name, value) in REQUESTS_PER_S {
            installation.set(name, value);
        }
        for (name, value) in &cast.settings {
            installation.set(name, value);
        }
        let (email, password) = installation.create_tenant()?;
        let server = Server::start(launch(&installation, cast))?;
        let address = installation.address();
        let mut nobody = Api::new(address, "");
        let login = nobody.post("/v1/auth/login", &json!({ "email": email, "password": password }))?;
        let mut owner = Api::new(address, text(&login, "access_token")?);
        let key = owner.post(
            "/v1/api-keys",
            &json!({ "name": "bench", "grants": [{ "role": "developer" }] }),
        )?;
        let base = match (cast.postgres, installation.database()) {
            (Some(postgres), Some(name)) => Some(Base::find(postgres, name)?),
            _ => None,
        };
        Ok(Self {
            owner: Api::new(address, text(&key, "token")?),
            key: text(&key, "token")?.to_owned(),
            server,
            installation,
            base,
        })
    }

    /// Which database it is on.
    pub(super) fn database(&self) -> Database {
        if self.base.is_some() {
            Database::Postgres
        } else {
            Database::Sqlite
        }
    }

    /// Where it serves.
    pub(super) fn address(&self) -> SocketAddr {
        self.installation.address()
    }

    /// The tenant's API key.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Its database's name on the database's server.
    pub(super) fn database_name(&self) -> Option<&str> {
        self.base.as_ref().map(|base| base.name.as_str())
    }

    /// Runs another program with the installation's configuration, to its end; what it said. Nobody may serve.
    pub(super) fn run(&self, program: &Path, words: &[&str], input: &[u8]) -> anyhow::Result<String> {
        let launch = self.installation.launch(self.address());
        let mut command = Command::new(program);
        command
            .args(words)
            // Without `serve --listen ADDRESS`.
            .args(launch.arguments.iter().skip(3))
            .envs(launch.environment.iter().cloned())
            .current_dir(&launch.folder);
        process::capture_with_input(&mut command, input, RUN_LIMIT)
    }

    /// The same without any configuration.
    pub(super) fn run_bare(&self, program: &Path, words: &[&str]) -> anyhow::Result<String> {
        process::capture(
            Command::new(program).args(words).current_dir(self.folder()),
            RUN_LIMIT,
        )
    }

    /// A folder for what belongs to the measurement; gone with the stage.
    pub(super) fn folder(&self) -> &Path {
        self.installation.folder()
    }

    /// The server's process.
    pub(super) fn server(&self) -> anyhow::Result<u32> {
        self.server.id().context("the server is gone")
    }

    /// The server's process, to be stopped and started.
    pub(super) fn process(&mut self) -> &mut Server {
        &mut self.server
    }

    /// What the server complained of.
    pub(super) fn complaints(&self) -> Complaints {
        Complaints::of(&self.server.log())
    }

    /// Makes an application with these endpoints, and answers its id.
    pub(super) fn application(&mut self, endpoints: &[String]) -> anyhow::Result<String> {
        let made = self.owner_post("/v1/applications", &json!({ "name": "Bench" }))?;
        let application = text(&made, "id")?.to_owned();
        for url in endpoints {
            self.endpoint(&application, &json!({ "url": url }))?;
        }
        Ok(application)
    }

    /// Adds an endpoint to the application, and answers its id.
    pub(super) fn endpoint(&mut self, application: &str, body: &Value) -> anyhow::Result<String> {
        let made = self.owner_post(&format!("/v1/applications/{application}/endpoints"), body)?;
        Ok(text(&made, "id")?.to_owned())
    }

    /// Where messages for the application are published.
    pub(super) fn messages(application: &str) -> String {
        format!("/v1/applications/{application}/messages")
    }

    fn owner_post(&mut self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.owner.post(path, body)
    }

    /// CPU time of the server so far, in nanoseconds.
    pub(super) fn server_cpu(&self) -> anyhow::Result<u64> {
        processes::cpu(self.server()?).context("the server's CPU time cannot be read")
    }

    /// The most resident memory of the server, in bytes.
    pub(super) fn server_peak(&self) -> anyhow::Result<u64> {
        processes::peak(self.server()?).context("the server's memory cannot be read")
    }

    /// CPU time of the database's server so far, in nanoseconds: 0 where it is embedded, nothing where it cannot be seen
    /// (in a container).
    pub(super) fn database_cpu(&self) -> Option<u64> {
        match &self.base {
            None => Some(0),
            Some(base) => processes::cpu_of_family(base.postmaster?),
        }
    }

    /// Asks the database, where it is a server; nothing where it is embedded.
    pub(super) fn query(&mut self, sql: &str) -> anyhow::Result<Option<Vec<crate::postgres::Row>>> {
        let Some(base) = &mut self.base else {
            return Ok(None);
        };
        base.connection.query(sql).map(Some)
    }

    /// Asks the database for one number.
    pub(super) fn number(&mut self, sql: &str) -> anyhow::Result<Option<u64>> {
        let rows = self.query(sql)?;
        Ok(rows.and_then(|rows| rows.first()?.first()?.as_ref()?.parse().ok()))
    }

    /// Makes the database write everything that is only in its log.
    pub(super) fn checkpoint(&mut self) -> anyhow::Result<()> {
        self.query("checkpoint").map(drop)
    }

    /// What the database has written so far.
    pub(super) fn written(&mut self) -> anyhow::Result<Written> {
        const SQL: &str = "select pg_current_wal_lsn() - '0/0'::pg_lsn, wal_fpi from pg_stat_wal";
        let Some(rows) = self.query(SQL)? else {
            let files = bytes_in(&self.installation.folder().join("data"));
            return Ok(Written {
                files,
                ..Written::default()
            });
        };
        let row = rows.first().context("no statistics of the log")?;
        let number = |column: usize| row.get(column)?.as_ref()?.parse().ok();
        Ok(Written {
            wal: number(0).context("no position of the log")?,
            whole_pages: number(1).context("no count of whole pages")?,
            files: 0,
        })
    }

    /// How many rows are in the queue; unknown where the database is embedded.
    pub(super) fn queued(&mut self) -> anyhow::Result<Option<u64>> {
        self.number("select count(*) from outbox_work")
    }

    /// An error if the server has ended or panicked.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        let ended = self.server.ended()?;
        ensure!(
            ended.is_none(),
            "the server has ended: {}",
            process::tail(&self.server.log(), 5)
        );
        let panics = self.complaints().panics;
        ensure!(panics.is_empty(), "the server panicked: {}", panics.join("; "));
        Ok(())
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        self.server.stop();
    }
}

impl<'a> Base<'a> {
    fn find(postgres: &'a Postgres, name: &str) -> anyhow::Result<Self> {
        let port = postgres
            .port()
            .context("a given database is not filled by this tool")?;
        let mut connection = Connection::open(port, name)?;
        let rows = connection.query("select pg_backend_pid()")?;
        let backend = rows.first().and_then(|row| row.first()?.as_ref()?.parse().ok());
        // A server in a container has numbers of its own.
        let postmaster = backend
            .filter(|backend| processes::name(*backend).is_some_and(|name| name.starts_with("postgres")))
            .and_then(processes::parent);
        Ok(Self {
            postgres,
            name: name.to_owned(),
            connection,
            postmaster,
        })
    }
}

impl Drop for Base<'_> {
    fn drop(&mut self) {
        // The disk is not endless; should it fail, the whole cluster goes in the end.
        let _ = self
            .postgres
            .query(&format!("drop database {} with (force)", self.name));
    }
}

/// How the stage's server is started: the product, or what serves instead with the same arguments.
fn launch(installation: &Installation, cast: &Cast<'_>) -> Launch {
    let mut launch = installation.launch(installation.address());
    if let Some((program, words)) = &cast.instead {
        launch.program.clone_from(program);
        let own = std::mem::take(&mut launch.arguments);
        launch.arguments = words
            .iter()
            .map(Into::into)
            .chain(own.into_iter().skip(1))
            .collect();
    }
    launch
}

fn bytes_in(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .filter_map(|entry| entry.metadata().ok())
        .filter(std::fs::Metadata::is_file)
        .map(|file| file.len())
        .sum()
}

fn text<'v>(answer: &'v Value, field: &str) -> anyhow::Result<&'v str> {
    answer[field]
        .as_str()
        .with_context(|| format!("the answer has no `{field}`"))
}
