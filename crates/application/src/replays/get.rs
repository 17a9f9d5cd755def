use postrider_domain::{
    ApplicationId, EndpointId, ReplayId, access::Permission, applications::ApplicationRef,
    endpoints::EndpointRef, replays::ReplayState,
};

use crate::{
    Error, Result,
    access::{ApplicationScope, OnApplication, TenantScope},
    mediator::{Handles, Request},
    ports::{EndpointViews, ReplayViews},
};

/// Reads one replay: where it stands, and how far it came.
#[derive(Debug)]
pub struct GetReplay {
    /// The endpoint's application.
    pub application: ApplicationRef,
    /// The endpoint.
    pub endpoint: EndpointRef,
    /// Which.
    pub replay: ReplayId,
}

impl Request for GetReplay {
    type Output = ReplayState;
    type Access = OnApplication;
    const NAME: &'static str = "replay.get";

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::DeliveriesRead)
    }
}

/// Serves [`GetReplay`].
pub struct GetReplayHandler<S> {
    views: S,
}

impl<S> GetReplayHandler<S> {
    pub(crate) const fn new(views: S) -> Self {
        Self { views }
    }
}

/// The endpoint that is meant; *not found* if the application has none such.
pub(super) async fn named(
    views: &impl EndpointViews,
    tenant: &TenantScope,
    application: ApplicationId,
    endpoint: &EndpointRef,
) -> Result<EndpointId, Error> {
    let view = views.endpoint(tenant, application, endpoint).await?;
    Ok(view.ok_or_else(|| Error::not_found("endpoint"))?.id)
}

impl<S: ReplayViews + EndpointViews> Handles<GetReplay> for GetReplayHandler<S> {
    async fn handle(&self, scope: ApplicationScope, request: GetReplay) -> Result<ReplayState, Error> {
        let (tenant, application) = (scope.tenant_scope(), scope.application());
        let endpoint = named(&self.views, tenant, application, &request.endpoint).await?;
        self.views
            .replay(tenant, application, endpoint, request.replay)
            .await?
            .ok_or_else(|| Error::not_found("replay"))
    }
}
