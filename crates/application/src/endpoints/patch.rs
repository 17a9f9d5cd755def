use std::collections::BTreeMap;

use postrider_domain::{
    Aggregate as _, ApplicationId, Change, Description, Uid,
    access::Permission,
    applications::ApplicationRef,
    deliveries::RetrySchedule,
    endpoints::{
        AddressPolicy, AttemptTimeout, CustomHeaders, Endpoint, EndpointAttributes, EndpointRef, EndpointUrl,
        Filter, HeaderName, HeaderPatch,
    },
    event_types::EventTypeName,
    messages::Channel,
};

use super::put::invalid_headers;
use crate::{
    Error, IfMatch, Patch, Result, Settings,
    access::{ApplicationScope, OnApplication},
    change::{patched_metadata, version_after},
    mediator::{Handles, Request},
    ports::{ApplicationRepository, EndpointView, Repository, Store, UnitOfWork as _},
};

/// Changes some attributes of an endpoint.
#[derive(Debug)]
pub struct PatchEndpoint {
    /// Its application.
    pub application: ApplicationRef,
    /// Which.
    pub endpoint: EndpointRef,
    /// What changes.
    pub changes: EndpointChanges,
    /// What the caller presumes of it.
    pub if_match: IfMatch,
}

/// What changes of an endpoint; by default nothing.
#[derive(Debug, Default)]
pub struct EndpointChanges {
    /// The tenant's own name for it.
    pub uid: Patch<Uid>,
    /// Where webhooks are sent, if that changes.
    pub url: Option<EndpointUrl>,
    /// What it is for.
    pub description: Patch<Description>,
    /// Which event types it wants.
    pub event_types: Patch<Vec<EventTypeName>>,
    /// Which channels it wants.
    pub channels: Patch<Vec<Channel>>,
    /// Which headers change; those without anything go.
    pub headers: Patch<BTreeMap<HeaderName, Option<HeaderPatch>>>,
    /// When to try again.
    pub retry_schedule: Patch<RetrySchedule>,
    /// How long one attempt may take.
    pub timeout: Patch<AttemptTimeout>,
    /// Which of the tenant's notes change; those without a value go.
    pub metadata: Patch<BTreeMap<String, Option<String>>>,
}

impl EndpointChanges {
    fn apply(self, stored: EndpointAttributes) -> Result<EndpointAttributes> {
        let mut to = stored;
        self.uid.apply(&mut to.uid);
        if let Some(url) = self.url {
            to.url = url;
        }
        self.description.apply_or_default(&mut to.description);
        let (mut event_types, mut channels) =
            (to.filter.event_types().to_vec(), to.filter.channels().to_vec());
        self.event_types.apply_or_default(&mut event_types);
        self.channels.apply_or_default(&mut channels);
        to.filter = Filter::new(event_types, channels)
            .map_err(|invalid| Error::invalid_field("event_types", invalid))?;
        to.headers = match self.headers {
            Patch::Keep => to.headers,
            Patch::Clear => CustomHeaders::default(),
            Patch::Set(patch) => to.headers.merged(patch).map_err(invalid_headers)?,
        };
        self.retry_schedule.apply(&mut to.retry_schedule);
        self.timeout.apply(&mut to.timeout);
        to.metadata = patched_metadata(&to.metadata, self.metadata)?;
        Ok(to)
    }
}

impl Request for PatchEndpoint {
    type Output = EndpointView;
    type Access = OnApplication;
    const NAME: &'static str = "endpoint.patch";
    const BARRIER: bool = true;

    /// What is delivered, whereto and when does not depend on the rest. That something is said counts, and not that it
    /// differs: whoever repeats a change that was not seen by all wants to know that it is now.
    fn waits(&self) -> bool {
        let EndpointChanges {
            uid: _,
            url,
            description: _,
            event_types,
            channels,
            headers,
            retry_schedule,
            timeout,
            metadata: _,
        } = &self.changes;
        url.is_some()
            || event_types.is_said()
            || channels.is_said()
            || headers.is_said()
            || retry_schedule.is_said()
            || timeout.is_said()
    }

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::EndpointsWrite)
    }
}

/// Serves [`PatchEndpoint`].
pub struct PatchEndpointHandler<S> {
    store: S,
    address_policy: AddressPolicy,
}

