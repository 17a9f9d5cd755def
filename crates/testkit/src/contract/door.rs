//! How a case comes by a scope: as everybody does, by asking a mediator.

use std::{sync::Arc, time::Duration};

use postrider_application::{
    Error,
    access::{AccessRule, Caller},
    mediator::{Granted, Handles, Mediator, MediatorPorts, Request, Serves},
    ports::{Answers, ApplicationDirectory, Clock, Ids},
};

use crate::memory::{NoBarrier, RecordedDenials, RecordedMetrics};

/// Asks for what a rule grants, and for nothing else.
struct Enter<R>(R);

impl<R> Request for Enter<R>
where
    R: AccessRule<Granted: Send> + Clone + 'static,
{
    type Output = R::Granted;
    type Access = R;
    const NAME: &'static str = "contract.case";

    fn access(&self) -> R {
        self.0.clone()
    }
}

/// Hands over what was granted.
struct HandsOver;

impl<R> Handles<Enter<R>> for HandsOver
where
    R: AccessRule<Granted: Send> + Clone + 'static,
{
    async fn handle(&self, granted: Granted<Enter<R>>, _: Enter<R>) -> Result<R::Granted, Error> {
        Ok(granted)
    }
}

impl<R> Serves<Enter<R>> for HandsOver
where
    R: AccessRule<Granted: Send> + Clone + 'static,
{
    fn handler(&self) -> &impl Handles<Enter<R>> {
        self
    }
}

/// Lets callers in, each time as an occasion of its own, and writes down nothing.
pub(super) struct Door(Mediator<HandsOver>);

impl Door {
    pub(super) fn new(
        directory: Arc<dyn ApplicationDirectory>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        answers: Arc<dyn Answers>,
    ) -> Self {
        let ports = MediatorPorts {
            directory,
            metrics: Arc::new(RecordedMetrics::default()),
            denials: Arc::new(RecordedDenials::default()),
            clock,
            ids,
            answers,
            answer_window: Duration::from_hours(24),
            barrier: Arc::new(NoBarrier::default()),
        };
        Self(Mediator::new(HandsOver, ports))
    }

    /// What `rule` grants `caller`.
    pub(super) async fn enter<R>(&self, caller: &Caller, rule: R) -> R::Granted
    where
        R: AccessRule<Granted: Send> + Clone + 'static,
    {
        self.0.send(caller, Enter(rule)).await.unwrap()
    }
}
