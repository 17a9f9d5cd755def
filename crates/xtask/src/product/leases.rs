//! What an installation's database says of leases, once nobody serves it.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::Installation;
use crate::postgres::{Connection, Postgres};
use crate::process;

const LIMIT: Duration = Duration::from_secs(30);
const ROWS: &str = "SELECT count(*) FROM outbox_work WHERE owner > 0";
const NODES: &str = "SELECT count(*) FROM nodes WHERE NOT dead";
const WAITING: &str = "SELECT count(*) FROM outbox_work";
/// Python brings SQLite along; its program may be missing.
const SCRIPT: &str = "import sqlite3, sys
connection = sqlite3.connect(f'file:{sys.argv[1]}?mode=ro', uri=True)
for sql in sys.argv[2:]:
    print(connection.execute(sql).fetchone()[0])";

/// How many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leases {
    /// Rows of the queue that a node owns.
    pub rows: u64,
    /// Nodes that have not left.
    pub nodes: u64,
    /// Rows of the queue, whoever has them.
    pub waiting: u64,
}

impl Installation {
    /// Asks the database itself.
    pub fn leases(&self, postgres: Option<&Postgres>) -> anyhow::Result<Leases> {
        let questions = [ROWS, NODES, WAITING];
        let answers: Vec<u64> = if let (Some(database), Some(server)) = (self.database(), postgres) {
            let port = server
                .port()
                .context("a given database is not asked by this tool")?;
            let mut connection = Connection::open(port, database)?;
            let ask = |sql: &&str| {
                let rows = connection.query(sql)?;
                let count = rows.first().and_then(|row| row.first()?.clone());
                Ok(count.context("no count")?.parse()?)
            };
            questions.iter().map(ask).collect::<anyhow::Result<_>>()?
        } else {
            let file = self.folder().join("data").join("postrider.sqlite3");
            let mut command = Command::new("python3");
            command.args(["-c", SCRIPT]).arg(file).args(questions);
            let said = process::capture(&mut command, LIMIT).context("SQLite could not be asked")?;
            said.lines()
                .map(|line| line.trim().parse().context("no count"))
                .collect::<anyhow::Result<_>>()?
        };
        ensure!(
            answers.len() == questions.len(),
            "not all questions were answered"
        );
        Ok(Leases {
            rows: answers[0],
            nodes: answers[1],
            waiting: answers[2],
        })
    }
}
