//! One life: from joining to losing the lease or leaving. A single task owns all state and starts everything
//! else; calls of the store and attempts are tasks of its own, which end with it.

mod adoption;
mod drain;
mod fan_out;
mod incoming;
mod jobs;
mod parking;
mod reading;
mod settling;
mod work;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use postrider_application::ports::{ClaimedWork, Epoch, StoreError, WorkRef};
use postrider_domain::{EndpointId, WorkId};
use tokio::{sync::mpsc::UnboundedReceiver, task::JoinSet, time};
use tokio_util::sync::CancellationToken;

use self::{
    adoption::Adoption,
    drain::Drain,
    fan_out::FanOuts,
    incoming::Claim,
    jobs::Jobs,
    parking::{Parking, Refill},
    reading::{Loading, Read},
    settling::Settling,
    work::Attempted,
};
use crate::{
    EngineOptions, EnginePorts,
    batches::{Batch, Batches},
    budget::Budget,
    claims::Claims,
    congestion::Pace,
    door::HandedOff,
    handle::Shared,
    lanes::{Lanes, Limits},
    lease::{Lease, Lost},
    store_calls::{bounded, warn},
};

/// A wait without a reason to end; the loop just turns once more.
const IDLE: Duration = Duration::from_mins(1);
/// How long it waits for room in memory before it looks again.
const STARVED: Duration = Duration::from_millis(20);
/// The most that is taken of what is handed off before something else has its turn.
const HANDED_OFF_AT_ONCE: usize = 256;

/// The pause after the bell could not be heard.
const BELL_PAUSE: Duration = Duration::from_secs(1);
/// The bell is rung this often at most.
const RING_PAUSE: Duration = Duration::from_millis(100);

/// How a life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// As was asked for.
    Shutdown,
    /// The node may do nothing any more; what it owned is a dead node's.
    Lost(Lost),
    /// A task panicked, and with it the knowledge of what it held.
    Broken,
}

/// How a call of the store ended.
enum Done {
    Claimed(Claim),
    Refilled(Refill),
    Swept(Result<Vec<Epoch>, StoreError>),
    Parked(Result<Vec<EndpointId>, StoreError>),
    Owned(Result<Vec<ClaimedWork>, StoreError>),
    /// These rows are not ours any more.
    Released(Vec<WorkRef>),
    /// Nor are these: they are parked.
    ParkedFull(Vec<(WorkRef, EndpointId)>),
    Loaded(Batch<Loading>, Result<Read, StoreError>),
    Settled(Batch<Settling>, Result<Vec<WorkId>, StoreError>),
    /// An endpoint was disabled, or that was given up.
    Guarded(EndpointId),
    Rang,
}

/// What is watched for as long as the life lasts.
enum Watched {
    Lease(Lost),
    Bell,
}

pub(crate) struct Life {
    ports: Arc<EnginePorts>,
    options: Arc<EngineOptions>,
    shared: Arc<Shared>,
    lease: Arc<Lease>,
    budget: Arc<Budget>,
    handed_off: UnboundedReceiver<HandedOff>,
    lanes: Lanes,
    parking: Parking,
    pace: Pace,
    claims: Claims,
    adoption: Adoption,
    jobs: Jobs,
    fan_outs: FanOuts,
    loading: Batches<Loading>,
    settling: Batches<Settling>,
    /// Rows that this life works, with the number of the claim.
    held: HashMap<WorkId, i32>,
    /// What must be read and finds no room for its payload yet.
    hungry: VecDeque<Loading>,
    /// Rows that found their lanes full, to be parked, and whether some are being parked.
    full: Vec<(WorkRef, EndpointId)>,
    parks: bool,
    /// Endpoints that are being disabled.
    guarding: HashSet<EndpointId>,
    /// When the bell may be rung again.
    bell_from: Duration,
    attempts: JoinSet<Attempted>,
    calls: JoinSet<Done>,
    watches: JoinSet<Watched>,
    drain: Option<Drain>,
}

impl Life {
    pub(crate) fn new(
        ports: &Arc<EnginePorts>,
        options: &Arc<EngineOptions>,
        shared: &Arc<Shared>,
        lease: Arc<Lease>,
    ) -> Self {
        let now = ports.clock.monotonic();
        Self {
            handed_off: shared.door.open(&lease),
            budget: Arc::clone(&shared.budget),
            lanes: Lanes::new(Limits {
                in_flight: options.max_in_flight,
                per_endpoint: options.max_in_flight_per_endpoint,
                // The other half is for what waits with its payload, and for messages being committed.
                bytes: options.max_memory_bytes / 2,
                waiting: options.max_waiting,
            }),
            pace: Pace::default(),
            parking: Parking::new(options.max_in_flight_per_endpoint, now),
            claims: Claims::new(options, now),
            adoption: Adoption::new(options, now),
            jobs: Jobs::default(),
            fan_outs: FanOuts::new(options.explode_after),
            loading: Batches::new(options.claim_batch as usize),
            settling: Batches::new(options.settle_batch).gathering(options.settle_gather),
            held: HashMap::new(),
            hungry: VecDeque::new(),
            full: Vec::new(),
            parks: false,
            guarding: HashSet::new(),
            bell_from: Duration::ZERO,
            attempts: JoinSet::new(),
            calls: JoinSet::new(),
            watches: JoinSet::new(),
            drain: None,
            ports: Arc::clone(ports),
            options: Arc::clone(options),
            shared: Arc::clone(shared),
            lease,
        }
    }

