use std::sync::Arc;

use postrider_domain::{
    Aggregate as _, ApplicationId, InvalidValue, Rule,
    access::Permission,
    applications::ApplicationRef,
    endpoints::{Endpoint, EndpointRef, HeldSecret, Overlap, RotationRefused},
};

use super::{NewSecret, secrets::SecretMaker};
use crate::{
    Error, ErrorCode, Ports, Result,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request},
    ports::{ApplicationRepository, Clock, Repository, Store, UnitOfWork as _},
};

/// Signs an endpoint's webhooks with another secret from now on, and for a while with those of before as well.
#[derive(Debug)]
pub struct RotateEndpointSecret {
    /// Its application.
    pub application: ApplicationRef,
    /// Which.
    pub endpoint: EndpointRef,
    /// The secret that signs from now on.
    pub secret: NewSecret,
    /// For how long those of before sign as well.
    pub overlap: Overlap,
}

impl Request for RotateEndpointSecret {
    /// What signs now, newest first.
    type Output = Vec<HeldSecret>;
    type Access = OnApplication;
    const NAME: &'static str = "endpoint.rotate_secret";
    const BARRIER: bool = true;

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::SecretsWrite)
    }
}

/// Serves [`RotateEndpointSecret`].
pub struct RotateEndpointSecretHandler<S> {
    store: S,
    clock: Arc<dyn Clock>,
    secrets: SecretMaker,
}

impl<S: Clone> RotateEndpointSecretHandler<S> {
    pub(crate) fn new(ports: &Ports<S>) -> Self {
        Self {
            store: ports.store.clone(),
            clock: ports.clock.clone(),
            secrets: SecretMaker::new(ports),
        }
    }
}

impl<S: Store> Handles<RotateEndpointSecret> for RotateEndpointSecretHandler<S>
where
    S::Tx: Repository<Endpoint, Key = (ApplicationId, EndpointRef)> + ApplicationRepository,
{
    async fn handle(
        &self,
        scope: ApplicationScope,
        request: RotateEndpointSecret,
    ) -> Result<Vec<HeldSecret>, Error> {
        let secret = self.secrets.make(request.secret)?;
        let (tenant, application) = (scope.tenant_scope(), scope.application());
        let mut tx = self.store.begin(tenant).await?;
        tx.endpoints_changed(tenant, application).await?;
        let found = tx.find(tenant, &(application, request.endpoint)).await?;
        let mut endpoint = found.ok_or_else(|| Error::not_found("endpoint"))?;
        endpoint
            .rotate_secret(secret, request.overlap, self.clock.now())
            .map_err(refusal)?;
        tx.save(tenant, &mut endpoint).await?;
        let held = endpoint.state().secrets.all().to_vec();
        tx.commit(scope.did(endpoint.state().id).answering(&scope, &held))
            .await?;
        Ok(held)
    }
}

