//! What exporting traces costs, and that an exporter whose collector is away or silent costs no more: in one run, as
//! ratios to the same without it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::ensure;

use super::steady::growth;
use super::{Bench, CONNECTIONS, keep};
use crate::bench::measure::{Measured, Order};
use crate::bench::numbers::{float, share};
use crate::bench::processes::megabytes;
use crate::bench::results::Results;
use crate::bench::stage::{Cast, Stage};
use crate::bench::table;
use crate::collector::Collector;
use crate::postgres::{Postgres, free_port};
use crate::product::Database;

/// Where traces go.
enum To {
    Nowhere,
    /// Somebody who takes them.
    Collector(Collector),
    /// Where nobody listens: refused at once.
    Nobody(SocketAddr),
    /// Who lets everybody in and never says a word.
    Silence(TcpListener),
}

impl To {
    fn name(&self) -> &'static str {
        match self {
            Self::Nowhere => "otlp-off",
            Self::Collector(_) => "otlp-on",
            Self::Nobody(_) => "otlp-dead",
            Self::Silence(_) => "otlp-silent",
        }
    }

    fn endpoint(&self) -> anyhow::Result<Option<String>> {
        Ok(match self {
            Self::Nowhere => None,
            Self::Collector(collector) => Some(collector.endpoint()),
            Self::Nobody(address) => Some(format!("http://{address}")),
            Self::Silence(listener) => Some(format!("http://{}", listener.local_addr()?)),
        })
    }
}

impl Bench<'_> {
    /// Plays it: without, with, and with what does not work; and without once more, as machines change their pace.
    pub(super) fn otlp(&mut self, postgres: Option<&Postgres>, results: &mut Results) -> anyhow::Result<()> {
        let database = postgres.map_or(Database::Sqlite, |_| Database::Postgres);
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let first = self.exporting(&To::Nowhere, postgres, results)?;
        let mut others = Vec::new();
        for to in [
            To::Collector(Collector::start_forgetful()?),
            To::Nobody(local(free_port()?)),
            To::Silence(TcpListener::bind(local(0))?),
        ] {
            let measured = self.exporting(&to, postgres, results)?;
            if let To::Collector(collector) = &to {
                ensure!(collector.count() > 0, "nothing was exported");
            }
            others.push((to.name(), measured));
        }
        let last = self.exporting(&To::Nowhere, postgres, results)?;
        let rate = f64::midpoint(first.delivered_per_s, last.delivered_per_s);
        let cpu = first
            .cpu_us
            .product()
            .zip(last.cpu_us.product())
            .map(|(first, last)| f64::midpoint(first, last));
        let off = float(first.peak_bytes.max(last.peak_bytes));
        for (name, measured) in others {
            let fact = |what: &str, value: f64, results: &mut Results| {
                table::fact(&format!("{name}: {what}"), database, value, results);
            };
            fact(
                "delivered/s in that of otlp-off",
                share(measured.delivered_per_s, rate),
                results,
            );
            if let Some((with, without)) = measured.cpu_us.product().zip(cpu) {
                fact("CPU a message in that of otlp-off", share(with, without), results);
            }
            fact("MB at most", megabytes(measured.peak_bytes), results);
            fact(
                "memory at most in that of otlp-off",
                share(float(measured.peak_bytes), off),
                results,
            );
            if let Some(growth) = growth(&measured.resident_by_second) {
                fact("memory in the last fifth in that of the second", growth, results);
            }
        }
        Ok(())
    }

    /// Full load while every trace is exported there.
    fn exporting(
        &mut self,
        to: &To,
        postgres: Option<&Postgres>,
        results: &mut Results,
    ) -> anyhow::Result<Measured> {
        let mut cast = Cast::product(&self.programs.product, postgres);
        if let Some(endpoint) = to.endpoint()? {
            let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            cast.settings.extend([
                setting("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
                setting("OTEL_METRICS_EXPORTER", "none"),
                setting("OTEL_TRACES_SAMPLER", "parentbased_always_on"),
            ]);
        }
        let mut stage = Stage::set(&cast)?;
        let path = self.application(&mut stage, 1)?;
        let mut order = Order::closed(path, 1, CONNECTIONS, self.options.seconds());
        // Whoever exports has work when everything is delivered.
        order.to_rest = false;
        let measured = self.measure(&mut stage, &order)?;
        keep(to.name(), &stage, measured.clone(), results);
        Ok(measured)
    }
}
