//! A PostgreSQL for tests, by whichever way this machine has, gone when dropped.

mod account;
mod cluster;
pub mod docker;
pub mod installed;
pub mod packages;
mod wire;

use std::fmt;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, bail};

pub use account::Account;
pub use cluster::{Cluster, Programs};
pub use docker::Container;
pub use wire::{Connection, Row};

/// The variable that names a database to use as is, and by which the tests are told theirs.
pub const URL_VARIABLE: &str = "TEST_DATABASE_URL";

const ADVICE: &str = "no PostgreSQL to test on: install one (Debian, Ubuntu: `apt-get install postgresql`; macOS: \
    `brew install postgresql`), start Docker, or set TEST_DATABASE_URL=postgres://user:password@host:port/database";

/// How to come by a PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Way {
    /// `TEST_DATABASE_URL`, used as is
    Url,
    /// Installed programs of any version, as a throw-away cluster
    Installed,
    /// Debian or Ubuntu packages, unpacked into a cache without installing
    Packages,
    /// A container of a working Docker engine
    Docker,
}

impl Way {
    /// All ways in the order in which they are tried.
    pub const ALL: [Self; 4] = [Self::Url, Self::Installed, Self::Packages, Self::Docker];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Installed => "installed",
            Self::Packages => "packages",
            Self::Docker => "docker",
        }
    }
}

/// How a throw-away server is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Whether a commit is on disk when it is answered. Tests go without; faults and benchmarks need it.
    pub durable: bool,
    /// The server's connection limit.
    pub max_connections: u16,
}

impl Settings {
    /// Quick and forgetful: for tests.
    pub const TEST: Self = Self {
        durable: false,
        max_connections: 200,
    };
    /// As in production: for faults, conformance and benchmarks.
    pub const DURABLE: Self = Self {
        durable: true,
        max_connections: 200,
    };

    fn arguments(self, port: u16) -> Vec<String> {
        let mut settings = vec![
            format!("port={port}"),
            format!("max_connections={}", self.max_connections),
            // The compiler's library is a large package of its own that short tests do not need.
            "jit=off".to_owned(),
        ];
        if !self.durable {
            settings
                .extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"].map(str::to_owned));
        }
        settings
            .into_iter()
            .flat_map(|setting| ["-c".to_owned(), setting])
            .collect()
    }
}

/// A PostgreSQL to work on. Dropping it stops and removes what was started.
#[derive(Debug)]
pub enum Postgres {
    /// Somebody else's, named by URL.
    Given(String),
    /// Our throw-away cluster, and the way that gave its programs.
    Cluster(Way, Box<Cluster>),
    /// Our throw-away container.
    Container(Container),
}

impl Postgres {
    /// Starts a server by this way, or by the first that works here.
    pub fn start(way: Option<Way>, settings: Settings) -> anyhow::Result<Self> {
        if let Some(way) = way {
            return Self::by(way, settings)
                .with_context(|| format!("--postgres {} does not work here", way.name()));
        }
        if std::env::var_os(URL_VARIABLE).is_some() {
            return Self::by(Way::Url, settings);
        }
        Self::by_the_first_that_works(settings)
    }

    /// Starts a server that is ours to kill, by this way, or by the first that works here; never a given one.
    pub fn start_throw_away(way: Option<Way>, settings: Settings) -> anyhow::Result<Self> {
        match way {
            Some(Way::Url) => {
                bail!("a given database is not filled and killed by this tool: use another way")
            }
            Some(way) => Self::start(Some(way), settings),
            None => Self::by_the_first_that_works(settings),
        }
    }

    fn by_the_first_that_works(settings: Settings) -> anyhow::Result<Self> {
        let mut tried = Vec::new();
        for way in [Way::Installed, Way::Packages, Way::Docker] {
            match Self::by(way, settings) {
                Ok(found) => return Ok(found),
                Err(error) => tried.push(format!("  {}: {error:#}", way.name())),
            }
            crate::interrupt::check()?;
        }
        bail!("{ADVICE}\n{}", tried.join("\n"))
    }

