use std::sync::Arc;

use postrider_domain::{
    InvalidValue, MessageId, Rule, Timestamp, access::Permission, applications::ApplicationRef,
    endpoints::EndpointRef,
};

use crate::{
    Error, Result, Violation,
    access::{OnVisibleApplications, VisibleScope},
    mediator::{Handles, Request},
    ports::{
        ApplicationDirectory, DeliveryFilter, DeliveryKey, DeliveryState, DeliveryViews, EndpointViews,
        ListedDelivery, Page, PageRequest,
    },
};

/// Looks for deliveries, newest message first, in all applications that the caller may see, or one of them.
///
/// What is bounded to look for: the deliveries of a message, those of an application (of one endpoint, too), and in the
/// whole tenant those that are not delivered. Anything else is refused, and says what it lacks.
#[derive(Debug)]
pub struct SearchDeliveries {
    /// Of this application.
    pub application: Option<ApplicationRef>,
    /// To this endpoint of it.
    pub endpoint: Option<EndpointRef>,
    /// Of this message.
    pub message: Option<MessageId>,
    /// Standing there.
    pub state: Option<DeliveryState>,
    /// Of messages accepted at this time or later.
    pub from: Option<Timestamp>,
    /// Of messages accepted before this time.
    pub to: Option<Timestamp>,
    /// Which part of the list.
    pub page: PageRequest<DeliveryKey>,
}

impl Request for SearchDeliveries {
    type Output = Page<ListedDelivery, DeliveryKey>;
    type Access = OnVisibleApplications;
    const NAME: &'static str = "delivery.search";

    fn access(&self) -> OnVisibleApplications {
        OnVisibleApplications(Permission::DeliveriesRead)
    }
}

/// Serves [`SearchDeliveries`].
pub struct SearchDeliveriesHandler<S> {
    views: S,
    directory: Arc<dyn ApplicationDirectory>,
}

impl<S> SearchDeliveriesHandler<S> {
    pub(crate) fn new(views: S, directory: Arc<dyn ApplicationDirectory>) -> Self {
        Self { views, directory }
    }
}

fn lacks_application(message: &str) -> Error {
    let invalid = InvalidValue::new(Rule::Required, message);
    Error::invalid(vec![Violation::new("application", invalid)])
}

impl<S: DeliveryViews + EndpointViews> Handles<SearchDeliveries> for SearchDeliveriesHandler<S> {
    async fn handle(
        &self,
        scope: VisibleScope,
        request: SearchDeliveries,
    ) -> Result<Page<ListedDelivery, DeliveryKey>, Error> {
        let (tenant, visible) = (scope.tenant_scope(), scope.visible());
        let application = match &request.application {
            Some(reference) => {
                let found = self.directory.resolve(tenant, reference).await?;
                let found = found.filter(|application| visible.shows(*application));
                Some(found.ok_or_else(|| Error::not_found("application"))?)
            }
            None => None,
        };
        let endpoint = match (&request.endpoint, application) {
            (None, _) => None,
            (Some(_), None) => return Err(lacks_application("must be given with `endpoint`")),
            (Some(reference), Some(application)) => {
                let found = self.views.endpoint(tenant, application, reference).await?;
                Some(found.ok_or_else(|| Error::not_found("endpoint"))?.id)
            }
        };
        let undelivered = request
            .state
            .is_some_and(|state| state != DeliveryState::Delivered);
        if application.is_none() && request.message.is_none() && !undelivered {
            return Err(lacks_application(
                "must be given, unless `message` is, or `status` is `pending`, `failed` or `cancelled`",
            ));
        }
        let filter = DeliveryFilter {
            application,
            endpoint,
            message: request.message,
            state: request.state,
            from: request.from,
            to: request.to,
        };
        let page = self
            .views
            .search_deliveries(tenant, visible, &filter, request.page);
        Ok(page.await?)
    }
}

#[cfg(test)]
mod tests {
    use postrider_domain::access::{Grant, Role};

    use super::*;
    use crate::{ErrorCode, testing::World};

    fn search(application: Option<ApplicationRef>, state: Option<DeliveryState>) -> SearchDeliveries {
        SearchDeliveries {
            application,
            endpoint: None,
            message: None,
            state,
            from: None,
            to: None,
            page: PageRequest::first(10),
        }
    }

    #[tokio::test]
    async fn what_is_not_bounded_is_refused() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let application = world.application(&owner, None).await.id;
        for state in [None, Some(DeliveryState::Delivered)] {
            let refusal = world.refusal(&owner, search(None, state)).await;
            assert_eq!(refusal, ErrorCode::ValidationFailed);
            assert!(
                world
                    .send(&owner, search(Some(application.into()), state))
                    .await
                    .is_ok()
            );
        }
        for state in [
            DeliveryState::Pending,
            DeliveryState::Failed,
            DeliveryState::Cancelled,
        ] {
            assert!(world.send(&owner, search(None, Some(state))).await.is_ok());
        }
        let endpoint = EndpointRef::Id(postrider_domain::EndpointId::from_uuid(application.as_uuid()));
        let request = SearchDeliveries {
            endpoint: Some(endpoint.clone()),
            ..search(None, Some(DeliveryState::Failed))
        };
        assert_eq!(world.refusal(&owner, request).await, ErrorCode::ValidationFailed);
        let request = SearchDeliveries {
            endpoint: Some(endpoint),
            ..search(Some(application.into()), None)
        };
        assert_eq!(world.refusal(&owner, request).await, ErrorCode::NotFound);
    }

    #[tokio::test]
    async fn who_may() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let [one, other] = [
            world.application(&owner, None).await.id,
            world.application(&owner, None).await.id,
        ];
        let viewer = World::same_tenant(&owner, Grant::application(Role::Viewer, one));
        assert!(world.send(&viewer, search(Some(one.into()), None)).await.is_ok());
        let refusal = world.refusal(&viewer, search(Some(other.into()), None)).await;
        assert_eq!(refusal, ErrorCode::NotFound);
        let publisher = World::same_tenant(&owner, Grant::tenant(Role::Publisher));
        let refusal = world.refusal(&publisher, search(Some(one.into()), None)).await;
        assert_eq!(refusal, ErrorCode::Forbidden);
    }
}
