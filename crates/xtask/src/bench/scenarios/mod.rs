//! What is played.

mod backlog;
mod limits;
mod memory;
mod otlp;
mod rows;
mod scale;
mod slow;
mod steady;

use anyhow::Context;

use super::measure::{Measured, Order, measure};
use super::programs::Programs;
use super::results::Results;
use super::sink::Sink;
use super::stage::{Cast, Stage};
use super::{Options, table};
use crate::postgres::Postgres;
use crate::product::Database;

pub(super) use steady::GROWTH;

/// How long a server is warmed up, in seconds.
const WARM_UP: f64 = 1.5;
const CONNECTIONS: usize = 64;
/// The open loop that the peer was measured with, in messages a second.
const PEERS_RATE: f64 = 500.0;

/// What can be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Scenario {
    /// No endpoint matches, 64 connections
    Accept,
    /// No endpoint matches, one connection
    AcceptSingle,
    /// No endpoint matches, 64 connections, with dedup keys
    AcceptKeyed,
    /// One endpoint, 64 connections
    One,
    /// One endpoint, one connection
    OneSingle,
    /// One endpoint, 64 connections, with dedup keys
    OneKeyed,
    /// Five endpoints, 64 connections
    Five,
    /// Five endpoints, 64 connections, with dedup keys
    FiveKeyed,
    /// One endpoint, 500 messages a second on a schedule
    Open500,
    /// One endpoint, a tenth of the highest rate
    OpenTenth,
    /// One endpoint, half of the highest rate
    OpenHalf,
    /// Memory when idle, under full load, and afterwards
    Memory,
    /// 500 messages a second beside an endpoint that takes 30 s and for which many messages wait
    Slow,
    /// Each part of the product by itself: no storing, plain transactions, batches only, the sender only
    Limits,
    /// Full load for ten minutes: memory must stay flat (not usual)
    Steady,
    /// A message's cost among 10 million others and 10,000 endpoints, against 10,000 and 10 (not usual)
    Scale,
    /// A million due messages when the server starts (not usual)
    Backlog,
    /// Traces exported, not exported, to an address where nobody is, and to one that never answers (not usual)
    Otlp,
}

impl Scenario {
    /// What is played unless something else is named.
    pub(super) const USUAL: [Self; 14] = [
        Self::Accept,
        Self::AcceptSingle,
        Self::AcceptKeyed,
        Self::One,
        Self::OneSingle,
        Self::OneKeyed,
        Self::Five,
        Self::FiveKeyed,
        Self::Open500,
        Self::OpenTenth,
        Self::OpenHalf,
        Self::Memory,
        Self::Slow,
        Self::Limits,
    ];

    /// The name on the command line and in the table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::AcceptSingle => "accept-single",
            Self::AcceptKeyed => "accept-keyed",
            Self::One => "one",
            Self::OneSingle => "one-single",
            Self::OneKeyed => "one-keyed",
            Self::Five => "five",
            Self::FiveKeyed => "five-keyed",
            Self::Open500 => "open500",
            Self::OpenTenth => "open-tenth",
            Self::OpenHalf => "open-half",
            Self::Memory => "memory",
            Self::Slow => "slow",
            Self::Limits => "limits",
            Self::Steady => "steady",
            Self::Scale => "scale",
            Self::Backlog => "backlog",
            Self::Otlp => "otlp",
        }
    }
}

/// Everything that scenarios share.
pub(super) struct Bench<'o> {
    pub(super) programs: &'o Programs,
    pub(super) options: &'o Options,
    pub(super) sink: Sink,
    pub(super) runs: u64,
}

impl<'o> Bench<'o> {
    /// Starts the receiver.
    pub(super) fn new(programs: &'o Programs, options: &'o Options) -> anyhow::Result<Self> {
        Ok(Self {
            sink: Sink::start(&programs.children)?,
            programs,
            options,
            runs: 0,
        })
    }

