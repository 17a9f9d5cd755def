//! What is done with what came in: read, fan out, send.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use postrider_application::ports::{
    ClaimedWork, Concluded, DeliverableEndpoint, EndpointSet, Epoch, NewWork, StoreError, WorkRef,
};
use postrider_domain::{
    ApplicationId, EndpointId, MessageId, TenantId, Version, WorkId,
    deliveries::{DeliveryStatus, FailureReason},
    messages::Message,
};

use super::{
    Done, Life,
    fan_out::{NewFanOut, Part},
    jobs::{Job, Origin, Payload},
};
use crate::{
    EnginePorts,
    attempt::{Attempting, Subject},
    batches::Batch,
    budget::Permit,
    lanes::{Arrival, JobId},
    plan::wanting,
    ports::{bounded, warn},
};

/// What is read for whom.
enum For {
    /// A message that is to be fanned out.
    Message(Box<ClaimedWork>, Permit),
    /// A delivery whose turn it is.
    Job(JobId),
}

/// Something that must be read.
pub(super) struct Loading {
    what: For,
    row: WorkRef,
    tenant: TenantId,
    application: ApplicationId,
    message: MessageId,
    version: i64,
    payload: Option<Arc<Payload>>,
    payload_bytes: u32,
    /// Room for the payload, while it is being read.
    bytes: Option<Permit>,
}

impl Loading {
    /// A message that is to be fanned out.
    pub(super) fn of_message(work: ClaimedWork, payload: Option<Arc<Payload>>, permit: Permit) -> Self {
        Self {
            row: work.work,
            tenant: work.tenant,
            application: work.application,
            message: work.message,
            version: work.endpoints_version,
            payload,
            payload_bytes: work.payload_bytes,
            bytes: None,
            what: For::Message(Box::new(work), permit),
        }
    }

    fn of_job(id: JobId, job: &Job, row: WorkRef) -> Self {
        Self {
            what: For::Job(id),
            row,
            tenant: job.subject.tenant,
            application: job.subject.application,
            message: job.subject.message,
            version: job.version,
            payload: job.payload.clone(),
            payload_bytes: job.payload_bytes,
            bytes: None,
        }
    }

    const fn needs_payload(&self) -> bool {
        self.payload.is_none()
    }
}

/// What was read for a batch.
pub(super) struct Read {
    messages: HashMap<MessageId, Arc<Message>>,
    endpoints: HashMap<ApplicationId, Arc<EndpointSet>>,
    /// Those of the rows that are not ours to work any more.
    gone: HashSet<WorkId>,
}

/// An attempt ended, or was not begun because the lease ran out.
pub(super) struct Attempted {
    job: JobId,
    endpoint: EndpointId,
    /// The endpoint's, as it was sent to.
    version: Version,
    concluded: Option<Concluded>,
}

impl Life {
    /// Makes a delivery of each endpoint that wants the message.
    pub(super) fn fan_out(
        &mut self,
        work: &ClaimedWork,
        payload: &Arc<Payload>,
        set: &EndpointSet,
        permit: Permit,
    ) {
        let targets: Vec<_> = wanting(&payload.message, set).cloned().collect();
        let mut rows = self.budget.take_rows(targets.len());
        let mut fan_out = NewFanOut {
            whose: (work.tenant, work.application),
            row: work.work,
            open: Vec::with_capacity(targets.len()),
            parked: Vec::new(),
            permit,
        };
        let mut begin = Vec::new();
        for endpoint in targets {
            let id = self.jobs.new_id();
            let row = rows.as_mut().and_then(Permit::split_row);
            let backlog = self.parking.has(endpoint.id);
            let arrival = match &row {
                Some(_) => self.lanes.arrive(work.tenant, endpoint.id, id, backlog),
                None => Arrival::Parks,
            };
            let (Some(row), Arrival::Begins | Arrival::Waits) = (row, arrival) else {
                fan_out.parked.push(NewWork {
                    id: WorkId::from_uuid(self.ports.ids.next()),
                    endpoint: endpoint.id,
                    parked: true,
                });
                continue;
            };
            let keeps_payload = arrival == Arrival::Begins || self.budget.is_roomy();
            let job = Job {
                subject: Subject {
                    tenant: work.tenant,
                    application: work.application,
                    message: work.message,
                    endpoint: endpoint.id,
                    attempts: 0,
                    failures: 0,
                },
                origin: Origin::Part(work.work),
                version: set.version,
                payload: keeps_payload.then(|| Arc::clone(payload)),
                payload_bytes: work.payload_bytes,
                without_turn: false,
                permit: row,
            };
            self.jobs.insert(id, job);
            fan_out.open.push(id);
            if arrival == Arrival::Begins {
                begin.push((id, endpoint));
            } else {
                let waiting = self.lanes.waiting_at(endpoint.id);
                self.pace.waits(endpoint.id, work.application, waiting);
            }
        }
        self.begin_fan_out(fan_out);
        for (id, endpoint) in begin {
            self.attempt(id, &endpoint);
        }
    }

