use postrider_domain::{
    ReplayId, access::Permission, applications::ApplicationRef, endpoints::EndpointRef, replays::ReplayState,
};

use super::get::named;
use crate::{
    Error, Result,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request},
    ports::{EndpointViews, Page, PageRequest, ReplayViews},
};

/// Lists an endpoint's replays, the newest first.
#[derive(Debug)]
pub struct ListReplays {
    /// The endpoint's application.
    pub application: ApplicationRef,
    /// The endpoint.
    pub endpoint: EndpointRef,
    /// Which part of the list.
    pub page: PageRequest<ReplayId>,
}

impl Request for ListReplays {
    type Output = Page<ReplayState, ReplayId>;
    type Access = OnApplication;
    const NAME: &'static str = "replay.list";

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::DeliveriesRead)
    }
}

/// Serves [`ListReplays`].
pub struct ListReplaysHandler<S> {
    views: S,
}

impl<S> ListReplaysHandler<S> {
    pub(crate) const fn new(views: S) -> Self {
        Self { views }
    }
}

impl<S: ReplayViews + EndpointViews> Handles<ListReplays> for ListReplaysHandler<S> {
    async fn handle(
        &self,
        scope: ApplicationScope,
        request: ListReplays,
    ) -> Result<Page<ReplayState, ReplayId>, Error> {
        let (tenant, application) = (scope.tenant_scope(), scope.application());
        let endpoint = named(&self.views, tenant, application, &request.endpoint).await?;
        let page = self.views.replays(tenant, application, endpoint, request.page);
        Ok(page.await?)
    }
}
