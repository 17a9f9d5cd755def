//! Batches that are durable whole or not at all: each is a transaction of its own, beside the committers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use postrider_application::{
    access::ApplicationScope,
    ports::{
        AcceptMessage, Accepted, BatchRefused, Clock, FoldedBatch, IntakeError, MessageWriter, StoreError,
        WriteError, Written,
    },
};
use postrider_domain::TenantId;
use tokio::{sync::Semaphore, time};
use tracing::Span;

use super::{IntakeOptions, committer::kind_of};
use crate::{
    backoff::Backoff,
    handle::Shared,
    store_calls::{NoAnswerInTime, warn},
    trace,
};

/// How many batches may wait or be written, of all tenants. Each is a request's body.
const MOST: usize = 16;
/// How many of them may be one tenant's.
const MOST_OF_TENANT: usize = MOST / 4;
/// The wait before a batch is tried again, doubled each time: a caller waits for it.
const FIRST_WAIT: Duration = Duration::from_millis(10);

/// Where whole batches are accepted.
pub(super) struct Together {
    writer: Arc<dyn MessageWriter>,
    engine: Arc<Shared>,
    clock: Arc<dyn Clock>,
    options: IntakeOptions,
    /// As many are written at the same time as there are committers.
    turns: Semaphore,
    of_tenants: Mutex<HashMap<TenantId, usize>>,
}

/// The place of a batch, until it is dropped.
struct Place<'t> {
    together: &'t Together,
    tenant: TenantId,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut of_tenants = self.together.of_tenants();
        if let Some(theirs) = of_tenants.get_mut(&self.tenant) {
            *theirs -= 1;
            if *theirs == 0 {
                of_tenants.remove(&self.tenant);
            }
        }
    }
}

fn whole(error: IntakeError) -> BatchRefused {
    BatchRefused { index: None, error }
}

impl Together {
    pub(super) fn new(
        writer: Arc<dyn MessageWriter>,
        engine: Arc<Shared>,
        clock: Arc<dyn Clock>,
        options: IntakeOptions,
    ) -> Self {
        Self {
            writer,
            engine,
            clock,
            options,
            turns: Semaphore::new(options.committers),
            of_tenants: Mutex::default(),
        }
    }

    fn of_tenants(&self) -> MutexGuard<'_, HashMap<TenantId, usize>> {
        // Each change is whole before anything that could panic.
        self.of_tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, tenant: TenantId) -> Result<Place<'_>, IntakeError> {
        let mut of_tenants = self.of_tenants();
        if of_tenants.values().sum::<usize>() >= MOST {
            return Err(IntakeError::Full);
        }
        let theirs = of_tenants.entry(tenant).or_default();
        if *theirs >= MOST_OF_TENANT {
            return Err(IntakeError::ShareExceeded);
        }
        *theirs += 1;
        Ok(Place {
            together: self,
            tenant,
        })
    }

    /// Makes all of them durable, or none, before the caller's patience ends.
    pub(super) async fn accept(
        &self,
        scope: &ApplicationScope,
        messages: Vec<AcceptMessage>,
    ) -> Result<Vec<Accepted>, BatchRefused> {
        let batch = FoldedBatch::of(scope, messages)?;
        let _place = self.enter(scope.tenant()).map_err(whole)?;
        let deadline = self.clock.monotonic() + self.options.accept_timeout;
        let turn = time::timeout(self.options.accept_timeout, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(whole(IntakeError::Full));
        };
        let mut backoff = Backoff::from_first(FIRST_WAIT);
        let mut uncertain = false;
        loop {
            let span = self.span(&batch);
            let outcome = self.try_to_write(&batch).await;
            if let Err(error) = &outcome {
                trace::record_failure(&span, kind_of(error));
            }
            drop(span);
            match outcome {
                Ok(written) => {
                    if let Some(accepted) = batch.answers(&written)? {
                        self.note(&batch, &written);
                        return Ok(accepted);
                    }
                }
                Err(WriteError::Refused(error)) if uncertain => {
                    return Err(whole(IntakeError::OutcomeUnknown(error)));
                }
                Err(WriteError::Refused(error)) => return Err(whole(IntakeError::Store(error))),
                Err(WriteError::Unavailable(error)) => warn("a batch could not be stored", &error),
                Err(WriteError::Unknown(error)) => {
                    warn("whether a batch was stored is unknown", &error);
                    uncertain = true;
                }
            }
            time::sleep(backoff.next()).await;
            if self.clock.monotonic() >= deadline {
                let cause = StoreError::Unavailable("the database did not store it in time".into());
                return Err(whole(if uncertain {
                    IntakeError::OutcomeUnknown(cause)
                } else {
                    IntakeError::Store(cause)
                }));
            }
        }
    }

    /// What has become durable is counted, as what comes one by one is.
    fn note(&self, batch: &FoldedBatch, written: &[Written]) {
        let rows = batch.rows().iter().zip(written);
        let stored = rows.filter(|(_, written)| matches!(written, Written::Stored { .. }));
        let stored = stored.map(|(new, _)| &*new.message);
        self.engine.figures.accepted(stored.clone());
        self.engine.metrics.accepted(stored);
    }

    /// The span of this try, if the batch's messages are recorded, which are all of one request.
    fn span(&self, batch: &FoldedBatch) -> Span {
        let rows = batch.rows();
        if rows.iter().any(|new| trace::is_sampled(&new.message)) {
            trace::commit_span(&Span::current(), self.writer.system(), rows.len())
        } else {
            Span::none()
        }
    }

    async fn try_to_write(&self, batch: &FoldedBatch) -> Result<Vec<Written>, WriteError> {
        let rows = batch.rows();
        let write = self.writer.write_all(rows);
        let written = time::timeout(self.options.write_timeout, write)
            .await
            .unwrap_or_else(|_| {
                Err(WriteError::Unknown(StoreError::Unavailable(
                    NoAnswerInTime.into(),
                )))
            })?;
        if written.len() == rows.len() {
            Ok(written)
        } else {
            let cause = "a batch was answered with another number of rows";
            Err(WriteError::Unknown(StoreError::Internal(cause.into())))
        }
    }
}
