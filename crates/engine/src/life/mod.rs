//! One life: from joining to losing the lease or leaving. A single task owns all state and starts everything
//! else; calls of the store and attempts are tasks of its own, which end with it.

mod drain;
mod intake;
mod work;

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use postrider_application::ports::{Settlement, StoreError};
use postrider_domain::WorkId;
use tokio::{task::JoinSet, time};
use tokio_util::sync::CancellationToken;

use self::{
    drain::Drain,
    work::{Attempted, FanOut, Held, Read},
};
use crate::{
    EngineOptions, EnginePorts,
    batches::{Batch, Batches},
    claims::Claims,
    handle::Shared,
    lease::{Lease, Lost},
    rooms::Rooms,
};

/// A wait without a reason to end; the loop just turns once more.
const IDLE: Duration = Duration::from_mins(1);

/// How a life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// As was asked for.
    Shutdown,
    /// To give back rows that it may own without knowing.
    Renewed,
    /// The node may do nothing any more; what it owned is a dead node's.
    Lost(Lost),
    /// A task panicked, and with it the knowledge of what it held.
    Broken,
}

/// How a call of the store, or the beat, ended.
enum Done {
    Lease(Lost),
    Claimed(intake::Claim),
    Swept(Result<Vec<postrider_application::ports::Epoch>, StoreError>),
    HandedBack,
    Loaded(Batch<Held>, Result<Read, StoreError>),
    Settled(Batch<Settlement>, Result<Vec<WorkId>, StoreError>),
}

pub(crate) struct Life {
    ports: EnginePorts,
    options: Arc<EngineOptions>,
    shared: Arc<Shared>,
    lease: Arc<Lease>,
    rooms: Rooms,
    claims: Claims,
    loading: Batches<Held>,
    settling: Batches<Settlement>,
    /// Fan-outs whose settlement is not confirmed yet.
    fan_outs: HashMap<WorkId, FanOut>,
    attempts: JoinSet<Attempted>,
    /// Calls of the store, and the beat.
    calls: JoinSet<Done>,
    drain: Option<Drain>,
}

impl Life {
    pub(crate) fn new(
        ports: &EnginePorts,
        options: &Arc<EngineOptions>,
        shared: &Arc<Shared>,
        lease: Arc<Lease>,
    ) -> Self {
        Self {
            rooms: Rooms::new(
                options.max_in_flight,
                options.max_waiting,
                options.max_in_flight_per_endpoint,
            ),
            claims: Claims::new(options, ports.clock.monotonic()),
            loading: Batches::new(options.claim_batch as usize),
            settling: Batches::new(options.settle_batch),
            fan_outs: HashMap::new(),
            attempts: JoinSet::new(),
            calls: JoinSet::new(),
            drain: None,
            ports: ports.clone(),
            options: Arc::clone(options),
            shared: Arc::clone(shared),
            lease,
        }
    }

    /// Works until the lease is lost or `shutdown`. Afterwards no task of it is left.
    pub(crate) async fn run(mut self, shutdown: &CancellationToken) -> End {
        let beat = Arc::clone(&self.lease).keep(self.ports.clone(), Arc::clone(&self.options));
        self.calls.spawn(async { Done::Lease(beat.await) });
        let end = self.work(shutdown).await;
        self.attempts.shutdown().await;
        self.calls.shutdown().await;
        self.shared.in_flight.store(0, Ordering::Relaxed);
        self.shared.waiting.store(0, Ordering::Relaxed);
        self.shared.refused.store(0, Ordering::Relaxed);
        if !matches!(end, End::Lost(_)) {
            self.leave().await;
        }
        end
    }

    async fn work(&mut self, shutdown: &CancellationToken) -> End {
        loop {
            if let Some(end) = self.proceed().await {
                return end;
            }
            let wait = self.wakes_in();
            tokio::select! {
                () = shutdown.cancelled(), if !self.is_ending_for(End::Shutdown) => self.begin_drain(End::Shutdown),
                () = self.shared.work.notified() => self.claims.signal(),
                Some(attempted) = self.attempts.join_next() => match attempted {
                    Ok(attempted) => self.attempted(attempted),
                    Err(_) => return End::Broken,
                },
                Some(done) = self.calls.join_next() => match done {
                    Ok(Done::Lease(lost)) => return End::Lost(lost),
                    Ok(done) => self.done(done),
                    Err(_) => return End::Broken,
                },
                () = time::sleep(wait) => {}
            }
            // What else has ended meanwhile goes into the same batches.
            while let Some(attempted) = self.attempts.try_join_next() {
                match attempted {
                    Ok(attempted) => self.attempted(attempted),
                    Err(_) => return End::Broken,
                }
            }
        }
    }

    fn now(&self) -> Duration {
        self.ports.clock.monotonic()
    }

    /// Starts everything that can be started, or says that this life is at its end.
    async fn proceed(&mut self) -> Option<End> {
        self.shared
            .in_flight
            .store(self.rooms.in_flight(), Ordering::Relaxed);
        self.shared.waiting.store(self.rooms.waiting(), Ordering::Relaxed);
        self.shared
            .refused
            .store(self.rooms.set_aside(), Ordering::Relaxed);
        if !self.lease.holds() {
            return None; // the beat ends any moment, and this life with it
        }
        let now = self.now();
        if self.drain.is_none() && self.claims.is_suspect(self.holds_nothing(), now) {
            self.begin_drain(End::Renewed);
        }
        self.recall(now);
        self.settle(now);
        if self.drain.is_some() {
            return self.drained(now).await;
        }
        self.call_waiting();
        self.load(now);
        self.sweep(now);
        self.claim(now);
        None
    }

    fn holds_nothing(&self) -> bool {
        self.rooms.in_flight() == 0 && self.rooms.waiting() == 0 && self.rooms.set_aside() == 0
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Lease(_) | Done::HandedBack => {}
            Done::Claimed(claim) => self.claimed(claim),
            Done::Swept(dead) => self.swept(dead),
            Done::Loaded(batch, read) => self.loaded(batch, read),
            Done::Settled(batch, settled) => self.settled(batch, settled),
        }
    }

    /// How long nothing but an event can change anything.
    fn wakes_in(&self) -> Duration {
        if !self.lease.holds() {
            return IDLE;
        }
        let claims = if self.rooms.room() > 0 {
            self.claims.wakes_at()
        } else {
            None
        };
        let room = self.rooms.flight_has_room();
        let working = [claims, self.claims.sweeps_at(), self.loading.wakes_at(room)];
        let draining = [self.drain.as_ref().map(Drain::wakes_at), None, None];
        let timers = if self.drain.is_none() { working } else { draining };
        let earliest = timers
            .into_iter()
            .chain([self.settling.wakes_at(room)])
            .flatten()
            .min();
        earliest.map_or(IDLE, |at| at.saturating_sub(self.now()).min(IDLE))
    }
}

/// Logs what the store did not do. Its own text names no tenant's data.
fn warn(what: &'static str, error: &StoreError) {
    tracing::warn!(%error, cause = ?std::error::Error::source(error), "{what}");
}