    fn by(way: Way, settings: Settings) -> anyhow::Result<Self> {
        Ok(match way {
            Way::Url => Self::Given(std::env::var(URL_VARIABLE).context(URL_VARIABLE)?),
            Way::Installed => Self::Cluster(way, Box::new(Cluster::create(installed::find()?, settings)?)),
            Way::Packages => Self::Cluster(
                way,
                Box::new(Cluster::create(packages::find_or_unpack()?, settings)?),
            ),
            Way::Docker => Self::Container(Container::create(settings)?),
        })
    }

    /// The URL for the superuser.
    pub fn url(&self) -> String {
        match (self, self.port()) {
            (Self::Given(url), _) => url.clone(),
            (_, port) => format!(
                "postgres://postgres@127.0.0.1:{}/postgres",
                port.unwrap_or_default()
            ),
        }
    }

    /// The loopback port of a server that is ours.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Given(_) => None,
            Self::Cluster(_, cluster) => Some(cluster.port()),
            Self::Container(container) => Some(container.port()),
        }
    }

    /// Asks a server that is ours, as the superuser.
    pub fn query(&self, sql: &str) -> anyhow::Result<Vec<Row>> {
        let port = self
            .port()
            .context("a given database is not asked by this tool")?;
        Connection::open(port, "postgres")?.query(sql)
    }

    /// What a cluster of ours has logged so far; `None` of any other server.
    pub fn log(&self) -> Option<String> {
        match self {
            Self::Cluster(_, cluster) => Some(cluster.log()),
            Self::Given(_) | Self::Container(_) => None,
        }
    }

    /// Stops a server that is ours, in order.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Given(_) => bail!("a given database is not stopped by this tool"),
            Self::Cluster(_, cluster) => cluster.stop(),
            Self::Container(container) => container.stop()?,
        }
        Ok(())
    }

    /// Kills a server that is ours with SIGKILL.
    pub fn kill_hard(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Given(_) => bail!("a given database is not killed by this tool"),
            Self::Cluster(_, cluster) => cluster.kill_hard(),
            Self::Container(container) => container.kill_hard()?,
        }
        Ok(())
    }

    /// Starts a stopped or killed server again, under the same URL.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Given(_) => bail!("a given database is not started by this tool"),
            Self::Cluster(_, cluster) => cluster.start(),
            Self::Container(container) => container.start(),
        }
    }
}

impl fmt::Display for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Without the URL: it may hold a password.
            Self::Given(_) => write!(f, "PostgreSQL: as given by {URL_VARIABLE}"),
            Self::Cluster(Way::Packages, cluster) => {
                write!(
                    f,
                    "PostgreSQL: {} from unpacked packages, throw-away",
                    cluster.version()
                )?;
                write!(f, " cluster on 127.0.0.1:{}", cluster.port())
            }
            Self::Cluster(_, cluster) => {
                write!(
                    f,
                    "PostgreSQL: {} from installed programs, throw-away",
                    cluster.version()
                )?;
                write!(f, " cluster on 127.0.0.1:{}", cluster.port())
            }
            Self::Container(container) => {
                write!(f, "PostgreSQL: {} in a Docker container", container.version())?;
                write!(f, " on 127.0.0.1:{}", container.port())
            }
        }
    }
}

/// A loopback port that was free a moment ago.
pub fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free loopback port")?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tests_go_without_durability() {
        assert!(Settings::TEST.arguments(1).contains(&"fsync=off".to_owned()));
        assert!(
            !Settings::DURABLE
                .arguments(1)
                .iter()
                .any(|argument| argument.contains("fsync"))
        );
    }

    #[test]
    fn a_given_server_is_not_thrown_away() {
        assert!(Postgres::start_throw_away(Some(Way::Url), Settings::DURABLE).is_err());
    }

    #[test]
    fn a_given_url_is_used_as_is_and_not_shown() {
        let given = Postgres::Given("postgres://me:secret@db/x".to_owned());
        assert_eq!(given.url(), "postgres://me:secret@db/x");
        assert!(!given.to_string().contains("secret"));
    }
}
