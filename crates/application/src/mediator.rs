//! The one way to a use case: span, metrics, validate, authorize, handle.

use std::{sync::Arc, time::Duration};

use tracing::Instrument as _;

use postrider_domain::{AuditEntryId, Rule};

use crate::{
    Error, ErrorCode, ErrorKind, Result,
    access::{AccessRule, Caller, Identity},
    audit::{Actor, Occasion},
    once::{Asking, Once, OnceKey},
    ports::{
        Answers, ApplicationDirectory, Clock, ClusterBarrier, DenialLog, Ids, StoreError, UseCaseMetrics,
    },
};

/// A command or a query: what is asked, what is answered, and who may ask.
pub trait Request: Send + Sync + 'static {
    /// The answer.
    type Output: Send;
    /// What is demanded of the caller. There is no default.
    type Access: AccessRule;
    /// The stable name, `resource.verb`, for spans, metrics and the audit log.
    const NAME: &'static str;
    /// Whether it is answered only when every node has seen what it changed, so that none of them goes by what was true
    /// before. The mediator waits for that, whether the command is done now or was done before: an answer that is
    /// replayed promises the same.
    const BARRIER: bool = false;

    /// Whether this very request waits, of those that [`Self::BARRIER`] says wait: one that says nothing of what others
    /// go by need not.
    fn waits(&self) -> bool {
        Self::BARRIER
    }

    /// The demand of this very request.
    fn access(&self) -> Self::Access;

    /// Rules across fields that no value object holds by itself.
    fn validate(&self) -> Result<()> {
        Ok(())
    }
}

/// What the handler of `R` receives as proof.
pub type Granted<R> = <<R as Request>::Access as AccessRule>::Granted;

/// Does what `R` asks.
pub trait Handles<R: Request>: Send + Sync {
    /// Called by the mediator only, after authorization.
    fn handle(&self, granted: Granted<R>, request: R) -> impl Future<Output = Result<R::Output>> + Send;
}

/// Knows the handler of `R`. A request that nothing serves does not compile.
pub trait Serves<R: Request> {
    /// The handler.
    fn handler(&self) -> &impl Handles<R>;
}

/// What the mediator does besides handing on.
#[derive(Clone)]
pub struct MediatorPorts {
    /// Which application a reference means.
    pub directory: Arc<dyn ApplicationDirectory>,
    /// Counts and times use cases.
    pub metrics: Arc<dyn UseCaseMetrics>,
    /// Takes down who was denied what.
    pub denials: Arc<dyn DenialLog>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids of audit entries.
    pub ids: Arc<dyn Ids>,
    /// What commands with an idempotency key were answered.
    pub answers: Arc<dyn Answers>,
    /// How long such an answer is kept.
    pub answer_window: Duration,
    /// Waits until every node has seen a change.
    pub barrier: Arc<dyn ClusterBarrier>,
}

/// Takes requests to their handlers.
pub struct Mediator<U> {
    use_cases: U,
    ports: MediatorPorts,
}

impl<U: Send + Sync> Mediator<U> {
    /// A mediator in front of `use_cases`.
    pub const fn new(use_cases: U, ports: MediatorPorts) -> Self {
        Self { use_cases, ports }
    }

    /// Does what `request` asks, if `caller` may ask it.
    pub async fn send<R: Request>(&self, caller: &Caller, request: R) -> Result<R::Output>
    where
        U: Serves<R>,
    {
        let waits = request.waits();
        let handle = |granted, request| async move {
            let output = self.use_cases.handler().handle(granted, request).await?;
            self.seen_by_all(waits).await?;
            Ok(output)
        };
        self.observe(R::NAME, self.run(caller, request, None, handle))
            .await
    }

    /// Does what `request` asks, if `caller` may ask it, and if it was not done under this `key` before. `render` makes
    /// the bytes of its answer that are kept, without secrets. Without a key it is done as by [`Self::send`].
    pub async fn send_once<R: Request>(
        &self,
        caller: &Caller,
        key: Option<&OnceKey>,
        request: R,
        render: impl Fn(&R::Output) -> Vec<u8> + Send + Sync + 'static,
    ) -> Result<Once<R::Output>>
    where
        U: Serves<R>,
        R::Output: Sync + 'static,
    {
        let Some(key) = key else {
            return self.send(caller, request).await.map(Once::Fresh);
        };
        let asking = Asking::new(caller, key, self.ports.answer_window, render);
        let handle = |granted, request| self.handle_once(&asking, granted, request);
        let run = self.run(caller, request, Some(asking.clone()), handle);
        self.observe(R::NAME, run).await
    }

