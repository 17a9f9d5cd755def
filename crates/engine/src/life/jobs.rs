//! Deliveries in memory.

use std::{collections::HashMap, sync::Arc};

use postrider_application::ports::WorkRef;
use postrider_domain::{
    WorkId,
    messages::{Message, TraceParent},
};

use crate::{
    attempt::Subject,
    budget::Permit,
    lanes::{JobId, Weighed},
};

/// A message in memory, and the room that its payload takes, until nobody needs it.
pub(super) struct Payload {
    pub(super) message: Arc<Message>,
    pub(super) _bytes: Permit,
}

/// Where a delivery is written down.
#[derive(Debug, Clone, Copy)]
pub(super) enum Origin {
    /// It has a row of its own.
    Row(WorkRef),
    /// It is a part of a fan-out, whose row that is.
    Part(WorkRef),
    /// Its row is not ours any more: what becomes of it is written by nobody.
    Nowhere,
}

impl Origin {
    /// The row by which it is ours.
    pub(super) const fn row(self) -> Option<WorkRef> {
        match self {
            Self::Row(row) | Self::Part(row) => Some(row),
            Self::Nowhere => None,
        }
    }
}

/// A delivery in memory: it waits for its turn, is read, or sent.
pub(super) struct Job {
    pub(super) subject: Subject,
    pub(super) origin: Origin,
    /// The version of the application's endpoints that it needs at least.
    pub(super) version: i64,
    /// The trace that it was asked for in, if somebody asked for it to be made again.
    pub(super) asked_in: Option<TraceParent>,
    pub(super) payload: Option<Arc<Payload>>,
    pub(super) payload_bytes: u32,
    /// Whether it was refused by the database when it was read, and holds no turn while that is tried again.
    pub(super) without_turn: bool,
    /// One row.
    pub(super) permit: Permit,
}

impl Job {
    /// What it is to its lane.
    pub(super) const fn weighed(&self, id: JobId) -> Weighed {
        Weighed {
            job: id,
            bytes: self.payload_bytes as usize,
        }
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct Jobs {
    jobs: HashMap<JobId, Job>,
    last: u64,
}

impl Jobs {
    /// An id that was never used.
    pub(super) const fn new_id(&mut self) -> JobId {
        self.last += 1;
        JobId(self.last)
    }

    pub(super) fn insert(&mut self, id: JobId, job: Job) {
        self.jobs.insert(id, job);
    }

    pub(super) fn get(&self, id: JobId) -> Option<&Job> {
        self.jobs.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: JobId) -> Option<&mut Job> {
        self.jobs.get_mut(&id)
    }

    pub(super) fn remove(&mut self, id: JobId) -> Option<Job> {
        self.jobs.remove(&id)
    }

    /// It is written down there from now on.
    pub(super) fn becomes(&mut self, id: JobId, origin: Origin) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.origin = origin;
        }
    }

    /// Whether it is a part of the fan-out of that row.
    pub(super) fn is_part_of(&self, id: JobId, fan_out: WorkId) -> bool {
        let origin = self.jobs.get(&id).map(|job| job.origin);
        matches!(origin, Some(Origin::Part(row)) if row.id == fan_out)
    }
}
