use std::sync::Arc;

use postrider_domain::{
    access::Permission,
    applications::ApplicationRef,
    endpoints::{EndpointRef, HeldSecret},
};

use crate::{
    Error, Result,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request},
    ports::{Clock, EndpointViews},
};

/// Reads what an endpoint's webhooks are signed with now: the newest secret first, and those of before that still sign.
#[derive(Debug)]
pub struct GetEndpointSecret {
    /// Its application.
    pub application: ApplicationRef,
    /// Which.
    pub endpoint: EndpointRef,
}

impl Request for GetEndpointSecret {
    type Output = Vec<HeldSecret>;
    type Access = OnApplication;
    const NAME: &'static str = "endpoint.get_secret";

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::SecretsRead)
    }
}

/// Serves [`GetEndpointSecret`].
pub struct GetEndpointSecretHandler<S> {
    views: S,
    clock: Arc<dyn Clock>,
}

impl<S> GetEndpointSecretHandler<S> {
    pub(crate) fn new(views: S, clock: Arc<dyn Clock>) -> Self {
        Self { views, clock }
    }
}

impl<S: EndpointViews> Handles<GetEndpointSecret> for GetEndpointSecretHandler<S> {
    async fn handle(
        &self,
        scope: ApplicationScope,
        request: GetEndpointSecret,
    ) -> Result<Vec<HeldSecret>, Error> {
        let secrets = self
            .views
            .endpoint_secrets(scope.tenant_scope(), scope.application(), &request.endpoint)
            .await?
            .ok_or_else(|| Error::not_found("endpoint"))?;
        let now = self.clock.now();
        let signing = secrets.all().iter().filter(|held| held.signs_at(now));
        Ok(signing.cloned().collect())
    }
}
