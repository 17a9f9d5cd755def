//! What a message costs when there are many others, and many endpoints, against when there are few.

use anyhow::ensure;
use serde_json::json;

use super::backlog::wall_clock;
use super::rows::Rows;
use super::{Bench, CONNECTIONS, keep};
use crate::bench::measure::{Measured, Order};
use crate::bench::numbers::share;
use crate::bench::results::Results;
use crate::bench::stage::{Cast, Stage};
use crate::bench::table;
use crate::postgres::Postgres;
use crate::product::Database;

const MANY: u64 = 10_000_000;
const MANY_QUICK: u64 = 100_000;
const MANY_ENDPOINTS: u64 = 10_000;
const MANY_ENDPOINTS_QUICK: u64 = 200;
const FEW: u64 = 10_000;
const FEW_ENDPOINTS: u64 = 10;
/// As many as an application may have.
const ENDPOINTS_EACH: u64 = 100;

impl Bench<'_> {
    /// Plays it.
    pub(super) fn scale(&mut self, postgres: Option<&Postgres>, results: &mut Results) -> anyhow::Result<()> {
        let database = postgres.map_or(Database::Sqlite, |_| Database::Postgres);
        let messages = self.rows(MANY, MANY_QUICK);
        let endpoints = if self.options.quick {
            MANY_ENDPOINTS_QUICK
        } else {
            MANY_ENDPOINTS
        };
        let few = self.among("few", FEW, FEW_ENDPOINTS, postgres, results)?;
        let many = self.among("many", messages, endpoints, postgres, results)?;
        for (name, few, many) in [("no keys", &few[0], &many[0]), ("keys", &few[1], &many[1])] {
            // Nothing where the database's part is not known.
            let Some((many, few)) = many.cpu_us.product().zip(few.cpu_us.product()) else {
                continue;
            };
            table::fact(
                &format!("cost a message among many, in that among few, {name}"),
                database,
                share(many, few),
                results,
            );
        }
        Ok(())
    }

    /// Measures among so many others, without keys and with.
    fn among(
        &mut self,
        name: &str,
        messages: u64,
        endpoints: u64,
        postgres: Option<&Postgres>,
        results: &mut Results,
    ) -> anyhow::Result<[Measured; 2]> {
        let mut stage = Stage::set(&Cast::product(&self.programs.product, postgres))?;
        let mut made = 0;
        while made < endpoints {
            let application = stage.application(&[])?;
            for _ in 0..ENDPOINTS_EACH.min(endpoints - made) {
                let url = self.sink.endpoint(9);
                stage.endpoint(
                    &application,
                    &json!({ "url": url, "event_types": ["bench.other"] }),
                )?;
                made += 1;
            }
        }
        let path = self.application(&mut stage, 1)?;
        stage.process().stop();
        let rows = Rows {
            database: stage.database(),
            messages,
            now_ms: wall_clock()?,
        };
        self.fill(&mut stage, &rows.history())?;
        if let Some(there) = stage.number("select count(*) from messages")? {
            ensure!(there >= messages, "{there} of {messages} messages were filled in");
        }
        stage.process().start_again()?;
        let mut order = Order::closed(path, 1, CONNECTIONS, self.options.seconds());
        order.checkpoint = true;
        let plain = self.measure(&mut stage, &order)?;
        keep(&format!("{name}-others"), &stage, plain.clone(), results);
        order.keyed = true;
        let keyed = self.measure(&mut stage, &order)?;
        keep(&format!("{name}-keyed"), &stage, keyed.clone(), results);
        Ok([plain, keyed])
    }
}