    /// A job has its turn: it is sent, if everything that it needs is here, or else read first.
    pub(super) fn begin(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(id) else { return };
        let endpoint = job.subject.endpoint;
        let Some(row) = job.origin.row() else {
            // Its row is not ours any more.
            self.jobs.remove(id);
            return self.end_turn(endpoint);
        };
        let set = self.ports.material.recall(job.subject.application, job.version);
        match set {
            Some(set) if job.payload.is_some() => self.attempt_by(id, &set),
            _ => self.hungry.push_back(Loading::of_job(id, job, row)),
        }
    }

    /// Sends a job whose payload is here to its endpoint as it is in `set`.
    fn attempt_by(&mut self, id: JobId, set: &EndpointSet) {
        let Some(job) = self.jobs.get(id) else { return };
        match set.get(job.subject.endpoint) {
            Some(endpoint) if endpoint.enabled => self.attempt(id, endpoint),
            _ => {
                let concluded = job.subject.cancelled(self.ports.clock.now());
                self.end_turn(job.subject.endpoint);
                self.conclude(id, concluded);
            }
        }
    }

    fn attempt(&mut self, id: JobId, endpoint: &Arc<DeliverableEndpoint>) {
        let Some(job) = self.jobs.get(id) else { return };
        let Some(payload) = &job.payload else { return };
        let attempting = Attempting {
            subject: job.subject,
            message: Arc::clone(&payload.message),
            endpoint: Arc::clone(endpoint),
        };
        let (endpoint, version) = (endpoint.id, endpoint.version);
        let (ports, options) = (self.ports.clone(), Arc::clone(&self.options));
        let lease = Arc::clone(&self.lease);
        self.attempts.spawn(async move {
            let concluded = if lease.holds() {
                Some(attempting.run(&ports, &options).await)
            } else {
                None
            };
            Attempted {
                job: id,
                endpoint,
                version,
                concluded,
            }
        });
    }

    pub(super) fn attempted(&mut self, attempted: Attempted) {
        self.end_turn(attempted.endpoint);
        if let Some(concluded) = attempted.concluded {
            if concluded.delivery.status == DeliveryStatus::Failed(FailureReason::Gone) {
                self.gone.insert(attempted.endpoint, attempted.version);
            }
            self.conclude(attempted.job, concluded);
        }
    }

    fn end_turn(&mut self, endpoint: EndpointId) {
        self.pace.ended(endpoint);
        self.lanes.end_turn(endpoint);
        self.parking.drained_to(endpoint, self.lanes.waiting_at(endpoint));
    }

    /// What became of a job goes to where it is written down.
    fn conclude(&mut self, id: JobId, concluded: Concluded) {
        let Some(job) = self.jobs.remove(id) else { return };
        let captured = concluded
            .attempt
            .as_ref()
            .map_or(0, |attempt| attempt.response_body.bytes.len());
        let permit = match captured {
            0 => job.permit,
            bytes => job.permit.and(self.budget.overdraw(bytes)),
        };
        let part = Part { concluded, permit };
        let whose = (job.subject.tenant, job.subject.application);
        match job.origin {
            Origin::Row(row) => self.settle_row(whose, row, part),
            Origin::Part(row) => self.part_concluded(row.id, id, part),
            Origin::Nowhere => {}
        }
    }