fn refusal(refused: RotationRefused) -> Error {
    match refused {
        RotationRefused::InUse => {
            let invalid = InvalidValue::new(Rule::Duplicate, "signs already");
            Error::invalid_field("secret", invalid)
        }
        RotationRefused::TooMany => Error::new(
            ErrorCode::SecretLimitReached,
            "three old secrets still sign: wait until one has ended, or rotate without an overlap, which ends them all",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        access::Caller,
        endpoints::GetEndpointSecret,
        ports::{DeliveryMaterial as _, EventLog as _},
        testing::{World, create_endpoint},
    };
    use postrider_domain::{
        EndpointId, TenantId,
        access::{Grant, Role},
        endpoints::{EndpointSecret, GivenSecret, SecretType, SigningSecret},
    };
    use std::time::Duration;

    struct Scene {
        world: World,
        owner: Caller,
        tenant: TenantId,
        application: ApplicationId,
        endpoint: EndpointId,
        first: EndpointSecret,
    }

    impl Scene {
        async fn new() -> Self {
            let world = World::new();
            let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
            let application = world.application(&owner, None).await;
            let request = create_endpoint(application.id, "https://a.example/");
            let created = world.send(&owner, request).await.unwrap();
            Self {
                owner,
                tenant: application.tenant,
                application: application.id,
                endpoint: created.endpoint.id,
                first: created.secret,
                world,
            }
        }

        fn rotate(&self, secret: NewSecret, seconds: u64) -> RotateEndpointSecret {
            RotateEndpointSecret {
                application: self.application.into(),
                endpoint: self.endpoint.into(),
                secret,
                overlap: Overlap::from_seconds(seconds).unwrap(),
            }
        }

        async fn rotated(&self, secret: NewSecret, seconds: u64) -> EndpointSecret {
            let request = self.rotate(secret, seconds);
            self.world.send(&self.owner, request).await.unwrap()[0]
                .secret
                .clone()
        }

        /// What is shown to sign now.
        async fn signing(&self) -> Vec<EndpointSecret> {
            let request = GetEndpointSecret {
                application: self.application.into(),
                endpoint: self.endpoint.into(),
            };
            let held = self.world.send(&self.owner, request).await.unwrap();
            held.into_iter().map(|held| held.secret).collect()
        }
    }

    #[tokio::test]
    async fn both_sign_until_the_overlap_is_over() {
        let scene = Scene::new().await;
        let second = scene.rotated(NewSecret::default(), 60).await;
        assert_ne!(second, scene.first);
        assert_eq!(scene.signing().await, [second.clone(), scene.first.clone()]);
        let key = [(scene.tenant, scene.application)];
        let sets = scene.world.store.endpoints(&key).await.unwrap();
        let secrets = &sets[&scene.application].endpoints[0].secrets;
        assert_eq!(secrets.len(), 2, "the engine has both");
        scene.world.pass(Duration::from_mins(1));
        assert_eq!(scene.signing().await, [second]);
    }

    #[tokio::test]
    async fn no_overlap_ends_all_and_the_log_holds_no_secret() {
        let scene = Scene::new().await;
        scene.rotated(NewSecret::default(), 60).await;
        let given = SigningSecret::generate([5; 32]);
        let third = scene
            .rotated(NewSecret::Given(GivenSecret::Hmac(given.clone())), 0)
            .await;
        assert_eq!(scene.signing().await, [third]);
        let log = scene.world.store.after(0, 100).await.unwrap();
        let rotations: Vec<_> = log
            .iter()
            .filter(|event| event.kind == "endpoint.secret_rotated")
            .collect();
        assert_eq!(rotations.len(), 2);
        assert!(log.iter().all(|event| !event.body.contains(&given.reveal()[6..])));
    }

    #[tokio::test]
    async fn from_one_kind_to_the_other() {
        let scene = Scene::new().await;
        let pair = scene.rotated(NewSecret::Generated(SecretType::Ed25519), 60).await;
        assert_eq!(pair.kind(), SecretType::Ed25519);
        assert_eq!(scene.signing().await, [pair.clone(), scene.first.clone()]);
        let EndpointSecret::Ed25519(key) = &pair else {
            panic!("a pair")
        };
        let with = |public| {
            let seed = *key.seed();
            NewSecret::Given(GivenSecret::Ed25519 { seed, public })
        };
        let error = scene
            .world
            .send(&scene.owner, scene.rotate(with(Some([0; 32])), 0))
            .await;
        assert_eq!(&*error.unwrap_err().violations()[0].rule, "format");
        let error = scene
            .world
            .send(&scene.owner, scene.rotate(with(Some(*key.public())), 0))
            .await;
        assert_eq!(&*error.unwrap_err().violations()[0].rule, "duplicate");
    }

    #[tokio::test]
    async fn few_sign_at_a_time_and_only_some_may_rotate() {
        let scene = Scene::new().await;
        for _ in 0..3 {
            scene.rotated(NewSecret::default(), 60).await;
        }
        assert_eq!(
            scene
                .world
                .refusal(&scene.owner, scene.rotate(NewSecret::default(), 60))
                .await,
            ErrorCode::SecretLimitReached
        );
        scene.rotated(NewSecret::default(), 0).await;
        assert_eq!(scene.signing().await.len(), 1);
        let viewer = World::same_tenant(&scene.owner, Grant::tenant(Role::Viewer));
        let request = scene.rotate(NewSecret::default(), 0);
        assert_eq!(scene.world.refusal(&viewer, request).await, ErrorCode::Forbidden);
    }
}
