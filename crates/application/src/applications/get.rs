use postrider_domain::{
    access::Permission,
    applications::{ApplicationRef, ApplicationState},
};

use crate::{
    Error, Result, Versioned,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request},
    ports::ApplicationViews,
};

/// Reads one application.
#[derive(Debug)]
pub struct GetApplication {
    /// Which.
    pub application: ApplicationRef,
}

impl Request for GetApplication {
    type Output = Versioned<ApplicationState>;
    type Access = OnApplication;
    const NAME: &'static str = "application.get";

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::ApplicationsRead)
    }
}

/// Serves [`GetApplication`].
pub struct GetApplicationHandler<S> {
    views: S,
}

impl<S> GetApplicationHandler<S> {
    pub(crate) const fn new(views: S) -> Self {
        Self { views }
    }
}

impl<S: ApplicationViews> Handles<GetApplication> for GetApplicationHandler<S> {
    async fn handle(
        &self,
        scope: ApplicationScope,
        _: GetApplication,
    ) -> Result<Versioned<ApplicationState>, Error> {
        self.views
            .application(scope.tenant_scope(), scope.application())
            .await?
            .ok_or_else(|| Error::not_found("application"))
    }
}
