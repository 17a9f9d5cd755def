//! Group commit: what is accepted while a batch is being committed makes the next batch. There is no timer: under
//! little load a batch is one message, under much load it is many.

mod committer;
#[cfg(test)]
mod committer_tests;
#[cfg(test)]
mod hand_off_tests;
mod options;
#[cfg(test)]
mod testing;
mod together;
#[cfg(test)]
mod together_tests;
mod waiting;
#[cfg(test)]
mod waiting_tests;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use postrider_application::{
    access::ApplicationScope,
    ports::{
        AcceptMessage, Accepted, BatchRefused, Clock, IntakeError, MessageIntake, MessageWriter, NewMessage,
        StoreError,
    },
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use self::options::IntakeOptions;
use self::{committer::Committer, together::Together, waiting::Waiting};
use crate::{EngineHandle, OptionsError, handle::Shared};

/// Commits accepted messages in batches, and hands them to the engine of this node if it has room for them.
pub struct Intake {
    waiting: Arc<Waiting>,
    writer: Arc<dyn MessageWriter>,
    engine: Arc<Shared>,
    clock: Arc<dyn Clock>,
    options: IntakeOptions,
}

/// Where messages are accepted. Cheap to clone.
#[derive(Clone)]
pub struct IntakeHandle {
    waiting: Arc<Waiting>,
    together: Arc<Together>,
    engine: Arc<Shared>,
    clock: Arc<dyn Clock>,
    options: IntakeOptions,
}

impl Intake {
    /// An intake that does not run yet, and where messages go in. What comes before it runs waits.
    pub fn new(
        writer: Arc<dyn MessageWriter>,
        engine: &EngineHandle,
        clock: Arc<dyn Clock>,
        options: IntakeOptions,
    ) -> Result<(Self, IntakeHandle), OptionsError> {
        options.validate()?;
        let waiting = Arc::new(Waiting::new(&options));
        let handle = IntakeHandle {
            waiting: Arc::clone(&waiting),
            together: Arc::new(Together::new(
                Arc::clone(&writer),
                Arc::clone(&engine.shared),
                Arc::clone(&clock),
                options,
            )),
            engine: Arc::clone(&engine.shared),
            clock: Arc::clone(&clock),
            options,
        };
        let intake = Self {
            waiting,
            writer,
            engine: Arc::clone(&engine.shared),
            clock,
            options,
        };
        Ok((intake, handle))
    }

    /// Commits until `shutdown`, and then what has been let in; later ones are refused as [`IntakeError::Full`].
    pub async fn run(self, shutdown: CancellationToken) {
        let mut committers = JoinSet::new();
        for _ in 0..self.options.committers {
            committers.spawn(self.committer().run());
        }
        let waiting = Arc::clone(&self.waiting);
        let closing = async move {
            shutdown.cancelled().await;
            waiting.close();
        };
        let committing = async {
            while let Some(ended) = committers.join_next().await {
                if ended.is_err() {
                    // Its callers are told that the outcome is unknown; the others go on.
                    tracing::error!("a committer panicked");
                    committers.spawn(self.committer().run());
                }
            }
        };
        tokio::join!(closing, committing);
    }

    fn committer(&self) -> Committer {
        Committer {
            waiting: Arc::clone(&self.waiting),
            writer: Arc::clone(&self.writer),
            engine: Arc::clone(&self.engine),
            clock: Arc::clone(&self.clock),
            options: self.options,
        }
    }
}

impl IntakeHandle {
    /// Waits until it is durable, or will not be.
    async fn store(
        &self,
        new: NewMessage,
        deadline: Duration,
        of_system: bool,
    ) -> Result<Accepted, IntakeError> {
        self.waiting
            .push(new, deadline, of_system)?
            .await
            .unwrap_or_else(|_| {
                let cause = StoreError::Internal("nobody answered".into());
                Err(IntakeError::OutcomeUnknown(cause))
            })
    }

    /// Messages that wait to be committed, those under way included.
    pub fn waiting(&self) -> usize {
        self.waiting.rows()
    }
}

#[async_trait]
impl MessageIntake for IntakeHandle {
    async fn accept(&self, scope: &ApplicationScope, accept: AcceptMessage) -> Result<Accepted, IntakeError> {
        let AcceptMessage { message, dedup } = accept;
        if (message.tenant, message.application) != (scope.tenant(), scope.application()) {
            let fault = "the message is another application's";
            return Err(StoreError::Internal(fault.into()).into());
        }
        let new = NewMessage {
            message: Arc::new(message),
            dedup,
            owner: None,
        };
        let begun = self.clock.monotonic();
        let of_system = scope.tenant_scope().is_systems();
        let deadline = begun + self.options.accept_timeout;
        let accepted = self.store(new, deadline, of_system).await;
        let elapsed = self.clock.monotonic().saturating_sub(begun);
        self.engine.metrics.asked(1, accepted.as_ref().err(), elapsed);
        let accepted = accepted?;
        // It is durable; the answer may wait. What the system itself publishes does not: others wait behind it.
        if !of_system {
            let congestion = &self.engine.congestion;
            congestion
                .wait(scope.application(), self.options.slow_down_for_at_most)
                .await;
        }
        Ok(accepted)
    }

    async fn accept_all(
        &self,
        scope: &ApplicationScope,
        messages: Vec<AcceptMessage>,
    ) -> Result<Vec<Accepted>, BatchRefused> {
        let (begun, count) = (self.clock.monotonic(), messages.len());
        let accepted = self.together.accept(scope, messages).await;
        let elapsed = self.clock.monotonic().saturating_sub(begun);
        let failed = accepted.as_ref().err().map(|refused| &refused.error);
        self.engine.metrics.asked(count, failed, elapsed);
        let accepted = accepted?;
        // Nobody owns the rows: whoever looks first takes them.
        self.engine.work.notify_one();
        let congestion = &self.engine.congestion;
        congestion
            .wait(scope.application(), self.options.slow_down_for_at_most)
            .await;
        Ok(accepted)
    }
}
