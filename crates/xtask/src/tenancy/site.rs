//! An installation with an operator and its own master keys, on which one or more nodes run.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::client::Client;
use crate::chance::secret_hex;
use crate::postgres::{Postgres, free_port};
use crate::process;
use crate::product::{Binary, Complaints, Database, Installation};
use crate::server::{Launch, Server};

const COMMAND_LIMIT: Duration = Duration::from_mins(2);
/// How many different complaints are shown.
const SHOWN: usize = 5;
/// The settings of the master keys.
const CURRENT: &str = "POSTRIDER_SECURITY__MASTER_KEY";
const OTHERS: &str = "POSTRIDER_SECURITY__OTHER_MASTER_KEYS";

/// What a node or a command is told of master keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MasterKeys {
    current: String,
    others: Vec<String>,
}

impl MasterKeys {
    /// This one only.
    pub(crate) fn only(key: &str) -> Self {
        Self {
            current: key.to_owned(),
            others: Vec::new(),
        }
    }

    /// The first seals, both open.
    pub(crate) fn both(current: &str, other: &str) -> Self {
        Self {
            current: current.to_owned(),
            others: vec![other.to_owned()],
        }
    }

    /// Variables, the list as the configuration wants it.
    fn environment(&self) -> [(&'static str, String); 2] {
        [
            (CURRENT, self.current.clone()),
            (OTHERS, json!(self.others).to_string()),
        ]
    }
}

/// The installation. Its nodes are stopped before it is dropped.
#[derive(Debug)]
pub(crate) struct Site {
    installation: Installation,
    /// What the operator sends.
    operator: String,
    /// The master key that it begins with.
    pub(crate) first_key: String,
}

impl Site {
    /// A new and empty one: on a database of its own of this server, else on SQLite. The settings are variables
    /// without their common prefix.
    pub(crate) fn new(
        binary: &Binary,
        postgres: Option<&Postgres>,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let mut installation = Installation::new(binary, postgres)?;
        let operator = format!("pro_{}", secret_hex(32)?);
        let hash = hex::encode(Sha256::digest(&operator));
        installation.set(
            "POSTRIDER_SECURITY__OPERATOR_TOKEN_HASHES",
            json!([hash]).to_string(),
        );
        for (name, value) in settings {
            installation.set(&format!("POSTRIDER_{name}"), *value);
        }
        Ok(Self {
            installation,
            operator,
            first_key: secret_hex(32)?,
        })
    }

    /// Starts a node and waits until it is ready.
    pub(crate) fn start(&self, name: &'static str, keys: &MasterKeys) -> anyhow::Result<Node> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        self.start_at(name, address, keys)
    }

    /// Starts a node there, as one that was stopped is started again with other keys.
    pub(crate) fn start_at(
        &self,
        name: &'static str,
        address: SocketAddr,
        keys: &MasterKeys,
    ) -> anyhow::Result<Node> {
        let launch = self.launch(name, address, keys);
        let earlier = std::fs::metadata(launch.log()).map_or(0, |log| log.len());
        let server = Server::start(launch).with_context(|| format!("node {name} does not start"))?;
        Ok(Node {
            name,
            address,
            server,
            earlier: usize::try_from(earlier)?,
        })
    }

    /// Tries to start a node that must refuse, and answers what it said.
    pub(crate) fn refusal(&self, name: &'static str, keys: &MasterKeys) -> anyhow::Result<String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        match Server::start(self.launch(name, address, keys)) {
            Ok(_) => anyhow::bail!("a node ({name}) started that must refuse to"),
            Err(error) => Ok(format!("{error:#}")),
        }
    }

    fn launch(&self, name: &str, address: SocketAddr, keys: &MasterKeys) -> Launch {
        let mut launch = self.installation.launch(address);
        name.clone_into(&mut launch.name);
        for (name, value) in keys.environment() {
            launch = launch.environment(name, value);
        }
        launch
    }

    /// Runs a command of the binary beside the nodes, with these keys, to its good end; what it said.
    pub(crate) fn run(&self, words: &[&str], keys: &MasterKeys) -> anyhow::Result<String> {
        let mut command = self.installation.command(words);
        command.envs(keys.environment());
        process::capture(&mut command, COMMAND_LIMIT)
            .with_context(|| format!("postrider {} failed", words.join(" ")))
    }

    /// The operator, at that node.
    pub(crate) fn operator(&self, node: &Node) -> Client {
        Client::new(node.address, &self.operator)
    }

    /// What the operator sends.
    pub(crate) fn operator_token(&self) -> &str {
        &self.operator
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        self.installation.folder()
    }

    /// Its database's name on the PostgreSQL server.
    pub(crate) fn database(&self) -> Option<&str> {
        self.installation.database()
    }

    /// Starts the nodes that this database allows for: two, or one where the data directory is one node's alone.
    pub(crate) fn start_all(&self, database: Database) -> anyhow::Result<Vec<Node>> {
        let names: &[&str] = match database {
            Database::Sqlite => &["a"],
            Database::Postgres => &["a", "b"],
        };
        let keys = MasterKeys::only(&self.first_key);
        names.iter().map(|name| self.start(name, &keys)).collect()
    }
}

/// A running node. Dropping it stops it, and prints what it complained of.
#[derive(Debug)]
pub(crate) struct Node {
    /// Its name for people, and for its log.
    pub(crate) name: &'static str,
    /// Where it serves.
    pub(crate) address: SocketAddr,
    server: Server,
    /// What its earlier runs had logged to the same file.
    earlier: usize,
}

impl Node {
    /// The id of its process.
    pub(crate) fn id(&self) -> Option<u32> {
        self.server.id()
    }

    /// `kill -9`.
    pub(crate) fn kill_hard(&mut self) {
        self.server.kill_hard();
    }

    /// Starts it again after `kill_hard`, at the same address, and waits until it is ready.
    pub(crate) fn start_again(&mut self) -> anyhow::Result<()> {
        self.server.start_again()
    }

    /// Stops it in order; an error if it does not end well, or has panicked.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let status = self.server.stop();
        ensure!(
            status.is_some_and(|status| status.success()),
            "node {} ended with {status:?} after SIGTERM: {}",
            self.name,
            process::tail(&self.server.log(), 5)
        );
        let panics = self.complaints().panics;
        ensure!(
            panics.is_empty(),
            "node {} panicked: {}",
            self.name,
            panics.join(" | ")
        );
        Ok(())
    }

    fn complaints(&self) -> Complaints {
        Complaints::of(self.server.log().get(self.earlier..).unwrap_or_default())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let complaints = self.complaints();
        for panic in complaints.panics.iter().take(SHOWN) {
            println!("  node {} panicked: {panic}", self.name);
        }
        for (said, count) in complaints.others.iter().take(SHOWN) {
            println!("  node {} logged {count} times: {said}", self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_as_the_configuration_reads_them() {
        let [current, others] = MasterKeys::both("aa", "bb").environment();
        assert_eq!(current, ("POSTRIDER_SECURITY__MASTER_KEY", "aa".to_owned()));
        assert_eq!(
            others,
            ("POSTRIDER_SECURITY__OTHER_MASTER_KEYS", r#"["bb"]"#.to_owned())
        );
        assert_eq!(MasterKeys::only("aa").environment()[1].1, "[]");
    }
}
