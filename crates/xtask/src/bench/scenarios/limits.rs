//! What the machine would allow: each part of the product by itself.

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::{Bench, CONNECTIONS, keep};
use crate::bench::measure::{Cpu, Measured, Order};
use crate::bench::numbers::{float, share};
use crate::bench::results::Results;
use crate::bench::sink::Begin;
use crate::bench::stage::{Cast, Stage};
use crate::postgres::Postgres;

/// What the example says when it is done.
#[derive(Debug, Deserialize)]
struct Done {
    count: u64,
    seconds: f64,
    cpu: u64,
}

impl Bench<'_> {
    /// Plays all of them.
    pub(super) fn limits(
        &mut self,
        postgres: Option<&Postgres>,
        results: &mut Results,
    ) -> anyhow::Result<()> {
        self.instead("discard", postgres, results)?;
        self.instead("plain", postgres, results)?;
        self.batches(postgres, results)?;
        self.client(postgres, results)
    }

    /// The real server with another way in, at 64 connections and at one.
    fn instead(
        &mut self,
        intake: &str,
        postgres: Option<&Postgres>,
        results: &mut Results,
    ) -> anyhow::Result<()> {
        let words = ["serve", "--intake", intake].map(str::to_owned).to_vec();
        let cast = Cast {
            instead: Some((self.programs.limits()?.to_owned(), words)),
            ..Cast::product(&self.programs.product, postgres)
        };
        let mut stage = Stage::set(&cast)?;
        let path = self.application(&mut stage, 0)?;
        for (connections, name) in [(CONNECTIONS, ""), (1, "-single")] {
            let mut order = Order::closed(path.clone(), 0, connections, self.options.seconds());
            // What it stored is due tomorrow.
            order.to_rest = false;
            let measured = self.measure(&mut stage, &order)?;
            keep(&format!("limit-{intake}{name}"), &stage, measured, results);
        }
        Ok(())
    }

    /// The same rows in batches, by the database alone.
    fn batches(&mut self, postgres: Option<&Postgres>, results: &mut Results) -> anyhow::Result<()> {
        let mut stage = Stage::set(&Cast::product(&self.programs.product, postgres))?;
        stage.process().stop();
        stage.checkpoint()?;
        let (before, cpu) = (stage.written()?, stage.database_cpu());
        let seconds = self.options.seconds().to_string();
        let said = stage.run(self.programs.limits()?, &["batches", "--seconds", &seconds], b"")?;
        let done = Done::read(&said)?;
        let each = |total: u64| share(float(total), float(done.count));
        let after = stage.written()?;
        let measured = Measured {
            cpu_us: Cpu {
                server: each(done.cpu) / 1e3,
                database: stage
                    .database_cpu()
                    .zip(cpu)
                    .map(|(after, before)| each(after.saturating_sub(before)) / 1e3),
                ..Cpu::default()
            },
            wal_bytes: each(after.wal - before.wal),
            file_bytes: each(after.files.saturating_sub(before.files)),
            ..done.rates()
        };
        keep("limit-batches", &stage, measured, results);
        Ok(())
    }

    /// The sender against the same receiver.
    fn client(&mut self, postgres: Option<&Postgres>, results: &mut Results) -> anyhow::Result<()> {
        let mut stage = Stage::set(&Cast::product(&self.programs.product, postgres))?;
        stage.process().stop();
        self.runs += 1;
        self.sink.begin(&Begin {
            run: self.runs,
            endpoints: 1,
            messages: 0,
            slow_ms: 0,
        })?;
        let cpu = self.sink.state()?.cpu;
        let (url, seconds) = (self.sink.endpoint(0), self.options.seconds().to_string());
        let words = ["client", "--url", &url, "--seconds", &seconds];
        let done = Done::read(&stage.run_bare(self.programs.limits()?, &words)?)?;
        let each = |total: u64| share(float(total), float(done.count)) / 1e3;
        let measured = Measured {
            cpu_us: Cpu {
                server: each(done.cpu),
                receiver: each(self.sink.state()?.cpu - cpu),
                ..Cpu::default()
            },
            ..done.rates()
        };
        keep("limit-client", &stage, measured, results);
        Ok(())
    }
}

impl Done {
    /// What it said; an error if it has done nothing.
    fn read(said: &str) -> anyhow::Result<Self> {
        let done: Self = serde_json::from_str(said.trim()).with_context(|| format!("it said: {said}"))?;
        ensure!(
            done.count > 0 && done.seconds > 0.0,
            "nothing was measured: {done:?}"
        );
        Ok(done)
    }

    fn rates(&self) -> Measured {
        let rate = share(float(self.count), self.seconds);
        Measured {
            messages: self.count,
            accepted_per_s: rate,
            delivered_per_s: rate,
            ..Measured::default()
        }
    }
}
