//! Disabling what is not worth sending to any more: nobody's request, but what the engine decides.

use std::sync::Arc;

use async_trait::async_trait;
use postrider_domain::{
    Aggregate as _, ApplicationId, AuditEntryId, Change, EndpointId, TenantId, Version,
    endpoints::{DisableReason, Endpoint, EndpointRef},
};

use super::DisableEndpoint;
use crate::{
    access::{Origin, TenantScope},
    audit::{Actor, Occasion},
    contention::again_while_stale,
    mediator::Request,
    ports::{
        ApplicationRepository, Clock, EndpointGuard, Ids, Repository, Store, StoreError, UnitOfWork as _,
    },
};

/// The part of the system that the audit log names.
const ENGINE: &str = "engine";

/// Disables endpoints in the name of the system: the engine's way to a change of an aggregate, which it does not make
/// itself.
pub struct DisableByEngine<S> {
    store: S,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

impl<S> DisableByEngine<S> {
    /// Disables what is in `store`.
    pub const fn new(store: S, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        Self { store, clock, ids }
    }

    fn scope(&self, tenant: TenantId) -> TenantScope {
        let occasion = Occasion {
            asking: None,
            id: AuditEntryId::from_uuid(self.ids.next()),
            at: self.clock.now(),
            action: DisableEndpoint::NAME,
            actor: Actor::system(ENGINE),
            origin: Origin::default(),
        };
        TenantScope::of_system(tenant, occasion)
    }
}

#[async_trait]
impl<S: Store> EndpointGuard for DisableByEngine<S>
where
    S::Tx: Repository<Endpoint, Key = (ApplicationId, EndpointRef)> + ApplicationRepository,
{
    async fn disable(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        endpoint: EndpointId,
        why: DisableReason,
        seen: Option<Version>,
    ) -> Result<Change, StoreError> {
        let key = (application, EndpointRef::Id(endpoint));
        again_while_stale(|| self.try_disable(tenant, &key, why, seen)).await
    }
}

impl<S: Store> DisableByEngine<S>
where
    S::Tx: Repository<Endpoint, Key = (ApplicationId, EndpointRef)> + ApplicationRepository,
{
    async fn try_disable(
        &self,
        tenant: TenantId,
        key: &(ApplicationId, EndpointRef),
        why: DisableReason,
        seen: Option<Version>,
    ) -> Result<Change, StoreError> {
        let scope = self.scope(tenant);
        let mut tx = self.store.begin(&scope).await?;
        // The application first, as everybody does who changes both; if it is gone, so is the endpoint.
        match tx.endpoints_changed(&scope, key.0).await {
            Err(StoreError::Stale) => return Ok(Change::None),
            raised => raised?,
        }
        let Some(mut endpoint) = tx.find(&scope, key).await? else {
            return Ok(Change::None);
        };
        let another_by_now = seen.is_some_and(|seen| seen != endpoint.version());
        if another_by_now || endpoint.disable(why, self.clock.now()) == Change::None {
            return Ok(Change::None);
        }
        tx.save(&scope, &mut endpoint).await?;
        tx.commit(scope.did(endpoint.state().id)).await?;
        tracing::info!(endpoint = %endpoint.state().id, why = why.as_str(), "an endpoint was disabled");
        Ok(Change::Made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        access::Caller,
        audit::{ActorKind, AuditEntry, AuditOutcome},
        audit_entries::ListAuditEntries,
        contention::TRIES,
        endpoints::{EnableEndpoint, GetEndpoint},
        ports::{AuditFilter, DeliveryMaterial as _, PageRequest},
        testing::{Contended, World, create_endpoint},
    };
    use postrider_domain::{
        access::{Grant, Role},
        endpoints::EndpointStatus,
    };

    struct Scene {
        world: World,
        owner: Caller,
        tenant: TenantId,
        application: ApplicationId,
        endpoint: EndpointId,
    }

    impl Scene {
        async fn new() -> Self {
            let world = World::new();
            let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
            let application = world.application(&owner, None).await;
            let request = create_endpoint(application.id, "https://a.example/");
            let endpoint = world.send(&owner, request).await.unwrap().endpoint.id;
            Self {
                owner,
                tenant: application.tenant,
                application: application.id,
                endpoint,
                world,
            }
        }

        fn guard_over<S>(&self, store: S) -> DisableByEngine<S> {
            DisableByEngine::new(store, self.world.clock.clone(), self.world.ids())
        }

        async fn disable(&self, why: DisableReason, seen: Option<Version>) -> Change {
            let guard = self.guard_over(self.world.store.clone());
            let disabling = guard.disable(self.tenant, self.application, self.endpoint, why, seen);
            disabling.await.unwrap()
        }

        async fn status(&self) -> EndpointStatus {
            let request = GetEndpoint {
                application: self.application.into(),
                endpoint: self.endpoint.into(),
            };
            self.world.send(&self.owner, request).await.unwrap().status
        }

        async fn enable(&self) {
            let request = EnableEndpoint {
                application: self.application.into(),
                endpoint: self.endpoint.into(),
            };
            self.world.send(&self.owner, request).await.unwrap();
        }

        /// The endpoint as the engine reads it: its version, and that of its application's endpoints.
        async fn as_read(&self) -> (Version, i64) {
            let key = [(self.tenant, self.application)];
            let read = self.world.store.endpoints(&key).await.unwrap();
            let set = &read[&self.application];
            (set.get(self.endpoint).unwrap().version, set.version)
        }

        /// What the audit log says of disabling.
        async fn entries(&self) -> Vec<AuditEntry> {
            let request = ListAuditEntries {
                filter: AuditFilter {
                    action: Some("endpoint.disable".to_owned()),
                    ..AuditFilter::default()
                },
                page: PageRequest::first(10),
            };
            self.world.send(&self.owner, request).await.unwrap().items
        }

        async fn disablings(&self) -> usize {
            let kinds = self.world.kinds().await;
            kinds.iter().filter(|kind| *kind == "endpoint.disabled").count()
        }
    }

    #[tokio::test]
    async fn it_is_disabled_with_its_reason_its_event_and_an_entry_that_names_the_engine() {
        let scene = Scene::new().await;
        let (seen, endpoints_version) = scene.as_read().await;
        assert_eq!(scene.disable(DisableReason::Gone, Some(seen)).await, Change::Made);
        let at = scene.world.now();
        let why = DisableReason::Gone;
        assert_eq!(scene.status().await, EndpointStatus::Disabled { why, at });
        assert_eq!(scene.disablings().await, 1);
        assert!(
            scene.as_read().await.1 > endpoints_version,
            "match sets are known to be old"
        );
        let [entry] = <[_; 1]>::try_from(scene.entries().await).unwrap();
        assert_eq!(
            (entry.actor.kind, &*entry.actor.id),
            (ActorKind::System, "engine")
        );
        assert_eq!(entry.target, Some(scene.endpoint.to_string()));
        assert_eq!(
            (entry.outcome, entry.tenant),
            (AuditOutcome::Done, Some(scene.tenant))
        );
        assert_eq!((entry.address, entry.request_id), (None, None));
    }

    #[tokio::test]
    async fn what_is_disabled_already_or_gone_is_left_alone() {
        let scene = Scene::new().await;
        assert_eq!(scene.disable(DisableReason::Failing, None).await, Change::Made);
        assert_eq!(scene.disable(DisableReason::Gone, None).await, Change::None);
        let why = DisableReason::Failing;
        let at = scene.world.now();
        assert_eq!(scene.status().await, EndpointStatus::Disabled { why, at });
        assert_eq!((scene.disablings().await, scene.entries().await.len()), (1, 1));
        let other = EndpointId::from_uuid(uuid::Uuid::nil());
        let guard = scene.guard_over(scene.world.store.clone());
        let gone = guard
            .disable(scene.tenant, scene.application, other, why, None)
            .await;
        assert_eq!(gone.unwrap(), Change::None);
    }

    #[tokio::test]
    async fn an_endpoint_of_another_tenant_does_not_exist() {
        let scene = Scene::new().await;
        let other = scene.world.tenant("eve@evil.example").await.tenant;
        let guard = scene.guard_over(scene.world.store.clone());
        let disabling = guard.disable(
            other,
            scene.application,
            scene.endpoint,
            DisableReason::Gone,
            None,
        );
        assert_eq!(disabling.await.unwrap(), Change::None);
        assert!(!scene.status().await.is_disabled());
    }

    #[tokio::test]
    async fn one_that_was_saved_since_is_another_one() {
        let scene = Scene::new().await;
        let (seen, _) = scene.as_read().await;
        assert_eq!(scene.disable(DisableReason::Gone, Some(seen)).await, Change::Made);
        scene.enable().await;
        assert_eq!(scene.disable(DisableReason::Gone, Some(seen)).await, Change::None);
        assert!(
            !scene.status().await.is_disabled(),
            "it was enabled after that answer"
        );
        let (seen, _) = scene.as_read().await;
        assert_eq!(scene.disable(DisableReason::Gone, Some(seen)).await, Change::Made);
    }

    #[tokio::test]
    async fn a_stale_version_is_read_again_but_not_for_ever() {
        for (others, succeeds) in [(TRIES - 1, true), (TRIES, false)] {
            let scene = Scene::new().await;
            let store = Contended::new(scene.world.store.clone(), others);
            let guard = scene.guard_over(store);
            let why = DisableReason::Failing;
            let ended = guard
                .disable(scene.tenant, scene.application, scene.endpoint, why, None)
                .await;
            assert_eq!(matches!(ended, Ok(Change::Made)), succeeds, "{others}");
            assert_eq!(matches!(ended, Err(StoreError::Stale)), !succeeds, "{others}");
            assert_eq!(scene.disablings().await, usize::from(succeeds));
        }
    }
}
