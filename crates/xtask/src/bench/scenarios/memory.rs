//! How much memory the server holds: idle, under full load, and when it is idle again.

use std::time::{Duration, Instant};

use anyhow::Context;

use super::{Bench, CONNECTIONS, keep};
use crate::bench::measure::Order;
use crate::bench::processes::{self, megabytes};
use crate::bench::results::Results;
use crate::bench::stage::{Cast, Stage};
use crate::bench::table;
use crate::interrupt;
use crate::postgres::Postgres;

/// How long a server is left alone before its idle memory is read.
const IDLE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(100);

impl Bench<'_> {
    /// Plays it.
    pub(super) fn memory(
        &mut self,
        postgres: Option<&Postgres>,
        results: &mut Results,
    ) -> anyhow::Result<()> {
        let mut stage = Stage::set(&Cast::product(&self.programs.product, postgres))?;
        let path = self.application(&mut stage, 1)?;
        // A person has logged in to set things up, which takes memory of its own: begin anew.
        stage.process().stop();
        stage.process().start_again()?;
        let idle = rest(&stage)?;
        let files = processes::mapped_files(stage.server()?).context("the server's memory cannot be read")?;
        let order = Order::closed(path, 1, CONNECTIONS, self.options.seconds());
        let measured = self.measure(&mut stage, &order)?;
        let afterwards = rest(&stage)?;
        let database = stage.database();
        table::fact("MB when idle after the start", database, megabytes(idle), results);
        table::fact(
            "MB of mapped files when idle",
            database,
            megabytes(files),
            results,
        );
        table::fact(
            "MB under full load at most",
            database,
            megabytes(measured.peak_bytes),
            results,
        );
        table::fact(
            "MB when idle after full load",
            database,
            megabytes(afterwards),
            results,
        );
        keep("memory", &stage, measured, results);
        Ok(())
    }
}

/// Leaves the server alone for a while; its memory then, in bytes.
fn rest(stage: &Stage<'_>) -> anyhow::Result<u64> {
    let until = Instant::now() + IDLE;
    while Instant::now() < until {
        interrupt::check()?;
        std::thread::sleep(POLL);
    }
    processes::resident(stage.server()?).context("the server's memory cannot be read")
}
