//! What is done with the rows that came in: read, plan, send, settle.

use std::{collections::HashSet, sync::Arc, time::Duration};

use postrider_application::ports::{ClaimedWork, Epoch, NewWork, Settled, Settlement, StoreError, WorkRef};
use postrider_domain::{EndpointId, WorkId, messages::Message};

use super::{Done, Life, warn};
use crate::{
    EnginePorts,
    attempt::Job,
    batches::Batch,
    plan::{Material, Plan, Target, delivery_of},
    ports::bounded,
    rooms::Admission,
};

/// A row in flight, before it is known what to do with it.
pub(super) struct Held {
    pub(super) work: ClaimedWork,
    /// The endpoint at which it has a turn.
    pub(super) turn: Option<EndpointId>,
}

/// What was read about a batch of rows.
pub(super) struct Read {
    material: Material,
    /// Those of the rows that are not ours to work any more.
    gone: HashSet<WorkId>,
}

/// An attempt ended, or was not begun because the lease ran out.
pub(super) struct Attempted {
    endpoint: EndpointId,
    settlement: Option<Settlement>,
}

/// A fan-out to several endpoints, remembered until its rows are known to exist.
pub(super) struct FanOut {
    work: ClaimedWork,
    /// What its rows need, in their order, to go on without being read again.
    material: Option<(Arc<Message>, Vec<Target>)>,
}

impl Life {
    /// Reads messages and endpoints of the rows that came in.
    pub(super) fn load(&mut self, now: Duration) {
        let Some(batch) = self.loading.next(now) else {
            return;
        };
        let (ports, epoch) = (self.ports.clone(), self.lease.epoch);
        let timeout = self.options.store_timeout;
        self.calls.spawn(async move {
            let read = bounded(timeout, read(&ports, epoch, &batch.rows)).await;
            Done::Loaded(batch, read)
        });
    }

    pub(super) fn loaded(&mut self, batch: Batch<Held>, read: Result<Read, StoreError>) {
        if self.drain.is_some() {
            self.loading.succeeded();
            return self.give_up(&batch.rows);
        }
        match read {
            Ok(Read { material, gone }) => {
                self.loading.succeeded();
                if !gone.is_empty() {
                    tracing::info!(
                        rows = gone.len(),
                        "rows are forgotten: they or their tenants are deleted"
                    );
                }
                for held in batch.rows {
                    if gone.contains(&held.work.work.id) {
                        // Not handed back: if it is still there, its tenant is being deleted. While we own it
                        // nobody claims it until the eraser comes.
                        self.let_go(&held);
                        continue;
                    }
                    let plan = material.plan(&held.work);
                    self.carry_out(plan, held);
                }
            }
            Err(error) => {
                warn("cannot read messages and endpoints", &error);
                let now = self.now();
                if let Some(refused) = self.loading.failed(batch, &error, now) {
                    if let Some(endpoint) = refused.turn.take() {
                        self.rooms.end_turn(endpoint);
                    }
                    self.rooms.put_aside();
                }
            }
        }
    }

    /// Tries rows again that the database refused, one at a time and as far as there is room in flight. Before
    /// anybody else is let in: else, on a busy node, their turn would never come.
    pub(super) fn recall(&mut self, now: Duration) {
        if self.rooms.flight_has_room() && self.loading.recall(now) {
            self.rooms.recall();
        }
        if self.rooms.flight_has_room() && self.settling.recall(now) {
            self.rooms.recall();
        }
    }

    fn carry_out(&mut self, plan: Plan, held: Held) {
        let Held { work, turn } = held;
        let settled = match plan {
            Plan::Attempt(message, target) => return self.attempt_in_turn(work, turn, message, target),
            Plan::Nothing => Settled::FannedOut(Vec::new()),
            Plan::Cancel(endpoint) => {
                let mut delivery = delivery_of(&work, endpoint, self.ports.clock.now());
                delivery.cancel();
                Settled::Cancelled { delivery }
            }
            Plan::FanOut(message, targets) => self.begin_fan_out(&work, message, targets),
        };
        if let Some(endpoint) = turn {
            self.rooms.end_turn(endpoint);
        }
        self.settling.push(Settlement {
            work: work.work,
            settled,
        });
    }

