//! Reading what is needed before something can be sent: messages with their payloads, and endpoints.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use postrider_application::ports::{
    ClaimedWork, EndpointSet, Epoch, ReadMessage, Standing, StoreError, WorkRef,
};
use postrider_domain::{ApplicationId, MessageId, TenantId, WorkId};

use super::{
    Done, Life,
    fan_out::NewFanOut,
    jobs::{Job, Origin, Payload},
};
use crate::{
    EnginePorts,
    batches::Batch,
    budget::Permit,
    lanes::JobId,
    store_calls::{bounded, warn},
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

    pub(super) fn of_job(id: JobId, job: &Job, row: WorkRef) -> Self {
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

    pub(super) const fn needs_payload(&self) -> bool {
        self.payload.is_none()
    }
}

/// An application's endpoints, and where the knowledge of them stood before they were recalled or read.
pub(super) struct Known {
    pub(super) set: Arc<EndpointSet>,
    pub(super) standing: Standing,
}

impl Known {
    /// What is remembered, if it is new enough.
    pub(super) fn recall(
        ports: &EnginePorts,
        tenant: TenantId,
        application: ApplicationId,
        version: i64,
    ) -> Option<Self> {
        let standing = ports.material.standing(tenant, application);
        let set = ports.material.recall(application, version)?;
        Some(Self { set, standing })
    }
}

/// What was read for a batch.
pub(super) struct Read {
    messages: HashMap<MessageId, ReadMessage>,
    endpoints: HashMap<ApplicationId, Known>,
    /// Those of the rows that are not ours to work any more.
    gone: HashSet<WorkId>,
}

impl Life {
    /// Something is to be read. Only a payload needs room, so that what has one does not wait for it.
    pub(super) fn must_read(&mut self, loading: Loading) {
        if loading.needs_payload() {
            self.hungry.push_back(loading);
        } else {
            self.loading.push(loading);
        }
    }

    /// Reads what is hungry, as far as there is room for payloads.
    pub(super) fn load(&mut self, now: Duration) {
        while let Some(mut first) = self.hungry.pop_front() {
            first.bytes = self.budget.take_bytes(first.payload_bytes as usize);
            if first.bytes.is_none() {
                self.hungry.push_front(first);
                break;
            }
            self.loading.push(first);
        }
        let Some(batch) = self.loading.next(now) else {
            return;
        };
        let (ports, epoch) = (Arc::clone(&self.ports), self.lease.epoch);
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
                    let (endpoint, bytes) = (job.subject.endpoint, job.payload_bytes);
                    self.end_turn(endpoint, bytes);
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
        let expunged = matches!(read.messages.get(&loading.message), Some(ReadMessage::Expunged));
        if expunged && loading.needs_payload() {
            return self.end_without_payload(loading);
        }
        let payload = loading.payload.take().or_else(|| {
            let message = Arc::clone(read.messages.get(&loading.message)?.whole()?);
            let bytes = loading.bytes.take();
            Some(Arc::new(Payload {
                message,
                _bytes: bytes.unwrap_or_else(|| self.budget.overdraw(loading.payload_bytes as usize)),
            }))
        });
        let (Some(payload), Some(known)) = (payload, read.endpoints.get(&loading.application)) else {
            return self.let_go(&loading); // reading says so of every row, or fails
        };
        match loading.what {
            For::Message(work, permit) => self.fan_out(&work, &payload, known, permit),
            For::Job(id) => {
                let Some(job) = self.jobs.get_mut(id) else { return };
                job.payload = Some(payload);
                job.version = known.set.version;
                if std::mem::take(&mut job.without_turn) {
                    let (tenant, endpoint) = (job.subject.tenant, job.subject.endpoint);
                    let weighed = job.weighed(id);
                    return self.lanes.wait(tenant, endpoint, weighed);
                }
                self.attempt_by(id, known);
            }
        }
    }

    /// The payload was expunged: nothing is delivered of the message any more.
    fn end_without_payload(&mut self, loading: Loading) {
        match loading.what {
            For::Message(work, permit) => self.begin_fan_out(NewFanOut {
                whose: (work.tenant, work.application),
                row: work.work,
                open: Vec::new(),
                parked: Vec::new(),
                permit,
            }),
            For::Job(id) => self.cancel(id),
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
                self.end_turn(job.subject.endpoint, job.payload_bytes);
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
    let mut applications = HashMap::new();
    for loading in rows {
        let (tenant, application) = (loading.tenant, loading.application);
        if let Some(known) = Known::recall(ports, tenant, application, loading.version) {
            endpoints.insert(application, known);
        } else {
            let standing = ports.material.standing(tenant, application);
            applications.insert((tenant, application), standing);
        }
    }
    let messages: Vec<_> = messages.into_iter().collect();
    let (applications, standings): (Vec<_>, Vec<_>) = applications.into_iter().unzip();
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
    for ((_, application), standing) in applications.iter().zip(standings) {
        if let Some(set) = read_now.get(application).cloned() {
            endpoints.insert(*application, Known { set, standing });
        }
    }
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
