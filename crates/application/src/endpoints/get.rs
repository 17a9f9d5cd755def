use postrider_domain::{access::Permission, applications::ApplicationRef, endpoints::EndpointRef};

use crate::{
    Error, Result,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request},
    ports::{EndpointView, EndpointViews},
};

/// Reads one endpoint, without its secret.
#[derive(Debug)]
pub struct GetEndpoint {
    /// Its application.
    pub application: ApplicationRef,
    /// Which.
    pub endpoint: EndpointRef,
}

impl Request for GetEndpoint {
    type Output = EndpointView;
    type Access = OnApplication;
    const NAME: &'static str = "endpoint.get";

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::EndpointsRead)
    }
}

/// Serves [`GetEndpoint`].
pub struct GetEndpointHandler<S> {
    views: S,
}

impl<S> GetEndpointHandler<S> {
    pub(crate) const fn new(views: S) -> Self {
        Self { views }
    }
}

impl<S: EndpointViews> Handles<GetEndpoint> for GetEndpointHandler<S> {
    async fn handle(&self, scope: ApplicationScope, request: GetEndpoint) -> Result<EndpointView, Error> {
        self.views
            .endpoint(scope.tenant_scope(), scope.application(), &request.endpoint)
            .await?
            .ok_or_else(|| Error::not_found("endpoint"))
    }
}