    /// Works until the lease is lost or `shutdown`. Afterwards no task of it is left.
    pub(crate) async fn run(mut self, shutdown: &CancellationToken) -> End {
        let beat = Arc::clone(&self.lease).keep(Arc::clone(&self.ports), Arc::clone(&self.options));
        self.watches.spawn(async { Watched::Lease(beat.await) });
        self.listen();
        let end = self.work(shutdown).await;
        self.shared.door.close();
        self.shared.congestion.end();
        self.watches.shutdown().await;
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
                () = shutdown.cancelled(), if self.drain.is_none() => self.begin_drain(),
                () = self.shared.work.notified() => self.claims.queued(),
                Some(handed_off) = self.handed_off.recv() => self.take_over(handed_off),
                Some(attempted) = self.attempts.join_next() => match attempted {
                    Ok(attempted) => self.attempted(attempted),
                    Err(_) => return End::Broken,
                },
                Some(done) = self.calls.join_next() => match done {
                    Ok(done) => self.done(done),
                    Err(_) => return End::Broken,
                },
                Some(watched) = self.watches.join_next() => match watched {
                    Ok(Watched::Lease(lost)) => return End::Lost(lost),
                    Ok(Watched::Bell) => {
                        self.claims.signal();
                        self.listen();
                    }
                    Err(_) => return End::Broken,
                },
                () = time::sleep(wait) => {}
            }
            // What else has come or ended meanwhile goes into the same batches.
            for _ in 0..HANDED_OFF_AT_ONCE {
                let Ok(handed_off) = self.handed_off.try_recv() else {
                    break;
                };
                self.take_over(handed_off);
            }
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
        self.tell();
        if !self.lease.holds() {
            return None; // the beat ends any moment, and this life with it
        }
        let now = self.now();
        self.loading.recall(now);
        self.settling.recall(now);
        self.explode_late(now);
        self.settle(now);
        if self.drain.is_some() {
            return self.drained(now).await;
        }
        self.call_waiting();
        self.watch_pace(now);
        self.load(now);
        self.sweep(now);
        self.refill();
        self.claim(now);
        self.look_for_own(now);
        None
    }

    /// Looks whether deliveries keep up.
    fn watch_pace(&mut self, now: Duration) {
        let (lanes, parking) = (&self.lanes, &self.parking);
        // What is parked waits in the database, and slowing down helps it no more.
        let waiting_at = |endpoint| {
            if parking.has(endpoint) {
                0
            } else {
                lanes.waiting_at(endpoint)
            }
        };
        self.pace.look(now, &self.shared.congestion, waiting_at);
    }

    /// Says how it is.
    fn tell(&self) {
        let (waiting, refused) = (
            self.lanes.waiting(),
            self.loading.set_aside() + self.settling.set_aside(),
        );
        let in_flight = self.held.len().saturating_sub(waiting + refused);
        self.shared.in_flight.store(in_flight, Ordering::Relaxed);
        self.shared.waiting.store(waiting, Ordering::Relaxed);
        self.shared.refused.store(refused, Ordering::Relaxed);
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Rang => {}
            Done::Guarded(endpoint) => {
                self.guarding.remove(&endpoint);
            }
            Done::Claimed(claim) => self.claimed(claim),
            Done::Refilled(refill) => self.refilled(refill),
            Done::Swept(dead) => self.swept(dead),
            Done::Parked(endpoints) => self.found_parked(endpoints),
            Done::Owned(rows) => self.found_own(rows),
            Done::Released(rows) => rows.iter().for_each(|row| self.forget_row(*row)),
            Done::ParkedFull(rows) => self.parked(&rows),
            Done::Loaded(batch, read) => self.loaded(batch, read),
            Done::Settled(batch, settled) => self.settled(batch, settled),
        }
    }

    /// A row is not this life's any more, under that claim.
    fn forget_row(&mut self, row: WorkRef) {
        if self.held.get(&row.id) == Some(&row.claim) {
            self.held.remove(&row.id);
        }
    }

    /// Waits for other nodes to ring.
    fn listen(&mut self) {
        let bell = Arc::clone(&self.ports.bell);
        self.watches.spawn(async move {
            if let Err(error) = bell.rung().await {
                warn("cannot hear the bell", &error);
                time::sleep(BELL_PAUSE).await;
            }
            Watched::Bell
        });
    }

    /// Rings for other nodes, now and then.
    fn ring(&mut self, now: Duration) {
        if now < self.bell_from {
            return;
        }
        self.bell_from = now + RING_PAUSE;
        let (bell, timeout) = (Arc::clone(&self.ports.bell), self.options.store_timeout);
        self.calls.spawn(async move {
            if let Err(error) = bounded(timeout, bell.ring()).await {
                warn("cannot ring the bell", &error);
            }
            Done::Rang
        });
    }

    /// How long nothing but an event can change anything.
    fn wakes_in(&self) -> Duration {
        if !self.lease.holds() {
            return IDLE;
        }
        let claims = if self.has_room_to_claim() {
            self.claims.wakes_at()
        } else {
            None
        };
        let timers = [self.settling.wakes_at(), self.fan_outs.explodes_at()];
        let timers = timers.into_iter().flatten();
        let earliest = if let Some(drain) = &self.drain {
            timers.chain([drain.wakes_at()]).min()
        } else {
            let working = [
                claims,
                self.claims.sweeps_at(),
                self.adoption.looks_at(),
                self.looks_for_parked_at(),
                self.pace.looks_at(),
                self.loading.wakes_at(),
            ];
            timers.chain(working.into_iter().flatten()).min()
        };
        let longest = if self.is_starved() { STARVED } else { IDLE };
        earliest.map_or(longest, |at| at.saturating_sub(self.now()).min(longest))
    }

    /// Whether something waits for room in memory, some of which the intake holds and gives back without a word.
    fn is_starved(&self) -> bool {
        !self.hungry.is_empty()
            || self.parking.waits_for_room()
            || (self.lanes.waiting() > 0 && !self.budget.has_bytes())
            || !self.has_room_to_claim()
    }
}
