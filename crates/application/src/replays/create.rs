use std::sync::Arc;

use postrider_domain::{
    Aggregate as _, ApplicationId, ReplayId,
    access::Permission,
    applications::ApplicationRef,
    endpoints::{Endpoint, EndpointRef},
    replays::{NewReplay, Replay, ReplayState},
};

use crate::{
    Error, ErrorCode, Result, Settings, Violation,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request},
    ports::{Clock, Ids, ReplayRepository, Repository, Store, TracePropagation, UnitOfWork as _},
};

/// Begins to deliver messages of a time to an endpoint: once more, or those that it never got. The job goes on by
/// itself, on whichever node.
#[derive(Debug)]
pub struct CreateReplay {
    /// The endpoint's application.
    pub application: ApplicationRef,
    /// The endpoint. It must be enabled.
    pub endpoint: EndpointRef,
    /// Which messages.
    pub replay: NewReplay,
}

impl Request for CreateReplay {
    type Output = ReplayState;
    type Access = OnApplication;
    const NAME: &'static str = "replay.create";

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::DeliveriesReplay)
    }
}

/// Serves [`CreateReplay`].
pub struct CreateReplayHandler<S> {
    store: S,
    trace: Arc<dyn TracePropagation>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    most_of_endpoint: u32,
    most_of_tenant: u32,
}

impl<S> CreateReplayHandler<S> {
    pub(crate) fn new(
        store: S,
        trace: Arc<dyn TracePropagation>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        settings: &Settings,
    ) -> Self {
        Self {
            store,
            trace,
            clock,
            ids,
            most_of_endpoint: settings.max_replays_per_endpoint,
            most_of_tenant: settings.max_replays_per_tenant,
        }
    }
}

impl<S: Store> Handles<CreateReplay> for CreateReplayHandler<S>
where
    S::Tx: Repository<Endpoint, Key = (ApplicationId, EndpointRef)>
        + Repository<Replay, Key = ReplayId>
        + ReplayRepository,
{
    async fn handle(&self, scope: ApplicationScope, request: CreateReplay) -> Result<ReplayState, Error> {
        let (tenant, application) = (scope.tenant_scope(), scope.application());
        let mut tx = self.store.begin(tenant).await?;
        let endpoint =
            Repository::<Endpoint>::find(&mut tx, tenant, &(application, request.endpoint)).await?;
        let endpoint = endpoint.ok_or_else(|| Error::not_found("endpoint"))?;
        let (endpoint, status) = (endpoint.state().id, endpoint.state().status);
        if status.is_disabled() {
            return Err(Error::new(
                ErrorCode::EndpointDisabled,
                "enable the endpoint, then replay",
            ));
        }
        let running = tx.count_running(tenant, endpoint).await?;
        if running.of_endpoint >= self.most_of_endpoint || running.of_tenant >= self.most_of_tenant {
            let detail = format!(
                "{} replays of the endpoint and {} of the tenant are under way; {} and {} may be",
                running.of_endpoint, running.of_tenant, self.most_of_endpoint, self.most_of_tenant
            );
            return Err(Error::new(ErrorCode::ReplayLimitReached, detail));
        }
        let mut replay = Replay::begin(
            ReplayId::from_uuid(self.ids.next()),
            tenant.tenant(),
            (application, endpoint),
            request.replay,
            self.clock.now(),
        )
        .map_err(|invalid| Error::invalid(vec![Violation::new("from", invalid)]))?;
        Repository::<Replay>::save(&mut tx, tenant, &mut replay).await?;
        let begun = replay.state().clone();
        if let Some(asked_in) = self.trace.recorded() {
            tx.note_asked_in(tenant, begun.id, &asked_in).await?;
        }
        tx.commit(scope.did(begun.id).answering(&scope, &begun)).await?;
        Ok(begun)
    }
}

#[cfg(test)]
#[path = "replays_tests.rs"]
mod tests;