    /// Plays a scenario on a database.
    pub(super) fn play(
        &mut self,
        scenario: Scenario,
        postgres: Option<&Postgres>,
        results: &mut Results,
    ) -> anyhow::Result<()> {
        let connections = match scenario {
            Scenario::AcceptSingle | Scenario::OneSingle => 1,
            _ => CONNECTIONS,
        };
        match scenario {
            Scenario::Accept | Scenario::AcceptSingle | Scenario::AcceptKeyed => {
                self.closed(scenario, postgres, 0, connections, results)
            }
            Scenario::One | Scenario::OneSingle | Scenario::OneKeyed => {
                self.closed(scenario, postgres, 1, connections, results)
            }
            Scenario::Five | Scenario::FiveKeyed => self.closed(scenario, postgres, 5, connections, results),
            Scenario::Open500 => self.open(scenario, postgres, PEERS_RATE, results),
            Scenario::OpenTenth | Scenario::OpenHalf => {
                let share = if scenario == Scenario::OpenHalf { 0.5 } else { 0.1 };
                let most = self.highest_rate(postgres, results)?;
                self.open(scenario, postgres, most * share, results)
            }
            Scenario::Memory => self.memory(postgres, results),
            Scenario::Slow => self.slow(postgres, results),
            Scenario::Limits => self.limits(postgres, results),
            Scenario::Steady => self.steady(postgres, results),
            Scenario::Scale => self.scale(postgres, results),
            Scenario::Backlog => self.backlog(postgres, results),
            Scenario::Otlp => self.otlp(postgres, results),
        }
    }

    fn closed(
        &mut self,
        scenario: Scenario,
        postgres: Option<&Postgres>,
        endpoints: usize,
        connections: usize,
        results: &mut Results,
    ) -> anyhow::Result<()> {
        let mut stage = Stage::set(&Cast::product(&self.programs.product, postgres))?;
        let path = self.application(&mut stage, endpoints)?;
        let mut order = Order::closed(path, endpoints, connections, self.options.seconds());
        order.keyed = matches!(
            scenario,
            Scenario::AcceptKeyed | Scenario::OneKeyed | Scenario::FiveKeyed
        );
        let measured = self.measure(&mut stage, &order)?;
        keep(scenario.name(), &stage, measured, results);
        Ok(())
    }

    fn open(
        &mut self,
        scenario: Scenario,
        postgres: Option<&Postgres>,
        rate: f64,
        results: &mut Results,
    ) -> anyhow::Result<()> {
        let mut stage = Stage::set(&Cast::product(&self.programs.product, postgres))?;
        let path = self.application(&mut stage, 1)?;
        let order = Order::open(path, 1, rate, self.options.seconds());
        let measured = self.measure(&mut stage, &order)?;
        keep(scenario.name(), &stage, measured, results);
        Ok(())
    }

    /// How many messages a second were delivered to one endpoint; measured now if it was not.
    fn highest_rate(&mut self, postgres: Option<&Postgres>, results: &mut Results) -> anyhow::Result<f64> {
        let database = postgres.map_or(Database::Sqlite, |_| Database::Postgres);
        if results.find(Scenario::One.name(), database).is_none() {
            self.closed(Scenario::One, postgres, 1, CONNECTIONS, results)?;
        }
        let one = results.find(Scenario::One.name(), database);
        Ok(one.context("the highest rate is not known")?.delivered_per_s)
    }

    /// An application with so many quick endpoints; where it is published to.
    pub(super) fn application(&self, stage: &mut Stage<'_>, endpoints: usize) -> anyhow::Result<String> {
        let urls: Vec<String> = (0..endpoints).map(|n| self.sink.endpoint(n)).collect();
        Ok(Stage::messages(&stage.application(&urls)?))
    }

    /// Warms up, then measures.
    pub(super) fn measure(&mut self, stage: &mut Stage<'_>, order: &Order) -> anyhow::Result<Measured> {
        let warm_up = Order {
            seconds: WARM_UP.min(order.seconds),
            checkpoint: false,
            ..order.clone()
        };
        self.measure_cold(stage, &warm_up)?;
        self.measure_cold(stage, order)
    }

    /// Measures without warming up.
    pub(super) fn measure_cold(&mut self, stage: &mut Stage<'_>, order: &Order) -> anyhow::Result<Measured> {
        self.runs += 1;
        measure(stage, &mut self.sink, &self.programs.children, self.runs, order)
    }
}

/// Keeps a measurement and shows it at once.
pub(super) fn keep(name: &str, stage: &Stage<'_>, measured: Measured, results: &mut Results) {
    println!("{}", table::line(name, stage.database().name(), &measured));
    if measured.unknown > 0 {
        println!(
            "    nobody knows whether {} messages were accepted",
            measured.unknown
        );
    }
    for (what, often) in stage.complaints().others {
        println!("    the server complained {often} times: {what}");
    }
    results.keep(name, stage.database(), measured);
}
