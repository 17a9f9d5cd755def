//! What is done with what came in: fan out, send.

use std::sync::Arc;

use postrider_application::ports::{ClaimedWork, Concluded, DeliverableEndpoint, NewWork, Standing};
use postrider_domain::{
    EndpointId, Version, WorkId,
    deliveries::{DeliveryStatus, FailureReason},
};

use super::{
    Life,
    fan_out::{Gone, NewFanOut, Part},
    jobs::{Job, Origin, Payload},
    reading::{Known, Loading},
};
use crate::{
    attempt::{Attempting, Begun, Subject},
    budget::Permit,
    lanes::{Arrival, JobId, Weighed},
    plan::wanting,
    trace,
};

/// An attempt ended, or was not begun.
pub(super) struct Attempted {
    job: JobId,
    endpoint: EndpointId,
    /// The endpoint's, as it was sent to.
    version: Version,
    ended: Ended,
}

enum Ended {
    /// It was made.
    Made(Concluded),
    /// The lease ran out.
    LeaseLost,
    /// What was known of the endpoint may be true no more: it is looked at again.
    Outdated,
}

impl Life {
    /// Makes a delivery of each endpoint that wants the message.
    pub(super) fn fan_out(
        &mut self,
        work: &ClaimedWork,
        payload: &Arc<Payload>,
        known: &Known,
        permit: Permit,
    ) {
        let span = trace::fan_out_span(work, &payload.message);
        let targets: Vec<_> = wanting(&payload.message, &known.set).cloned().collect();
        span.record("endpoints", trace::whole(targets.len()));
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
            let weighed = Weighed {
                job: id,
                bytes: work.payload_bytes as usize,
            };
            let row = rows.as_mut().and_then(Permit::split_row);
            let backlog = self.parking.has(endpoint.id);
            let arrival = match &row {
                Some(_) => self.lanes.arrive(work.tenant, endpoint.id, weighed, backlog),
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
                    asked_for: false,
                },
                origin: Origin::Part(work.work),
                version: known.set.version,
                asked_in: None,
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
        span.record("parked", trace::whole(fan_out.parked.len()));
        self.begin_fan_out(fan_out);
        for (id, endpoint) in begin {
            self.attempt(id, &endpoint, known.standing);
        }
    }

    /// A job has its turn: it is sent, if everything that it needs is here, or else read first.
    pub(super) fn begin(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(id) else { return };
        let endpoint = job.subject.endpoint;
        let Some(row) = job.origin.row() else {
            // Its row is not ours any more.
            let bytes = job.payload_bytes;
            self.jobs.remove(id);
            return self.end_turn(endpoint, bytes);
        };
        let subject = &job.subject;
        let known = Known::recall(&self.ports, subject.tenant, subject.application, job.version);
        match known {
            Some(known) if job.payload.is_some() => self.attempt_by(id, &known),
            _ => {
                let loading = Loading::of_job(id, job, row);
                self.must_read(loading);
            }
        }
    }

    /// Sends a job whose payload is here to its endpoint as it is known.
    pub(super) fn attempt_by(&mut self, id: JobId, known: &Known) {
        let Some(job) = self.jobs.get(id) else { return };
        match known.set.get(job.subject.endpoint) {
            Some(endpoint) if endpoint.enabled => self.attempt(id, endpoint, known.standing),
            _ => self.cancel(id),
        }
    }

    /// Ends a job without an attempt: its endpoint is disabled or gone, or the payload is.
    pub(super) fn cancel(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(id) else { return };
        let concluded = job.subject.cancelled(self.ports.clock.now());
        let (endpoint, bytes) = (job.subject.endpoint, job.payload_bytes);
        if !job.without_turn {
            self.end_turn(endpoint, bytes);
        }
        self.conclude(id, concluded, None);
    }

    /// Begins an attempt, if what is known of the endpoint is still so when the task has its turn. Between the look at
    /// that and the attempt's beginning, which is noted before, there is nothing to wait for: so once this node has said
    /// that it has seen a change, no attempt begins by what was before it.
    fn attempt(&mut self, id: JobId, endpoint: &Arc<DeliverableEndpoint>, standing: Standing) {
        let Some(job) = self.jobs.get(id) else { return };
        let Some(payload) = &job.payload else { return };
        let attempting = Attempting {
            subject: job.subject,
            asked_in: job.asked_in.clone(),
            message: Arc::clone(&payload.message),
            endpoint: Arc::clone(endpoint),
        };
        let (endpoint, version) = (endpoint.id, endpoint.version);
        let (ports, options) = (Arc::clone(&self.ports), Arc::clone(&self.options));
        let (lease, shared) = (Arc::clone(&self.lease), Arc::clone(&self.shared));
        let due = payload.message.deliver_at.unwrap_or(payload.message.created_at);
        let since = job.subject.is_at_its_first().then_some(due);
        self.attempts.spawn(async move {
            let subject = attempting.subject;
            let begun = Begun::now(&ports);
            let ended = if !lease.holds() {
                Ended::LeaseLost
            } else if ports.material.standing(subject.tenant, subject.application) != standing {
                Ended::Outdated
            } else {
                let concluded = attempting.run(begun, &ports, &options).await;
                shared.metrics.attempted(subject.tenant, since, &concluded);
                Ended::Made(concluded)
            };
            Attempted {
                job: id,
                endpoint,
                version,
                ended,
            }
        });
    }

    pub(super) fn attempted(&mut self, attempted: Attempted) {
        let concluded = match attempted.ended {
            // It keeps its turn; when this life is about to end, it is not begun and goes back.
            Ended::Outdated if self.drain.is_none() => return self.begin(attempted.job),
            Ended::Made(concluded) => Some(concluded),
            Ended::Outdated | Ended::LeaseLost => None,
        };
        let bytes = self.jobs.get(attempted.job).map_or(0, |job| job.payload_bytes);
        self.end_turn(attempted.endpoint, bytes);
        if let Some(concluded) = concluded {
            let is_gone = concluded.delivery.status == DeliveryStatus::Failed(FailureReason::Gone);
            let gone = is_gone.then_some((attempted.endpoint, attempted.version));
            self.conclude(attempted.job, concluded, gone);
        }
    }

    pub(super) fn end_turn(&mut self, endpoint: EndpointId, payload_bytes: u32) {
        self.pace.ended(endpoint);
        self.lanes.end_turn(endpoint, payload_bytes as usize);
        self.parking.drained_to(endpoint, self.lanes.waiting_at(endpoint));
    }

    /// What became of a job goes to where it is written down.
    fn conclude(&mut self, id: JobId, concluded: Concluded, gone: Option<Gone>) {
        let Some(job) = self.jobs.remove(id) else { return };
        let captured = concluded
            .attempt
            .as_ref()
            .map_or(0, |attempt| attempt.response_body.bytes.len());
        let permit = match captured {
            0 => job.permit,
            bytes => job.permit.and(self.budget.overdraw(bytes)),
        };
        let part = Part {
            concluded,
            permit,
            gone,
        };
        let whose = (job.subject.tenant, job.subject.application);
        match job.origin {
            Origin::Row(row) => self.settle_row(whose, row, part),
            Origin::Part(row) => self.part_concluded(row.id, id, part),
            Origin::Nowhere => {}
        }
    }
}
