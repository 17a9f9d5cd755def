//! Full load for ten minutes: memory must stay flat.

use super::{Bench, CONNECTIONS, keep};
use crate::bench::measure::Order;
use crate::bench::numbers::{float, median, share};
use crate::bench::results::Results;
use crate::bench::stage::{Cast, Stage};
use crate::bench::table;
use crate::postgres::Postgres;

const SECONDS: f64 = 600.0;
const SECONDS_QUICK: f64 = 30.0;

/// The fact that is judged.
pub(in crate::bench) const GROWTH: &str = "memory in the last fifth of a long load, in that of the second";

impl Bench<'_> {
    /// Plays it.
    pub(super) fn steady(
        &mut self,
        postgres: Option<&Postgres>,
        results: &mut Results,
    ) -> anyhow::Result<()> {
        let mut stage = Stage::set(&Cast::product(&self.programs.product, postgres))?;
        let path = self.application(&mut stage, 1)?;
        let seconds = if self.options.quick {
            SECONDS_QUICK
        } else {
            SECONDS
        };
        let measured = self.measure(&mut stage, &Order::closed(path, 1, CONNECTIONS, seconds))?;
        if let Some(growth) = growth(&measured.resident_by_second) {
            table::fact(GROWTH, stage.database(), growth, results);
        }
        keep("steady", &stage, measured, results);
        Ok(())
    }
}

/// The median of the last fifth in that of the second; the first is when caches and pools fill.
pub(super) fn growth(resident: &[u64]) -> Option<f64> {
    let fifth = resident.len() / 5;
    let of = |begins: usize| {
        let part = resident.get(begins..begins + fifth)?;
        Some(median(part.iter().map(|bytes| float(*bytes)).collect()))
    };
    (fifth > 0).then_some(())?;
    Some(share(of(resident.len() - fifth)?, of(fifth)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_told_by_the_last_fifth_and_the_second() {
        let resident = [1, 2, 10, 10, 20, 20, 20, 20, 15, 15];
        assert!((growth(&resident).unwrap() - 1.5).abs() < 1e-9);
        assert_eq!(growth(&[1, 2]), None);
    }
}
