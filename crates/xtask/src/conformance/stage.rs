//! The binary and the databases that the parts play on.

use anyhow::{Context, ensure};

use super::Options;
use super::ground::Ground;
use crate::chance;
use crate::postgres::{Postgres, Settings};
use crate::product::{Binary, Database, Installation, Running};

/// How many different complaints of a server are shown.
const SHOWN: usize = 5;

/// The databases to run on, with a server for PostgreSQL.
pub(super) struct Databases {
    chosen: Vec<Database>,
    postgres: Option<Postgres>,
}

impl Databases {
    /// Starts what was chosen.
    pub(super) fn start(options: &Options) -> anyhow::Result<Self> {
        let chosen = super::chosen(&options.database, &Database::ALL);
        let postgres = if chosen.contains(&Database::Postgres) {
            Some(Postgres::start_throw_away(options.postgres, Settings::DURABLE)?)
        } else {
            None
        };
        if let Some(server) = &postgres {
            println!("{server}");
        }
        Ok(Self { chosen, postgres })
    }

    fn server(&self, database: Database) -> Option<&Postgres> {
        self.postgres.as_ref().filter(|_| database == Database::Postgres)
    }

    /// Begins a new installation on each and hands it over, one after the other; looks how its server ends.
    pub(super) fn each(
        &self,
        binary: &Binary,
        job: impl FnMut(Database, &Running) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.each_with(binary, |_, _| {}, job)
    }

    /// The same, after what it is configured by was set.
    pub(super) fn each_with(
        &self,
        binary: &Binary,
        prepare: impl Fn(Database, &mut Installation),
        mut job: impl FnMut(Database, &Running) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for &database in &self.chosen {
            let mut installation = Installation::new(binary, self.server(database))?;
            prepare(database, &mut installation);
            let mut running = Running::begin(installation)?;
            let outcome = job(database, &running);
            let ended = running.server.stop();
            let complaints = running.complaints();
            for (said, count) in complaints.others.iter().take(SHOWN) {
                println!("  logged {count} times: {said}");
            }
            outcome.with_context(|| format!("on {}", database.name()))?;
            ensure!(
                complaints.panics.is_empty(),
                "the server panicked: {}",
                complaints.panics.join(" | ")
            );
            ensure!(
                ended.is_some_and(|status| status.success()),
                "the server ended with {ended:?} after SIGTERM"
            );
        }
        Ok(())
    }
}

/// Everything that a part needs.
pub(super) struct Stage<'a> {
    /// What is put to the test.
    pub(super) binary: &'a Binary,
    /// On what.
    pub(super) databases: &'a Databases,
    /// As they were given.
    pub(super) options: &'a Options,
}

impl Stage<'_> {
    /// The given seed, or a new one.
    pub(super) fn seed(&self) -> anyhow::Result<u64> {
        self.options.seed.map_or_else(chance::seed, Ok)
    }

    /// The chosen databases, with the server of those that have one.
    pub(super) fn servers(&self) -> impl Iterator<Item = (Database, Option<&Postgres>)> {
        let chosen = self.databases.chosen.iter();
        chosen.map(|database| (*database, self.databases.server(*database)))
    }

    /// Plays on one node of a new installation on each database.
    pub(super) fn each(
        &self,
        settings: &[(&str, &str)],
        mut job: impl FnMut(Database, &mut Ground) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for &database in &self.databases.chosen {
            let server = self.databases.server(database);
            let mut ground = Ground::lay(self.binary, server, &["a"], settings)?;
            let outcome = job(database, &mut ground);
            outcome
                .and_then(|()| ground.leave())
                .with_context(|| format!("on {}", database.name()))?;
        }
        Ok(())
    }

    /// The chosen databases.
    pub(super) fn databases(&self) -> Vec<Database> {
        self.databases.chosen.clone()
    }

    /// Plays on as many nodes of a new installation as the database allows for, with its server if it is one.
    pub(super) fn all_nodes(
        &self,
        database: Database,
        settings: &[(&str, &str)],
        job: impl FnOnce(Option<&Postgres>, &mut Ground) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let server = self.databases.server(database);
        let names: &[&'static str] = if server.is_some() { &["a", "b"] } else { &["a"] };
        let mut ground = Ground::lay(self.binary, server, names, settings)?;
        job(server, &mut ground)
            .and_then(|()| ground.leave())
            .with_context(|| format!("on {}", database.name()))
    }

    /// Plays on one node of a new installation on PostgreSQL, and its server.
    pub(super) fn on_postgres(
        &self,
        settings: &[(&str, &str)],
        job: impl FnOnce(&Postgres, &Ground) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let server = self
            .databases
            .server(Database::Postgres)
            .context("this part needs PostgreSQL: choose that database too")?;
        let ground = Ground::lay(self.binary, Some(server), &["a"], settings)?;
        job(server, &ground)?;
        ground.leave()
    }

    /// Plays on two nodes of a new installation on PostgreSQL, which they need, and its server.
    pub(super) fn two_nodes(
        &self,
        settings: &[(&str, &str)],
        job: impl FnOnce(&Postgres, &mut Ground) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let server = self
            .databases
            .server(Database::Postgres)
            .context("two nodes need PostgreSQL: choose that database too")?;
        let mut ground = Ground::lay(self.binary, Some(server), &["a", "b"], settings)?;
        job(server, &mut ground)?;
        ground.leave()
    }
}
