//! The one way to a use case: span, metrics, validate, authorize, handle.

use std::sync::Arc;

use tracing::Instrument as _;

use crate::{
    Error, ErrorKind, Result,
    access::{AccessRule, Caller},
    ports::{ApplicationDirectory, Clock, UseCaseMetrics},
};

/// A command or a query: what is asked, what is answered, and who may ask.
pub trait Request: Send + Sync + 'static {
    /// The answer.
    type Output: Send;
    /// What is demanded of the caller. There is no default.
    type Access: AccessRule;
    /// The stable name, `resource.verb`, for spans, metrics and the audit log.
    const NAME: &'static str;

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

/// Takes requests to their handlers.
pub struct Mediator<U> {
    use_cases: U,
    directory: Arc<dyn ApplicationDirectory>,
    metrics: Arc<dyn UseCaseMetrics>,
    clock: Arc<dyn Clock>,
}

impl<U: Send + Sync> Mediator<U> {
    /// A mediator in front of `use_cases`.
    pub fn new(
        use_cases: U,
        directory: Arc<dyn ApplicationDirectory>,
        metrics: Arc<dyn UseCaseMetrics>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            use_cases,
            directory,
            metrics,
            clock,
        }
    }

    /// Does what `request` asks, if `caller` may ask it.
    pub async fn send<R: Request>(&self, caller: &Caller, request: R) -> Result<R::Output>
    where
        U: Serves<R>,
    {
        let span = tracing::info_span!("use_case", otel.name = R::NAME, use_case = R::NAME);
        let started = self.clock.monotonic();
        let result = self.run(caller, request).instrument(span.clone()).await;
        let outcome = result
            .as_ref()
            .map_or_else(|error| error.code().as_str(), |_| "ok");
        self.metrics
            .record(R::NAME, outcome, self.clock.monotonic().saturating_sub(started));
        if let Err(error) = &result {
            let _entered = span.enter();
            log_failure(error);
        }
        result
    }

    async fn run<R: Request>(&self, caller: &Caller, request: R) -> Result<R::Output>
    where
        U: Serves<R>,
    {
        request.validate()?;
        let granted = request.access().grant(caller, &*self.directory).await?;
        self.use_cases.handler().handle(granted, request).await
    }
}

/// Our own faults are errors with their causes; the caller's are worth a line when debugging.
fn log_failure(error: &Error) {
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