    /// The rows that a fan-out becomes, remembered so that they go on from memory.
    fn begin_fan_out(&mut self, work: &ClaimedWork, message: Arc<Message>, targets: Vec<Target>) -> Settled {
        let row = |target: &Target| NewWork {
            id: WorkId::from_uuid(self.ports.ids.next()),
            endpoint: target.endpoint().id,
        };
        let settled = Settled::FannedOut(targets.iter().map(row).collect());
        let fan_out = FanOut {
            work: work.clone(),
            material: Some((message, targets)),
        };
        self.fan_outs.insert(work.work.id, fan_out);
        settled
    }

    /// Begins the attempt if its endpoint has a turn free, else lets the row wait for one. A fan-out to a single
    /// endpoint learns only here whose turn it needs.
    fn attempt_in_turn(
        &mut self,
        work: ClaimedWork,
        turn: Option<EndpointId>,
        message: Arc<Message>,
        target: Target,
    ) {
        let endpoint = target.endpoint().id;
        if turn != Some(endpoint) {
            if let Some(other) = turn {
                self.rooms.end_turn(other);
            }
            if !self.rooms.take_turn(endpoint) {
                return self.rooms.step_aside(endpoint, work);
            }
        }
        self.begin_attempt(Job {
            work,
            message,
            target,
        });
    }

    fn begin_attempt(&mut self, job: Job) {
        let endpoint = job.target.endpoint().id;
        let (ports, options) = (self.ports.clone(), Arc::clone(&self.options));
        let lease = Arc::clone(&self.lease);
        self.attempts.spawn(async move {
            let settlement = if lease.holds() {
                Some(job.run(&ports, &options).await)
            } else {
                None
            };
            Attempted { endpoint, settlement }
        });
    }

    pub(super) fn attempted(&mut self, attempted: Attempted) {
        self.rooms.end_turn(attempted.endpoint);
        if let Some(settlement) = attempted.settlement {
            self.settling.push(settlement);
        }
    }

    /// Writes outcomes.
    pub(super) fn settle(&mut self, now: Duration) {
        let Some(batch) = self.settling.next(now) else {
            return;
        };
        let (queue, epoch) = (Arc::clone(&self.ports.queue), self.lease.epoch);
        let timeout = self.options.store_timeout;
        self.calls.spawn(async move {
            let settled = bounded(timeout, queue.settle(epoch, batch.rows.clone())).await;
            Done::Settled(batch, settled)
        });
    }

    pub(super) fn settled(&mut self, batch: Batch<Settlement>, settled: Result<Vec<WorkId>, StoreError>) {
        let settled: HashSet<WorkId> = match settled {
            Ok(settled) => settled.into_iter().collect(),
            Err(error) => {
                warn("a settle failed", &error);
                let now = self.now();
                if let Some(refused) = self.settling.failed(batch, &error, now) {
                    if let Some(fan_out) = self.fan_outs.get_mut(&refused.work.id) {
                        // More rows may be set aside than payloads may be in memory.
                        fan_out.material = None;
                    }
                    self.rooms.put_aside();
                }
                return;
            }
        };
        self.settling.succeeded();
        let now = self.now();
        let mut homeless = Vec::new();
        for Settlement { work, settled: what } in &batch.rows {
            self.rooms.leave();
            if let Settled::Attempted {
                retry: Some(retry), ..
            } = what
            {
                self.claims.due_at(now + retry.after);
            }
            let fan_out = self.fan_outs.remove(&work.id);
            let known = settled.contains(&work.id);
            if !known {
                tracing::debug!(work = %work.id, batch.uncertain, "not settled: settled before, or another node's");
            }
            // A try whose answer was lost may have been committed; repeating it then settles nothing, but the
            // rows are there and ours. If they are not, their attempts are written by nobody.
            if let (Some(mut fan_out), Settled::FannedOut(rows)) = (fan_out, what)
                && (known || batch.uncertain)
            {
                if batch.uncertain {
                    // It was read before the database was away; its endpoints, or its tenant, may be gone since.
                    fan_out.material = None;
                }
                self.explode(&fan_out, rows, &mut homeless);
            }
        }
        self.hand_back(homeless);
    }

