use postrider_domain::{
    access::Permission,
    applications::ApplicationRef,
    endpoints::{EndpointRef, SigningSecret},
};

use crate::{
    Error, Result,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request},
    ports::EndpointViews,
};

/// Reads an endpoint's signing secret.
#[derive(Debug)]
pub struct GetEndpointSecret {
    /// Its application.
    pub application: ApplicationRef,
    /// Which.
    pub endpoint: EndpointRef,
}

impl Request for GetEndpointSecret {
    type Output = SigningSecret;
    type Access = OnApplication;
    const NAME: &'static str = "endpoint.get_secret";

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::SecretsRead)
    }
}

/// Serves [`GetEndpointSecret`].
pub struct GetEndpointSecretHandler<S> {
    views: S,
}

impl<S> GetEndpointSecretHandler<S> {
    pub(crate) const fn new(views: S) -> Self {
        Self { views }
    }
}

impl<S: EndpointViews> Handles<GetEndpointSecret> for GetEndpointSecretHandler<S> {
    async fn handle(
        &self,
        scope: ApplicationScope,
        request: GetEndpointSecret,
    ) -> Result<SigningSecret, Error> {
        self.views
            .endpoint_secret(scope.tenant_scope(), scope.application(), &request.endpoint)
            .await?
            .ok_or_else(|| Error::not_found("endpoint"))
    }
}
