//! A quick endpoint beside one that takes 30 s for each answer, and for which many messages wait.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;

use super::{Bench, CONNECTIONS, PEERS_RATE, keep};
use crate::bench::load::{Plan, run_plan};
use crate::bench::measure::Order;
use crate::bench::numbers::float;
use crate::bench::results::Results;
use crate::bench::stage::{Cast, EVENT_TYPE, Stage};
use crate::bench::table;
use crate::interrupt;
use crate::postgres::Postgres;

/// How many messages wait for the slow endpoint.
const WAITING: u64 = 100_000;
const WAITING_QUICK: u64 = 5_000;
/// Longer than the slow endpoint takes.
const ATTEMPT_TIMEOUT_MS: u64 = 45_000;
/// How long filling may take, in seconds.
const FILL_LIMIT: f64 = 300.0;
/// How long the slow endpoint may take to be busy.
const HELD_LIMIT: Duration = Duration::from_secs(25);
const HELD_POLL: Duration = Duration::from_secs(1);

impl Bench<'_> {
    /// Plays it: the quick endpoint alone, then beside the slow one.
    pub(super) fn slow(&mut self, postgres: Option<&Postgres>, results: &mut Results) -> anyhow::Result<()> {
        let mut stage = Stage::set(&Cast::product(&self.programs.product, postgres))?;
        let path = self.application(&mut stage, 1)?;
        let mut order = Order::open(path, 1, PEERS_RATE, self.options.seconds());
        let alone = self.measure(&mut stage, &order)?;
        keep("slow-without", &stage, alone, results);

        let slow = stage.application(&[])?;
        let url = self.sink.slow_endpoint();
        stage.endpoint(&slow, &json!({ "url": url, "timeout_ms": ATTEMPT_TIMEOUT_MS }))?;
        let filled = self.keep_waiting(&mut stage, &slow)?;
        let held = self.await_slow()?;
        ensure!(
            filled > held,
            "the slow endpoint holds {held} of {filled} messages: none waits for it"
        );
        order.to_rest = false;
        let beside = self.measure_cold(&mut stage, &order)?;
        let database = stage.database();
        table::fact(
            "messages waiting for the slow endpoint",
            database,
            float(filled),
            results,
        );
        table::fact(
            "webhooks that the slow endpoint holds",
            database,
            float(held),
            results,
        );
        keep("slow-with", &stage, beside, results);
        // It has hours of work left: nobody waits for that.
        stage.process().kill_hard();
        Ok(())
    }

    /// Waits until the slow endpoint has as many webhooks as it is given; how many.
    fn await_slow(&mut self) -> anyhow::Result<u64> {
        let deadline = Instant::now() + HELD_LIMIT;
        let mut held = 0;
        loop {
            interrupt::check()?;
            std::thread::sleep(HELD_POLL);
            let now = self.sink.state()?.slow;
            if now > 0 && now == held {
                return Ok(held);
            }
            ensure!(
                Instant::now() < deadline,
                "the slow endpoint is sent nothing, or ever more: {now}"
            );
            held = now;
        }
    }

    fn keep_waiting(&mut self, stage: &mut Stage<'_>, application: &str) -> anyhow::Result<u64> {
        self.runs += 1;
        let plan = Plan {
            address: stage.address(),
            path: Stage::messages(application),
            key: stage.key().to_owned(),
            run: self.runs,
            connections: CONNECTIONS,
            seconds: FILL_LIMIT,
            messages: Some(self.rows(WAITING, WAITING_QUICK)),
            rate: None,
            keyed: false,
            event_type: EVENT_TYPE.to_owned(),
        };
        let report = run_plan(
            &self.programs.children,
            &plan,
            &stage.folder().join("filled"),
            |_| Ok(()),
        )?;
        ensure!(
            report.wrong.is_empty(),
            "the server answered: {}",
            report.wrong.join("; ")
        );
        Ok(report.accepted)
    }
}