impl<S> PatchEndpointHandler<S> {
    pub(crate) fn new(store: S, settings: &Settings) -> Self {
        let address_policy = settings.address_policy.clone();
        Self {
            store,
            address_policy,
        }
    }
}

impl<S: Store> Handles<PatchEndpoint> for PatchEndpointHandler<S>
where
    S::Tx: Repository<Endpoint, Key = (ApplicationId, EndpointRef)> + ApplicationRepository,
{
    async fn handle(&self, scope: ApplicationScope, request: PatchEndpoint) -> Result<EndpointView, Error> {
        if let Some(url) = &request.changes.url {
            url.check_address(&self.address_policy)
                .map_err(|invalid| Error::invalid_field("url", invalid))?;
        }
        let (tenant, application) = (scope.tenant_scope(), scope.application());
        let mut tx = self.store.begin(tenant).await?;
        tx.endpoints_changed(tenant, application).await?;
        let found = tx.find(tenant, &(application, request.endpoint)).await?;
        let mut endpoint = found.ok_or_else(|| Error::not_found("endpoint"))?;
        request.if_match.check(Some(endpoint.version()))?;
        let to = request.changes.apply(EndpointAttributes::of(endpoint.state()))?;
        let change = endpoint.change(to).map_err(invalid_headers)?;
        if change == Change::Made {
            tx.save(tenant, &mut endpoint).await?;
            tx.commit(scope.did(endpoint.state().id)).await?;
        }
        let version = version_after(endpoint.version(), change);
        Ok(EndpointView::of(endpoint.state(), version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ErrorCode,
        access::Caller,
        testing::{World, create_endpoint},
    };
    use postrider_domain::{
        EndpointId, Version,
        access::{Grant, Role},
        endpoints::HeaderValue,
    };

    struct Scene {
        world: World,
        owner: Caller,
        application: ApplicationId,
        endpoint: EndpointId,
    }

    impl Scene {
        async fn new() -> Self {
            let world = World::new();
            let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
            let application = world.application(&owner, None).await.id;
            let mut request = create_endpoint(application, "https://a.example/");
            request.uid = Some(Uid::parse("hook").unwrap());
            let named = |text| EventTypeName::parse(text).unwrap();
            let channel = Channel::parse("eu").unwrap();
            request.filter = Filter::new(vec![named("a")], vec![channel]).unwrap();
            request.timeout = Some(AttemptTimeout::default());
            let endpoint = world.send(&owner, request).await.unwrap().endpoint.id;
            Self {
                world,
                owner,
                application,
                endpoint,
            }
        }

        fn patch(&self, changes: EndpointChanges) -> PatchEndpoint {
            PatchEndpoint {
                application: self.application.into(),
                endpoint: self.endpoint.into(),
                changes,
                if_match: IfMatch::Unsaid,
            }
        }

        async fn change(&self, changes: EndpointChanges) -> EndpointView {
            self.world.send(&self.owner, self.patch(changes)).await.unwrap()
        }
    }

    #[tokio::test]
    async fn null_clears_and_what_is_not_named_stays() {
        let scene = Scene::new().await;
        let changed = scene
            .change(EndpointChanges {
                event_types: Patch::Clear,
                url: Some(EndpointUrl::parse("https://b.example/").unwrap()),
                ..EndpointChanges::default()
            })
            .await;
        assert_eq!(changed.url.as_str(), "https://b.example/");
        assert!(changed.filter.event_types().is_empty());
        assert_eq!(changed.filter.channels().len(), 1);
        assert!(changed.uid.is_some() && changed.timeout.is_some());
        let cleared = scene
            .change(EndpointChanges {
                uid: Patch::Clear,
                channels: Patch::Clear,
                timeout: Patch::Clear,
                ..EndpointChanges::default()
            })
            .await;
        assert_eq!((cleared.uid.as_ref(), cleared.timeout), (None, None));
        assert_eq!(cleared.filter, Filter::default());
        assert_eq!(cleared.version, Version(3));
        let nothing = scene.change(EndpointChanges::default()).await;
        assert_eq!(nothing, cleared, "no change, no version");
    }

    #[tokio::test]
    async fn headers_are_merged_by_name() {
        let scene = Scene::new().await;
        let name = |text: &str| HeaderName::parse(text).unwrap();
        let set = |text: &str, secret| {
            Some(HeaderPatch {
                value: Some(HeaderValue::parse(text, false).unwrap()),
                secret,
            })
        };
        let patch = |headers: Vec<(HeaderName, Option<HeaderPatch>)>| EndpointChanges {
            headers: Patch::Set(headers.into_iter().collect()),
            ..EndpointChanges::default()
        };
        let headers = vec![
            (name("x-a"), set("1", None)),
            (name("authorization"), set("s", Some(true))),
        ];
        scene.change(patch(headers)).await;
        let headers = vec![(name("x-a"), None), (name("authorization"), set("t", None))];
        let changed = scene.change(patch(headers)).await;
        let shown: Vec<_> = changed.headers.into_iter().collect();
        assert_eq!(shown, [(name("authorization"), None)], "it stays secret");
        let reveal = HeaderPatch {
            value: None,
            secret: Some(false),
        };
        let request = scene.patch(patch(vec![(name("authorization"), Some(reveal))]));
        let error = scene.world.send(&scene.owner, request).await.unwrap_err();
        assert_eq!(&*error.violations()[0].field, "headers.authorization");
        let many = (0..21).map(|n| (name(&format!("x-{n}")), set("v", None)));
        let request = scene.patch(patch(many.collect()));
        let error = scene.world.send(&scene.owner, request).await.unwrap_err();
        assert_eq!(&*error.violations()[0].field, "headers");
        let none = EndpointChanges {
            headers: Patch::Clear,
            ..EndpointChanges::default()
        };
        assert!(scene.change(none).await.headers.is_empty());
    }

    #[tokio::test]
    async fn secret_headers_do_not_follow_to_another_place() {
        let scene = Scene::new().await;
        let name = |text: &str| HeaderName::parse(text).unwrap();
        let header = |secret| HeaderPatch {
            value: Some(HeaderValue::parse("v", false).unwrap()),
            secret: Some(secret),
        };
        let patch = |url: &str, headers: &[(&str, Option<HeaderPatch>)]| EndpointChanges {
            url: Some(EndpointUrl::parse(url).unwrap()),
            headers: Patch::Set(headers.iter().map(|(n, v)| (name(n), v.clone())).collect()),
            ..EndpointChanges::default()
        };
        let secret = Some(header(true));
        let given = [
            ("x-a", secret.clone()),
            ("x-b", secret.clone()),
            ("x-c", Some(header(false))),
        ];
        scene.change(patch("https://a.example/", &given)).await;
        scene.change(patch("https://a.example/other", &[])).await;
        for elsewhere in [
            "https://evil.example/",
            "http://a.example/",
            "https://a.example:8443/",
        ] {
            let request = scene.patch(patch(elsewhere, &[("x-a", secret.clone())]));
            let error = scene.world.send(&scene.owner, request).await.unwrap_err();
            let violations: Vec<_> = error.violations().iter().map(|v| (&*v.field, &*v.rule)).collect();
            assert_eq!(violations, [("headers.x-b", "required")], "{elsewhere}");
        }
        let rest = [("x-a", secret), ("x-b", None)];
        let changed = scene.change(patch("https://b.example/", &rest)).await;
        assert_eq!(changed.headers.len(), 2);
    }

    #[tokio::test]
    async fn private_addresses_and_other_versions_are_refused() {
        let scene = Scene::new().await;
        let changes = EndpointChanges {
            url: Some(EndpointUrl::parse("http://127.0.0.1/").unwrap()),
            ..EndpointChanges::default()
        };
        let error = scene.world.send(&scene.owner, scene.patch(changes)).await;
        assert_eq!(error.unwrap_err().violations()[0].rule, "address_not_allowed");
        let request = PatchEndpoint {
            if_match: IfMatch::OneOf(vec![Version(7)]),
            ..scene.patch(EndpointChanges::default())
        };
        assert_eq!(
            scene.world.refusal(&scene.owner, request).await,
            ErrorCode::PreconditionFailed
        );
        let viewer = World::same_tenant(&scene.owner, Grant::tenant(Role::Viewer));
        let request = scene.patch(EndpointChanges::default());
        assert_eq!(scene.world.refusal(&viewer, request).await, ErrorCode::Forbidden);
    }
}
