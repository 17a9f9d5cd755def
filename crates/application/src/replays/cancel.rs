use std::sync::Arc;

use postrider_domain::{
    Aggregate as _, ApplicationId, Change, ReplayId,
    access::Permission,
    applications::ApplicationRef,
    endpoints::{Endpoint, EndpointRef},
    replays::{Replay, ReplayState},
};

use crate::{
    Error, Result,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request},
    ports::{Clock, ReplayRepository, Repository, Store, UnitOfWork as _},
};

/// Stops a replay: it queues nothing more. What it had queued goes on. One that is finished already stays as it is.
#[derive(Debug)]
pub struct CancelReplay {
    /// The endpoint's application.
    pub application: ApplicationRef,
    /// The endpoint.
    pub endpoint: EndpointRef,
    /// Which.
    pub replay: ReplayId,
}

impl Request for CancelReplay {
    type Output = ReplayState;
    type Access = OnApplication;
    const NAME: &'static str = "replay.cancel";

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::DeliveriesReplay)
    }
}

/// Serves [`CancelReplay`].
pub struct CancelReplayHandler<S> {
    store: S,
    clock: Arc<dyn Clock>,
}

impl<S> CancelReplayHandler<S> {
    pub(crate) fn new(store: S, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }
}

impl<S: Store> Handles<CancelReplay> for CancelReplayHandler<S>
where
    S::Tx: Repository<Endpoint, Key = (ApplicationId, EndpointRef)>
        + Repository<Replay, Key = ReplayId>
        + ReplayRepository,
{
    async fn handle(&self, scope: ApplicationScope, request: CancelReplay) -> Result<ReplayState, Error> {
        let (tenant, application) = (scope.tenant_scope(), scope.application());
        let mut tx = self.store.begin(tenant).await?;
        let endpoint =
            Repository::<Endpoint>::find(&mut tx, tenant, &(application, request.endpoint)).await?;
        let endpoint = endpoint.ok_or_else(|| Error::not_found("endpoint"))?.state().id;
        let mut replay = tx
            .hold_replay(tenant, request.replay)
            .await?
            .filter(|replay| {
                let of = replay.state();
                (of.application, of.endpoint) == (application, endpoint)
            })
            .ok_or_else(|| Error::not_found("replay"))?;
        if replay.cancel(self.clock.now()) == Change::Made {
            Repository::<Replay>::save(&mut tx, tenant, &mut replay).await?;
            let cancelled = replay.state().clone();
            tx.commit(scope.did(request.replay).answering(&scope, &cancelled))
                .await?;
        }
        Ok(replay.state().clone())
    }
}