    /// The rows of a fan-out exist and are ours, with claim number 1: they go on from memory.
    fn explode(&mut self, fan_out: &FanOut, rows: &[NewWork], homeless: &mut Vec<WorkRef>) {
        for (index, row) in rows.iter().enumerate() {
            let work = ClaimedWork {
                work: WorkRef { id: row.id, claim: 1 },
                endpoint: Some(row.endpoint),
                attempts: 0,
                failures: 0,
                ..fan_out.work.clone()
            };
            if self.drain.is_some() {
                homeless.push(work.work);
                continue;
            }
            match self.rooms.admit(work) {
                Admission::Enters(work) => match &fan_out.material {
                    Some((message, targets)) => self.begin_attempt(Job {
                        work,
                        message: Arc::clone(message),
                        target: targets[index].clone(),
                    }),
                    None => self.loading.push(Held {
                        turn: work.endpoint,
                        work,
                    }),
                },
                Admission::Waits => {}
                Admission::Refused(work) => homeless.push(work.work),
            }
        }
    }

    /// Rows in flight that will not be worked: they go back.
    pub(super) fn give_up(&mut self, rows: &[Held]) {
        for held in rows {
            self.let_go(held);
        }
        self.hand_back(rows.iter().map(|held| held.work.work).collect());
    }

    /// A row in flight leaves memory.
    fn let_go(&mut self, held: &Held) {
        if let Some(endpoint) = held.turn {
            self.rooms.end_turn(endpoint);
        }
        self.rooms.leave();
    }
}

/// What is needed of a batch of rows: two statements, whatever its size, and a third if anything is missing.
async fn read(ports: &EnginePorts, epoch: Epoch, rows: &[Held]) -> Result<Read, StoreError> {
    let messages: HashSet<_> = rows
        .iter()
        .map(|held| (held.work.tenant, held.work.message))
        .collect();
    let applications: HashSet<_> = rows
        .iter()
        .map(|held| (held.work.tenant, held.work.application))
        .collect();
    let messages: Vec<_> = messages.into_iter().collect();
    let applications: Vec<_> = applications.into_iter().collect();
    let (messages, endpoints) = tokio::try_join!(
        ports.material.messages(&messages),
        ports.material.endpoints(&applications)
    )?;
    let material = Material { messages, endpoints };
    let missing = |held: &&Held| !material.knows(&held.work);
    let missed: Vec<WorkRef> = rows.iter().filter(missing).map(|held| held.work.work).collect();
    if missed.is_empty() {
        let gone = HashSet::new();
        return Ok(Read { material, gone });
    }
    // A tenant's deletion takes the rows of the queue and everything they need, and memory is not told.
    let held: HashSet<WorkId> = ports
        .queue
        .still_held(epoch, &missed)
        .await?
        .into_iter()
        .collect();
    // Otherwise a queued row is committed with its message, and goes before its application does: what is absent is
    // hidden from us or damaged. The row is kept and tried again; ending it would lose the message.
    let damaged = |row: &&Held| missing(row) && held.contains(&row.work.work.id);
    match rows.iter().find(damaged) {
        Some(row) => Err(StoreError::Internal(
            format!(
                "{} or its application is queued and not to be found",
                row.work.message
            )
            .into(),
        )),
        None => Ok(Read {
            gone: missed.iter().map(|work| work.id).collect(),
            material,
        }),
    }
}
