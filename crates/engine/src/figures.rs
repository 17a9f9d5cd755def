//! What happened at endpoints and in tenants: added up in memory as it is settled and accepted, written now and then.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use postrider_application::ports::{Clock, Concluded, EndpointHour, FigureStore, StoreError, TenantDay};
use postrider_domain::{
    ApplicationId, EndpointId, TenantId, Timestamp,
    figures::{EndpointFigures, UsageFigures, day_of, hour_of},
    messages::Message,
};
use tokio::time;
use tokio_util::sync::CancellationToken;

use crate::{
    EngineHandle,
    chore_notes::ChoreNotes,
    store_calls::{bounded, warn},
};

/// The most endpoints' hours, and the most tenants' days, that are added up between two writes. What happens beyond is
/// not counted.
const MAX_ROWS: usize = 20_000;
/// The most rows of either kind that are written at once: each such piece is written whole, or put back whole.
const AT_ONCE: usize = 500;
/// How many are removed at once.
const FORGET: u32 = 1_000;
/// The names of the chores.
const WRITE: &str = "figures";
const FORGET_OLD: &str = "forget_figures";
/// How often what is old is removed.
const FORGET_INTERVAL: Duration = Duration::from_mins(10);
/// How many batches are removed at a time at most.
const FORGET_BATCHES: u32 = 50;

/// What was added up since the last write.
#[derive(Default)]
struct Tally {
    hours: HashMap<(EndpointId, Timestamp), EndpointHour>,
    days: HashMap<(TenantId, Timestamp), UsageFigures>,
    /// Attempts and messages for which there was no room.
    uncounted: u64,
}

impl Tally {
    fn day(&mut self, tenant: TenantId, at: Timestamp) -> Option<&mut UsageFigures> {
        let key = (tenant, day_of(at));
        if self.days.len() >= MAX_ROWS && !self.days.contains_key(&key) {
            self.uncounted += 1;
            return None;
        }
        Some(self.days.entry(key).or_default())
    }

    fn hour(&mut self, of: &EndpointHour) -> Option<&mut EndpointFigures> {
        let key = (of.endpoint, of.hour);
        if self.hours.len() >= MAX_ROWS && !self.hours.contains_key(&key) {
            self.uncounted += 1;
            return None;
        }
        let known = self.hours.entry(key).or_insert_with(|| EndpointHour {
            figures: EndpointFigures::default(),
            ..of.clone()
        });
        Some(&mut known.figures)
    }
}

/// Adds up, on the hot path: in memory, under a lock that is held for as long as that takes.
#[derive(Default)]
pub(crate) struct Figures(Mutex<Tally>);

impl Figures {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        // An addition is whole before anything that could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Messages became durable.
    pub(crate) fn accepted<'m>(&self, messages: impl Iterator<Item = &'m Message>) {
        let mut tally = self.tally();
        for message in messages {
            if let Some(day) = tally.day(message.tenant, message.created_at) {
                day.note_message(message.payload.bytes().len() as u64);
            }
        }
    }

    /// Outcomes became durable.
    pub(crate) fn settled<'c>(
        &self,
        concluded: impl Iterator<Item = (TenantId, ApplicationId, &'c Concluded)>,
    ) {
        let mut tally = self.tally();
        for (tenant, application, concluded) in concluded {
            let Some(attempt) = &concluded.attempt else {
                continue;
            };
            if let Some(day) = tally.day(tenant, attempt.started_at) {
                day.note_attempt(concluded.delivery.status);
            }
            let of = EndpointHour {
                tenant,
                application,
                endpoint: concluded.delivery.endpoint,
                hour: hour_of(attempt.started_at),
                figures: EndpointFigures::default(),
            };
            if let Some(hour) = tally.hour(&of) {
                hour.note(attempt);
            }
        }
    }

    fn take(&self) -> (Vec<EndpointHour>, Vec<TenantDay>, u64) {
        let tally = std::mem::take(&mut *self.tally());
        let days = tally
            .days
            .into_iter()
            .map(|((tenant, day), figures)| TenantDay { tenant, day, figures });
        (
            tally.hours.into_values().collect(),
            days.collect(),
            tally.uncounted,
        )
    }

    /// How many messages were accepted, and of how many bytes.
    #[cfg(test)]
    pub(crate) fn counted(&self) -> (u64, u64) {
        let tally = self.tally();
        let days = tally.days.values();
        days.fold((0, 0), |(accepted, bytes), day| {
            (accepted + day.accepted, bytes + day.payload_bytes)
        })
    }

    /// What could not be written waits for the next time, with what has come since.
    fn put_back(&self, hours: &[EndpointHour], days: &[TenantDay]) {
        let mut tally = self.tally();
        for of in hours {
            if let Some(hour) = tally.hour(of) {
                hour.merge(&of.figures);
            }
        }
        for of in days {
            if let Some(day) = tally.day(of.tenant, of.day) {
                day.merge(&of.figures);
            }
        }
    }
}

