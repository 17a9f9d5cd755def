use postrider_domain::{EndpointId, access::Permission, applications::ApplicationRef};

use crate::{
    Error, Result,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request},
    ports::{EndpointFilter, EndpointView, EndpointViews, Page, PageRequest},
};

/// Lists the endpoints of an application, by id.
#[derive(Debug)]
pub struct ListEndpoints {
    /// The application.
    pub application: ApplicationRef,
    /// Which of them.
    pub filter: EndpointFilter,
    /// Which piece of the list.
    pub page: PageRequest<EndpointId>,
}

impl Request for ListEndpoints {
    type Output = Page<EndpointView, EndpointId>;
    type Access = OnApplication;
    const NAME: &'static str = "endpoint.list";

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::EndpointsRead)
    }
}

/// Serves [`ListEndpoints`].
pub struct ListEndpointsHandler<S> {
    views: S,
}

impl<S> ListEndpointsHandler<S> {
    pub(crate) const fn new(views: S) -> Self {
        Self { views }
    }
}

impl<S: EndpointViews> Handles<ListEndpoints> for ListEndpointsHandler<S> {
    async fn handle(
        &self,
        scope: ApplicationScope,
        request: ListEndpoints,
    ) -> Result<Page<EndpointView, EndpointId>, Error> {
        let (tenant, application) = (scope.tenant_scope(), scope.application());
        Ok(self
            .views
            .endpoints_of(tenant, application, &request.filter, request.page)
            .await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ErrorCode,
        testing::{World, create_endpoint},
    };
    use postrider_domain::access::{Grant, Role};

    #[tokio::test]
    async fn shows_the_applications_own_in_order() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let (application, other) = (
            world.application(&owner, None).await.id,
            world.application(&owner, None).await.id,
        );
        let mut ids = Vec::new();
        for application in [application, other, application] {
            let created = world
                .send(&owner, create_endpoint(application, "https://a.example/"))
                .await;
            ids.push(created.unwrap().endpoint.id);
        }
        let list = |application: postrider_domain::ApplicationId| ListEndpoints {
            application: application.into(),
            filter: EndpointFilter::default(),
            page: PageRequest::first(10),
        };
        let listed = world.send(&owner, list(application)).await.unwrap();
        let listed: Vec<_> = listed.items.iter().map(|endpoint| endpoint.id).collect();
        assert_eq!(listed, [ids[0], ids[2]]);
        let elsewhere = World::same_tenant(&owner, Grant::application(Role::Viewer, other));
        assert_eq!(
            world.refusal(&elsewhere, list(application)).await,
            ErrorCode::Forbidden
        );
        let stranger = world.caller("bob@beta.example", Grant::tenant(Role::Owner)).await;
        assert_eq!(
            world.refusal(&stranger, list(application)).await,
            ErrorCode::NotFound
        );
    }
}
