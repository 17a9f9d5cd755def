//! The one way to a use case: span, metrics, validate, authorize, handle.

use std::sync::Arc;

use tracing::Instrument as _;

use postrider_domain::{AuditEntryId, Rule};

use crate::{
    Error, ErrorKind, Result,
    access::{AccessRule, Caller, Identity},
    audit::{Actor, Occasion},
    ports::{ApplicationDirectory, Clock, DenialLog, Ids, UseCaseMetrics},
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
        let span = tracing::info_span!(
            "use_case",
            otel.name = R::NAME,
            use_case = R::NAME,
            decision = tracing::field::Empty,
            reason = tracing::field::Empty,
        );
        let started = self.ports.clock.monotonic();
        let result = self.run(caller, request).instrument(span.clone()).await;
        let outcome = result
            .as_ref()
            .map_or_else(|error| error.code().as_str(), |_| "ok");
        let elapsed = self.ports.clock.monotonic().saturating_sub(started);
        self.ports.metrics.record(R::NAME, outcome, elapsed);
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
        let occasion = Arc::new(Occasion {
            id: AuditEntryId::from_uuid(self.ports.ids.next()),
            at: self.ports.clock.now(),
            action: R::NAME,
            actor: Actor::of(caller),
            origin: caller.origin.clone(),
        });
        let rule = request.access();
        match rule.grant(caller, &occasion, &*self.ports.directory).await {
            Ok(granted) => self.use_cases.handler().handle(granted, request).await,
            Err(error) => Err(error),
        }
        .inspect_err(|error| self.take_down_denial(caller, &occasion, &rule, error))
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