/// How figures are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FigureOptions {
    /// How often. What was added up since is lost if the process is killed. Default 10 s.
    pub interval: Duration,
    /// How long one write may take. Default 10 s.
    pub write_timeout: Duration,
    /// How long what happened at an endpoint in an hour is kept. Default 8 days.
    pub hours_kept: Duration,
    /// How long what happened in a tenant on a day is kept. Default 400 days.
    pub days_kept: Duration,
}

impl Default for FigureOptions {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            hours_kept: Duration::from_hours(8 * 24),
            days_kept: Duration::from_hours(400 * 24),
        }
    }
}

/// Writes the figures of a node's engine and intake, and removes what is old.
pub struct FigureWriter {
    engine: EngineHandle,
    store: Arc<dyn FigureStore>,
    clock: Arc<dyn Clock>,
    options: FigureOptions,
    notes: ChoreNotes,
}

impl FigureWriter {
    /// Writes what `engine` and its intake add up.
    pub fn new(
        engine: &EngineHandle,
        store: Arc<dyn FigureStore>,
        clock: Arc<dyn Clock>,
        options: FigureOptions,
    ) -> Self {
        Self {
            engine: engine.clone(),
            store,
            notes: ChoreNotes::of(&[WRITE, FORGET_OLD], &clock),
            clock,
            options,
        }
    }

    /// Writes until `shutdown`, and then what is left.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut forgotten = self.clock.monotonic();
        while shutdown
            .run_until_cancelled(time::sleep(self.options.interval))
            .await
            .is_some()
        {
            self.write_and_note().await;
            let now = self.clock.monotonic();
            if now.saturating_sub(forgotten) >= FORGET_INTERVAL {
                forgotten = now;
                if let Some(well) = shutdown.run_until_cancelled(self.forget()).await {
                    self.notes.ended(FORGET_OLD, well);
                }
            }
        }
        self.write_and_note().await;
    }

    async fn write_and_note(&self) {
        let written = self.write().await;
        self.notes.ended(WRITE, written);
    }

    /// Whether all was written. When an answer is lost that cannot be told; such figures may be counted twice.
    async fn write(&self) -> bool {
        let (hours, days, uncounted) = self.engine.shared.figures.take();
        if uncounted > 0 {
            tracing::warn!(
                uncounted,
                "figures are incomplete: too many endpoints or tenants in a moment"
            );
        }
        let (mut hours, mut days) = (&hours[..], &days[..]);
        while !(hours.is_empty() && days.is_empty()) {
            let (some_hours, later_hours) = hours.split_at(hours.len().min(AT_ONCE));
            let (some_days, later_days) = days.split_at(days.len().min(AT_ONCE));
            let write = self.store.add_figures(some_hours, some_days);
            if let Err(error) = bounded(self.options.write_timeout, write).await {
                warn("figures were not written", &error);
                self.engine.shared.figures.put_back(hours, days);
                return false;
            }
            (hours, days) = (later_hours, later_days);
        }
        true
    }

    /// Whether what is old was removed, or a part of it.
    async fn forget(&self) -> bool {
        let now = self.clock.now();
        let (hours, days) = (
            now.minus(self.options.hours_kept),
            now.minus(self.options.days_kept),
        );
        for _ in 0..FORGET_BATCHES {
            let forget = self.store.forget_figures(hours, days, FORGET);
            let gone: Result<u32, StoreError> = bounded(self.options.write_timeout, forget).await;
            match gone {
                Ok(gone) if gone >= FORGET => {}
                Ok(_) => return true,
                Err(error) => {
                    warn("old figures were not removed", &error);
                    return false;
                }
            }
        }
        true
    }
}

#[cfg(test)]
#[path = "figures_tests.rs"]
mod tests;
