use std::sync::Arc;

use postrider_domain::{
    Aggregate as _, Description, EndpointId, Metadata, Uid,
    access::Permission,
    applications::ApplicationRef,
    deliveries::RetrySchedule,
    endpoints::{AddressPolicy, AttemptTimeout, Endpoint, EndpointUrl, Filter, NewEndpoint, SigningSecret},
};

use crate::{
    Error, ErrorCode, Result, Settings,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request},
    ports::{
        ApplicationRepository, Clock, EndpointView, Ids, Randomness, Repository, Store, UnitOfWork as _,
    },
};

/// Creates an endpoint. A secret is generated unless one is given.
#[derive(Debug)]
pub struct CreateEndpoint {
    /// The application that it belongs to.
    pub application: ApplicationRef,
    /// The tenant's own name for it.
    pub uid: Option<Uid>,
    /// Where webhooks are sent.
    pub url: EndpointUrl,
    /// What it is for.
    pub description: Description,
    /// What it wants to hear of.
    pub filter: Filter,
    /// What its webhooks are signed with.
    pub secret: Option<SigningSecret>,
    /// When to try again, if not by the installation's schedule.
    pub retry_schedule: Option<RetrySchedule>,
    /// How long one attempt may take, if not the installation's time-out.
    pub timeout: Option<AttemptTimeout>,
    /// The tenant's notes.
    pub metadata: Metadata,
}

/// An endpoint, and its secret, so that the receiver can be set up with one call.
#[derive(Debug, Clone)]
pub struct CreatedEndpoint {
    /// The endpoint.
    pub endpoint: EndpointView,
    /// What its webhooks are signed with.
    pub secret: SigningSecret,
}

impl Request for CreateEndpoint {
    type Output = CreatedEndpoint;
    type Access = OnApplication;
    const NAME: &'static str = "endpoint.create";

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::EndpointsWrite)
    }
}

/// Serves [`CreateEndpoint`].
pub struct CreateEndpointHandler<S> {
    store: S,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    randomness: Arc<dyn Randomness>,
    address_policy: AddressPolicy,
    max_endpoints: u32,
}

impl<S> CreateEndpointHandler<S> {
    pub(crate) fn new(
        store: S,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        randomness: Arc<dyn Randomness>,
        settings: &Settings,
    ) -> Self {
        let address_policy = settings.address_policy.clone();
        let max_endpoints = settings.max_endpoints_per_application;
        Self {
            store,
            clock,
            ids,
            randomness,
            address_policy,
            max_endpoints,
        }
    }
}

impl<S: Store> Handles<CreateEndpoint> for CreateEndpointHandler<S>
where
    S::Tx: Repository<Endpoint> + ApplicationRepository,
{
    async fn handle(
        &self,
        scope: ApplicationScope,
        request: CreateEndpoint,
    ) -> Result<CreatedEndpoint, Error> {
        request
            .url
            .check_address(&self.address_policy)
            .map_err(|invalid| Error::invalid_field("url", invalid))?;
        let secret = request
            .secret
            .unwrap_or_else(|| SigningSecret::generate(self.randomness.bytes()));
        let new = NewEndpoint {
            uid: request.uid,
            url: request.url,
            description: request.description,
            filter: request.filter,
            secret: secret.clone(),
            retry_schedule: request.retry_schedule,
            timeout: request.timeout,
            metadata: request.metadata,
        };
        let id = EndpointId::from_uuid(self.ids.next());
        let mut endpoint = Endpoint::create(id, scope.tenant(), scope.application(), new, self.clock.now());
        let mut tx = self.store.begin(scope.tenant_scope()).await?;
        // Raised first: it makes those who create endpoints of this application take turns, so the count holds.
        tx.endpoints_changed(scope.tenant_scope(), scope.application())
            .await?;
        if tx
            .count_endpoints(scope.tenant_scope(), scope.application())
            .await?
            >= self.max_endpoints
        {
            let detail = format!("an application may have {} endpoints", self.max_endpoints);
            return Err(Error::new(ErrorCode::EndpointLimitReached, detail));
        }
        tx.save(scope.tenant_scope(), &mut endpoint).await?;
        let created = CreatedEndpoint {
            endpoint: EndpointView::of(endpoint.state()),
            secret,
        };
        tx.commit(scope.did(endpoint.state().id).answering(&scope, &created))
            .await?;
        Ok(created)
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        ErrorCode,
        endpoints::{GetEndpoint, GetEndpointSecret},
        testing::{World, create_endpoint},
    };
    use postrider_domain::{
        access::{Grant, Role},
        endpoints::SigningSecret,
    };

    #[tokio::test]
    async fn a_secret_is_generated_unless_given_and_is_read_apart() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let application = world.application(&owner, None).await.id;
        let generated = world
            .send(&owner, create_endpoint(application, "https://a.example/"))
            .await
            .unwrap();
        let mut request = create_endpoint(application, "https://b.example/");
        let given = SigningSecret::generate([9; 32]);
        request.secret = Some(given.clone());
        let with_given = world.send(&owner, request).await.unwrap();
        assert!(with_given.secret == given && generated.secret != given);
        let request = GetEndpointSecret {
            application: application.into(),
            endpoint: generated.endpoint.id.into(),
        };
        assert_eq!(world.send(&owner, request).await.unwrap(), generated.secret);
        let request = GetEndpoint {
            application: application.into(),
            endpoint: generated.endpoint.id.into(),
        };
        assert_eq!(world.send(&owner, request).await.unwrap(), generated.endpoint);
    }

    #[tokio::test]
    async fn an_application_has_a_bounded_number_of_endpoints() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let application = world.application(&owner, None).await.id;
        for _ in 0..100 {
            world
                .send(&owner, create_endpoint(application, "https://a.example/"))
                .await
                .unwrap();
        }
        let one_more = create_endpoint(application, "https://a.example/");
        assert_eq!(
            world.refusal(&owner, one_more).await,
            ErrorCode::EndpointLimitReached
        );
        let elsewhere = world.application(&owner, None).await.id;
        assert!(
            world
                .send(&owner, create_endpoint(elsewhere, "https://a.example/"))
                .await
                .is_ok()
        );
    }

    #[tokio::test]
    async fn private_addresses_are_refused_at_the_door() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let application = world.application(&owner, None).await.id;
        let error = world
            .send(&owner, create_endpoint(application, "http://169.254.169.254/"))
            .await
            .unwrap_err();
        assert_eq!(error.violations()[0].field, "url");
        assert_eq!(error.violations()[0].rule, "address_not_allowed");
    }

    #[tokio::test]
    async fn viewers_neither_create_nor_read_secrets() {
        let world = World::new();
        let created = world.tenant("ada@acme.example").await;
        let owner = crate::testing::principal(&created, Grant::tenant(Role::Owner));
        let viewer = crate::testing::principal(&created, Grant::tenant(Role::Viewer));
        let application = world.application(&owner, None).await.id;
        let endpoint = world
            .send(&owner, create_endpoint(application, "https://a.example/"))
            .await
            .unwrap();
        assert_eq!(
            world
                .refusal(&viewer, create_endpoint(application, "https://b.example/"))
                .await,
            ErrorCode::Forbidden
        );
        let request = GetEndpointSecret {
            application: application.into(),
            endpoint: endpoint.endpoint.id.into(),
        };
        assert_eq!(world.refusal(&viewer, request).await, ErrorCode::Forbidden);
    }
}
