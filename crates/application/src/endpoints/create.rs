use std::sync::Arc;

use postrider_domain::{
    Aggregate as _, Description, EndpointId, Metadata, Uid,
    access::Permission,
    applications::ApplicationRef,
    deliveries::RetrySchedule,
    endpoints::{
        AddressPolicy, AttemptTimeout, CustomHeaders, Endpoint, EndpointSecret, EndpointUrl, Filter,
        NewEndpoint,
    },
};

use super::{NewSecret, secrets::SecretMaker};
use crate::{
    Error, ErrorCode, Ports, Result, Settings,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request},
    ports::{ApplicationRepository, Clock, EndpointView, Ids, Repository, Store, UnitOfWork},
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
    pub secret: NewSecret,
    /// What is sent with every webhook besides.
    pub headers: CustomHeaders,
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
    pub secret: EndpointSecret,
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
    making: Making,
}

/// What it takes to make an endpoint.
pub(super) struct Making {
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    secrets: SecretMaker,
    address_policy: AddressPolicy,
    max_endpoints: u32,
}

impl<S: Clone> CreateEndpointHandler<S> {
    pub(crate) fn new(ports: &Ports<S>, settings: &Settings) -> Self {
        Self {
            store: ports.store.clone(),
            making: Making::new(ports, settings),
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
        let endpoint = self.making.endpoint(&scope, request)?;
        let mut tx = self.store.begin(scope.tenant_scope()).await?;
        // Raised first: it makes those who create endpoints of this application take turns, so the count holds.
        tx.endpoints_changed(scope.tenant_scope(), scope.application())
            .await?;
        self.making.save(tx, &scope, endpoint).await
    }
}

impl Making {
    pub(super) fn new<S>(ports: &Ports<S>, settings: &Settings) -> Self {
        Self {
            clock: ports.clock.clone(),
            ids: ports.ids.clone(),
            secrets: SecretMaker::new(ports),
            address_policy: settings.address_policy.clone(),
            max_endpoints: settings.max_endpoints_per_application,
        }
    }

    /// The endpoint that is asked for, not stored yet.
    pub(super) fn endpoint(&self, scope: &ApplicationScope, request: CreateEndpoint) -> Result<Endpoint> {
        self.may_send_to(&request.url)?;
        let new = NewEndpoint {
            uid: request.uid,
            url: request.url,
            description: request.description,
            filter: request.filter,
            secret: self.secrets.make(request.secret)?,
            headers: request.headers,
            retry_schedule: request.retry_schedule,
            timeout: request.timeout,
            metadata: request.metadata,
        };
        let id = EndpointId::from_uuid(self.ids.next());
        let (tenant, application) = (scope.tenant(), scope.application());
        Ok(Endpoint::create(id, tenant, application, new, self.clock.now()))
    }

    /// Refuses a URL that the installation does not deliver to.
    pub(super) fn may_send_to(&self, url: &EndpointUrl) -> Result<()> {
        url.check_address(&self.address_policy)
            .map_err(|invalid| Error::invalid_field("url", invalid))
    }

    /// Stores a new endpoint, if there is room for one, in a transaction in which nobody else adds any.
    pub(super) async fn save<T>(
        &self,
        mut tx: T,
        scope: &ApplicationScope,
        mut endpoint: Endpoint,
    ) -> Result<CreatedEndpoint>
    where
        T: UnitOfWork + Repository<Endpoint> + ApplicationRepository,
    {
        let count = tx
            .count_endpoints(scope.tenant_scope(), scope.application())
            .await?;
        if count >= self.max_endpoints {
            let detail = format!("an application may have {} endpoints", self.max_endpoints);
            return Err(Error::new(ErrorCode::EndpointLimitReached, detail));
        }
        tx.save(scope.tenant_scope(), &mut endpoint).await?;
        let created = CreatedEndpoint {
            endpoint: EndpointView::of(endpoint.state(), endpoint.version().next()),
            secret: endpoint.state().secrets.current().clone(),
        };
        tx.commit(scope.did(endpoint.state().id).answering(scope, &created))
            .await?;
        Ok(created)
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        ErrorCode,
        endpoints::{GetEndpoint, GetEndpointSecret, NewSecret},
        testing::{World, create_endpoint},
    };
    use postrider_domain::{
        access::{Grant, Role},
        endpoints::{EndpointSecret, GivenSecret, SigningSecret},
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
        request.secret = NewSecret::Given(GivenSecret::Hmac(given.clone()));
        let given = EndpointSecret::from(given);
        let with_given = world.send(&owner, request).await.unwrap();
        assert!(with_given.secret == given && generated.secret != given);
        let request = GetEndpointSecret {
            application: application.into(),
            endpoint: generated.endpoint.id.into(),
        };
        let held = world.send(&owner, request).await.unwrap();
        assert_eq!(held, [generated.secret.into()]);
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