    /// Reads what is hungry, as far as there is room for payloads.
    pub(super) fn load(&mut self, now: Duration) {
        while let Some(first) = self.hungry.front_mut() {
            if first.needs_payload() {
                let bytes = self.budget.take_bytes(first.payload_bytes as usize);
                if bytes.is_none() {
                    break;
                }
                first.bytes = bytes;
            }
            let Some(first) = self.hungry.pop_front() else {
                break;
            };
            self.loading.push(first);
        }
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

    pub(super) fn loaded(&mut self, batch: Batch<Loading>, read: Result<Read, StoreError>) {
        if self.drain.is_some() {
            self.loading.succeeded();
            // What is here and not begun goes back when this life leaves. Its fan-out has exploded, and is not let go:
            // others of its parts are under way.
            return;
        }
        match read {
            Ok(read) => {
                self.loading.succeeded();
                if !read.gone.is_empty() {
                    tracing::info!(
                        rows = read.gone.len(),
                        "rows are forgotten: they or their tenants are deleted"
                    );
                }
                for loading in batch.rows {
                    self.go_on(loading, &read);
                }
            }
            Err(error) => {
                warn("cannot read messages and endpoints", &error);
                let now = self.now();
                let refused = self.loading.failed(batch, &error, now);
                // It waits for a repair, and needs no turn and no room for its payload meanwhile.
                let turn = refused.and_then(|refused| {
                    refused.bytes = None;
                    match refused.what {
                        For::Job(id) => Some(id),
                        For::Message(..) => None,
                    }
                });
                if let Some(job) = turn.and_then(|id| self.jobs.get_mut(id))
                    && !std::mem::replace(&mut job.without_turn, true)
                {
                    let endpoint = job.subject.endpoint;
                    self.end_turn(endpoint);
                }
            }
        }
    }

    /// Something was read.
    fn go_on(&mut self, mut loading: Loading, read: &Read) {
        if read.gone.contains(&loading.row.id) {
            // Not handed back: if it is still there, its tenant is being deleted. While we own it nobody claims it
            // until the eraser comes.
            return self.let_go(&loading);
        }
        let payload = loading.payload.take().or_else(|| {
            let message = Arc::clone(read.messages.get(&loading.message)?);
            let bytes = loading.bytes.take();
            Some(Arc::new(Payload {
                message,
                _bytes: bytes.unwrap_or_else(|| self.budget.overdraw(loading.payload_bytes as usize)),
            }))
        });
        let (Some(payload), Some(set)) = (payload, read.endpoints.get(&loading.application)) else {
            return self.let_go(&loading); // reading says so of every row, or fails
        };
        match loading.what {
            For::Message(work, permit) => self.fan_out(&work, &payload, set, permit),
            For::Job(id) => {
                let Some(job) = self.jobs.get_mut(id) else { return };
                job.payload = Some(payload);
                job.version = set.version;
                if std::mem::take(&mut job.without_turn) {
                    let (tenant, endpoint) = (job.subject.tenant, job.subject.endpoint);
                    return self.lanes.wait(tenant, endpoint, id);
                }
                self.attempt_by(id, set);
            }
        }
    }

    /// Something that was read, or was to be, leaves memory, and what belongs to it.
    fn let_go(&mut self, loading: &Loading) {
        self.forget_row(loading.row);
        if let For::Job(id) = loading.what
            && let Some(job) = self.jobs.remove(id)
        {
            // By now it may have a row of its own. If it is still ours, it is adopted.
            if let Some(row) = job.origin.row() {
                self.forget_row(row);
            }
            if !job.without_turn {
                self.end_turn(job.subject.endpoint);
            }
            if let Origin::Part(row) = job.origin {
                self.abandon_fan_out(row.id);
            }
        }
    }
}

/// What is needed for a batch: two statements, whatever its size, and a third if anything is missing.
async fn read(ports: &EnginePorts, epoch: Epoch, rows: &[Loading]) -> Result<Read, StoreError> {
    let messages: HashSet<_> = rows
        .iter()
        .filter(|loading| loading.needs_payload())
        .map(|loading| (loading.tenant, loading.message))
        .collect();
    let mut endpoints = HashMap::new();
    let mut applications = HashSet::new();
    for loading in rows {
        match ports.material.recall(loading.application, loading.version) {
            Some(set) => drop(endpoints.insert(loading.application, set)),
            None => drop(applications.insert((loading.tenant, loading.application))),
        }
    }
    let messages: Vec<_> = messages.into_iter().collect();
    let applications: Vec<_> = applications.into_iter().collect();
    let read_messages = async {
        if messages.is_empty() {
            return Ok(HashMap::new());
        }
        ports.material.messages(&messages).await
    };
    let read_endpoints = async {
        if applications.is_empty() {
            return Ok(HashMap::new());
        }
        ports.material.endpoints(&applications).await
    };
    let (messages, read_now) = tokio::try_join!(read_messages, read_endpoints)?;
    endpoints.extend(read_now);
    let missing = |loading: &&Loading| {
        !endpoints.contains_key(&loading.application)
            || (loading.needs_payload() && !messages.contains_key(&loading.message))
    };
    let missed: Vec<WorkRef> = rows.iter().filter(missing).map(|loading| loading.row).collect();
    let gone = missing_rows(ports, epoch, rows, &missed).await?;
    Ok(Read {
        messages,
        endpoints,
        gone,
    })
}

/// Those of the rows whose message or application was missed that are not ours to work any more.
async fn missing_rows(
    ports: &EnginePorts,
    epoch: Epoch,
    rows: &[Loading],
    missed: &[WorkRef],
) -> Result<HashSet<WorkId>, StoreError> {
    if missed.is_empty() {
        return Ok(HashSet::new());
    }
    // A tenant's deletion takes the rows of the queue and everything they need, and memory is not told.
    let held: HashSet<WorkId> = ports.queue.still_held(epoch, missed).await?.into_iter().collect();
    // Otherwise a queued row is committed with its message, and goes before its application does: what is absent is
    // hidden from us or damaged. The row is kept and tried again; ending it would lose the message.
    let damaged = missed.iter().find(|row| held.contains(&row.id));
    let damaged = damaged.and_then(|row| rows.iter().find(|loading| loading.row == *row));
    match damaged {
        Some(loading) => Err(StoreError::Internal(
            format!(
                "{} or its application is queued and not to be found",
                loading.message
            )
            .into(),
        )),
        None => Ok(missed.iter().map(|row| row.id).collect()),
    }
}
