use postrider_domain::{ApplicationId, access::Permission, applications::ApplicationState};

use crate::{
    Error, Result,
    access::{OnVisibleApplications, VisibleScope},
    mediator::{Handles, Request},
    ports::{ApplicationViews, Page, PageRequest},
};

/// Lists the applications that the caller may see, by id.
#[derive(Debug)]
pub struct ListApplications {
    /// Which piece of the list.
    pub page: PageRequest<ApplicationId>,
}

impl Request for ListApplications {
    type Output = Page<ApplicationState, ApplicationId>;
    type Access = OnVisibleApplications;
    const NAME: &'static str = "application.list";

    fn access(&self) -> OnVisibleApplications {
        OnVisibleApplications(Permission::ApplicationsRead)
    }
}

/// Serves [`ListApplications`].
pub struct ListApplicationsHandler<S> {
    views: S,
}

impl<S> ListApplicationsHandler<S> {
    pub(crate) const fn new(views: S) -> Self {
        Self { views }
    }
}

impl<S: ApplicationViews> Handles<ListApplications> for ListApplicationsHandler<S> {
    async fn handle(
        &self,
        scope: VisibleScope,
        request: ListApplications,
    ) -> Result<Page<ApplicationState, ApplicationId>, Error> {
        let page = request.page;
        Ok(self
            .views
            .applications(scope.tenant_scope(), scope.visible(), page)
            .await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;
    use postrider_domain::access::{Grant, Role};

    #[tokio::test]
    async fn shows_what_the_caller_may_see_and_nothing_else() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let stranger = world.caller("eve@evil.example", Grant::tenant(Role::Owner)).await;
        let (first, second) = (
            world.application(&owner, None).await.id,
            world.application(&owner, None).await.id,
        );
        world.application(&stranger, None).await;
        let viewer = World::same_tenant(&owner, Grant::application(Role::Viewer, second));
        for (caller, seen) in [(&owner, vec![first, second]), (&viewer, vec![second])] {
            let page = PageRequest::first(10);
            let page = world.send(caller, ListApplications { page }).await.unwrap();
            let ids: Vec<_> = page.items.iter().map(|application| application.id).collect();
            assert_eq!(ids, seen);
        }
    }
}