    /// In a span of its own, counted and timed.
    async fn observe<T>(&self, name: &'static str, run: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let span = tracing::info_span!(
            "use_case",
            otel.name = name,
            use_case = name,
            decision = tracing::field::Empty,
            reason = tracing::field::Empty,
        );
        let started = self.ports.clock.monotonic();
        let result = run.instrument(span.clone()).await;
        let outcome = result
            .as_ref()
            .map_or_else(|error| error.code().as_str(), |_| "ok");
        let elapsed = self.ports.clock.monotonic().saturating_sub(started);
        self.ports.metrics.record(name, outcome, elapsed);
        if let Err(error) = &result {
            let _entered = span.enter();
            log_failure(error);
        }
        result
    }

    async fn run<R: Request, T, F>(
        &self,
        caller: &Caller,
        request: R,
        asking: Option<Asking>,
        handle: impl FnOnce(Granted<R>, R) -> F + Send,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        request.validate()?;
        let occasion = Arc::new(Occasion {
            id: AuditEntryId::from_uuid(self.ports.ids.next()),
            at: self.ports.clock.now(),
            action: R::NAME,
            actor: Actor::of(caller),
            origin: caller.origin.clone(),
            asking,
        });
        let rule = request.access();
        match rule.grant(caller, &occasion, &*self.ports.directory).await {
            Ok(granted) => handle(granted, request).await,
            Err(error) => Err(error),
        }
        .inspect_err(|error| self.take_down_denial(caller, &occasion, &rule, error))
    }

    /// The answer that is there, or the command done now. Whatever a command fails of may be that the same one was done
    /// at the same time: so the key is looked up again. A handler fails of nothing once its unit of work is committed;
    /// that the change was not seen by all is told as it is, and never by an answer that was kept.
    async fn handle_once<R: Request>(
        &self,
        asking: &Asking,
        granted: Granted<R>,
        request: R,
    ) -> Result<Once<R::Output>>
    where
        U: Serves<R>,
        R::Output: Sync + 'static,
    {
        let waits = request.waits();
        if let Some(bytes) = self.replay(asking).await? {
            self.seen_by_all(waits).await?;
            return Ok(Once::Replayed(bytes));
        }
        let error = match self.use_cases.handler().handle(granted, request).await {
            Ok(output) => match self.keep(asking, &output).await {
                Ok(()) => {
                    self.seen_by_all(waits).await?;
                    return Ok(Once::Fresh(output));
                }
                Err(error) => error.into(),
            },
            Err(error) => error,
        };
        match self.replay(asking).await {
            Ok(Some(bytes)) => {
                self.seen_by_all(waits).await?;
                Ok(Once::Replayed(bytes))
            }
            Err(conflict) if conflict.code() == ErrorCode::IdempotencyConflict => Err(conflict),
            // Its own reason; or, if the key cannot be looked up, that there was one.
            Ok(None) | Err(_) => Err(error),
        }
    }

    /// Waits until every node has seen what is committed, if the request asks for that. The change itself is made,
    /// whatever this says. Of one that changed nothing as well: whoever repeats a command was not answered before.
    async fn seen_by_all(&self, waits: bool) -> Result<()> {
        if !waits {
            return Ok(());
        }
        self.ports.barrier.passed().await.map_err(|cause| {
            Error::new(
                ErrorCode::Unavailable,
                "the change is made, but not every node has confirmed that it has seen it: repeat to be sure",
            )
            .caused_by(cause)
        })
    }

    /// Keeps the answer of a command that was done without a unit of work which did so: it changed nothing.
    async fn keep<T: 'static>(&self, asking: &Asking, output: &T) -> Result<(), StoreError> {
        if asking.was_answered() {
            return Ok(());
        }
        if asking.was_forgotten() {
            // It is kept now, and lost if we are stopped in between: better than not at all.
            debug_assert!(
                false,
                "the change was committed without its answer: see Record::answering"
            );
            tracing::error!("a change was committed without its answer");
        }
        match asking.answer(output) {
            Some(answer) => self.ports.answers.keep(answer).await,
            // The renderer is of this very output.
            None => Ok(()),
        }
    }

    async fn replay(&self, asking: &Asking) -> Result<Option<Vec<u8>>> {
        let kept = self.ports.answers.find(asking.key()).await?;
        kept.map(|kept| asking.replay(kept)).transpose()
    }

    /// Denials of somebody known enter the audit log of their tenant; strangers have none. A handler denies too:
    /// what is more than the caller holds.
    fn take_down_denial(&self, caller: &Caller, occasion: &Occasion, rule: &impl AccessRule, error: &Error) {
        let not_held = || error.violations().iter().any(|v| v.rule == Rule::NotHeld.code());
        let denied = error.code().kind() == ErrorKind::Forbidden || not_held();
        if let (Identity::Principal(principal), true) = (&caller.identity, denied) {
            self.ports
                .denials
                .denied(occasion.denied(principal.tenant, rule.target()));
        }
    }
}

/// Our own faults are errors with their causes; the caller's are worth a line when debugging.
pub(crate) fn log_failure(error: &Error) {
    match error.code().kind() {
        ErrorKind::Internal | ErrorKind::Unavailable => {
            tracing::error!(
                code = error.code().as_str(),
                error = error.chain(),
                "use case failed"
            );
        }
        _ => tracing::debug!(code = error.code().as_str(), "use case refused"),
    }
}
