use std::collections::BTreeMap;

use postrider_domain::{
    Aggregate as _, ApplicationId, Change, Description, InvalidValue, Metadata, Rule,
    access::Permission,
    applications::ApplicationRef,
    deliveries::RetrySchedule,
    endpoints::{
        AttemptTimeout, CustomHeaders, Endpoint, EndpointAttributes, EndpointRef, EndpointSecret,
        EndpointUrl, Filter, GivenSecret, HeaderName, HeaderPatch, InvalidHeaders, SecretRing,
    },
};

use super::{CreateEndpoint, CreatedEndpoint, NewSecret, create::Making};
use crate::{
    Error, IfMatch, Ports, Result, Settings, Upserted, Violation,
    access::{ApplicationScope, OnApplication},
    change::version_after,
    mediator::{Handles, Request},
    ports::{ApplicationRepository, EndpointView, Repository, Store, UnitOfWork as _},
};

/// Replaces what may be said of an endpoint, or creates it under that uid if there is none. Its status and its secret
/// have requests of their own.
#[derive(Debug)]
pub struct PutEndpoint {
    /// Its application.
    pub application: ApplicationRef,
    /// Which.
    pub endpoint: EndpointRef,
    /// Where webhooks are sent.
    pub url: EndpointUrl,
    /// What it is for.
    pub description: Description,
    /// What it wants to hear of.
    pub filter: Filter,
    /// What its webhooks are signed with if it is created; if it is there, what they must be signed with already.
    pub secret: Option<NewSecret>,
    /// What is sent with every webhook besides.
    pub headers: BTreeMap<HeaderName, HeaderPatch>,
    /// When to try again, if not by the installation's schedule.
    pub retry_schedule: Option<RetrySchedule>,
    /// How long one attempt may take, if not the installation's time-out.
    pub timeout: Option<AttemptTimeout>,
    /// The tenant's notes.
    pub metadata: Metadata,
    /// What the caller presumes of it.
    pub if_match: IfMatch,
}

impl Request for PutEndpoint {
    type Output = Upserted<CreatedEndpoint, EndpointView>;
    type Access = OnApplication;
    const NAME: &'static str = "endpoint.put";
    const BARRIER: bool = true;

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::EndpointsWrite)
    }
}

/// Serves [`PutEndpoint`].
pub struct PutEndpointHandler<S> {
    store: S,
    making: Making,
}

impl<S: Clone> PutEndpointHandler<S> {
    pub(crate) fn new(ports: &Ports<S>, settings: &Settings) -> Self {
        Self {
            store: ports.store.clone(),
            making: Making::new(ports, settings),
        }
    }
}

impl<S: Store> Handles<PutEndpoint> for PutEndpointHandler<S>
where
    S::Tx: Repository<Endpoint, Key = (ApplicationId, EndpointRef)> + ApplicationRepository,
{
    async fn handle(
        &self,
        scope: ApplicationScope,
        request: PutEndpoint,
    ) -> Result<Upserted<CreatedEndpoint, EndpointView>, Error> {
        let (tenant, application) = (scope.tenant_scope(), scope.application());
        let mut tx = self.store.begin(tenant).await?;
        tx.endpoints_changed(tenant, application).await?;
        let key = (application, request.endpoint.clone());
        let Some(mut endpoint) = tx.find(tenant, &key).await? else {
            request.if_match.check(None)?;
            let endpoint = self.making.endpoint(&scope, creation(request)?)?;
            let created = self.making.save(tx, &scope, endpoint).await;
            return created.map(Upserted::Created);
        };
        request.if_match.check(Some(endpoint.version()))?;
        is_the_secret(request.secret.as_ref(), &endpoint.state().secrets)?;
        if request.url != endpoint.state().url {
            self.making.may_send_to(&request.url)?;
        }
        let headers = endpoint.state().headers.replaced(request.headers);
        let to = EndpointAttributes {
            uid: endpoint.state().uid.clone(),
            url: request.url,
            description: request.description,
            filter: request.filter,
            headers: headers.map_err(invalid_headers)?,
            retry_schedule: request.retry_schedule,
            timeout: request.timeout,
            metadata: request.metadata,
        };
        let change = endpoint.change(to).map_err(invalid_headers)?;
        if change == Change::Made {
            tx.save(tenant, &mut endpoint).await?;
            tx.commit(scope.did(endpoint.state().id)).await?;
        }
        let version = version_after(endpoint.version(), change);
        let view = EndpointView::of(endpoint.state(), version);
        Ok(Upserted::Replaced(view))
    }
}

fn creation(request: PutEndpoint) -> Result<CreateEndpoint> {
    let EndpointRef::Uid(uid) = request.endpoint else {
        return Err(Error::not_found("endpoint"));
    };
    let headers = CustomHeaders::default().replaced(request.headers);
    Ok(CreateEndpoint {
        application: request.application,
        uid: Some(uid),
        url: request.url,
        description: request.description,
        filter: request.filter,
        secret: request.secret.unwrap_or_default(),
        headers: headers.map_err(invalid_headers)?,
        retry_schedule: request.retry_schedule,
        timeout: request.timeout,
        metadata: request.metadata,
    })
}

/// Refuses another secret than the one that signs: replacing it takes an overlap, and a request of its own. The same
/// put twice is none.
fn is_the_secret(said: Option<&NewSecret>, stored: &SecretRing) -> Result<()> {
    let field = match (said, stored.current()) {
        (None, _) => return Ok(()),
        (Some(NewSecret::Generated(kind)), current) if *kind == current.kind() => return Ok(()),
        (Some(NewSecret::Given(GivenSecret::Hmac(given))), EndpointSecret::Hmac(current))
            if given == current =>
        {
            return Ok(());
        }
        (Some(NewSecret::Given(GivenSecret::Ed25519 { seed, .. })), EndpointSecret::Ed25519(current))
            if seed == current.seed() =>
        {
            return Ok(());
        }
        (Some(NewSecret::Generated(_)), _) => "secret_type",
        (Some(NewSecret::Given(_)), _) => "secret",
    };
    let invalid = InvalidValue::new(
        Rule::Fixed,
        "is not replaced here: rotate the endpoint's secret, so that the old one signs for a while",
    );
    Err(Error::invalid_field(field, invalid))
}

/// What is wrong with headers, as the caller wrote them.
pub(super) fn invalid_headers(InvalidHeaders(invalid): InvalidHeaders) -> Error {
    let violation = |(name, why): (Option<HeaderName>, _)| match name {
        Some(name) => Violation::new(format!("headers.{}", name.as_str()), why),
        None => Violation::new("headers", why),
    };
    Error::invalid(invalid.into_iter().map(violation).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ErrorCode,
        applications::DeleteApplication,
        endpoints::{DeleteEndpoint, GetEndpoint},
        ports::DeliveryMaterial as _,
        testing::World,
    };
    use postrider_domain::{
        Uid, Version,
        access::{Grant, Role},
        endpoints::{HeaderValue, SecretType, SigningSecret},
    };

    fn put(application: ApplicationId, uid: &str, url: &str) -> PutEndpoint {
        PutEndpoint {
            application: application.into(),
            endpoint: EndpointRef::Uid(Uid::parse(uid).unwrap()),
            url: EndpointUrl::parse(url).unwrap(),
            description: Description::default(),
            filter: Filter::default(),
            secret: None,
            headers: BTreeMap::new(),
            retry_schedule: None,
            timeout: None,
            metadata: Metadata::default(),
            if_match: IfMatch::Unsaid,
        }
    }

    fn header(value: Option<&str>, secret: bool) -> HeaderPatch {
        HeaderPatch {
            value: value.map(|text| HeaderValue::parse(text, secret).unwrap()),
            secret: Some(secret),
        }
    }

    fn name(text: &str) -> HeaderName {
        HeaderName::parse(text).unwrap()
    }

    #[tokio::test]
    async fn creates_and_then_replaces_what_is_said() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let application = world.application(&owner, None).await;
        let id = application.id;
        let first = PutEndpoint {
            description: Description::parse("first").unwrap(),
            headers: BTreeMap::from([(name("authorization"), header(Some("Bearer a"), true))]),
            ..put(id, "hook", "https://a.example/")
        };
        let Upserted::Created(created) = world.send(&owner, first).await.unwrap() else {
            panic!("it was not there")
        };
        let second = PutEndpoint {
            headers: BTreeMap::from([(name("authorization"), header(None, true))]),
            ..put(id, "hook", "https://a.example/b")
        };
        let Upserted::Replaced(replaced) = world.send(&owner, second).await.unwrap() else {
            panic!("it was there")
        };
        assert_eq!(
            (created.endpoint.version, replaced.version),
            (Version(1), Version(2))
        );
        assert_eq!(replaced.id, created.endpoint.id);
        assert_eq!(replaced.url.as_str(), "https://a.example/b");
        assert_eq!(replaced.description.as_str(), "", "what is not said goes");
        assert_eq!(
            replaced.headers[&name("authorization")],
            None,
            "it is never shown"
        );
        let sets = world.store.endpoints(&[(application.tenant, id)]).await.unwrap();
        let sent = sets[&id].endpoints[0].headers.clone().unwrap();
        assert_eq!(
            sent.all()[&name("authorization")].expose(),
            "Bearer a",
            "and kept"
        );
        assert_eq!(sets[&id].endpoints[0].secrets, [created.secret.into()]);
    }

    #[tokio::test]
    async fn secret_headers_do_not_follow_to_another_place() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let id = world.application(&owner, None).await.id;
        let with = |value, url| PutEndpoint {
            headers: BTreeMap::from([(name("authorization"), header(value, true))]),
            ..put(id, "hook", url)
        };
        let first = with(Some("Bearer a"), "https://a.example/");
        world.send(&owner, first).await.unwrap();
        let taken = with(None, "https://evil.example/");
        let error = world.send(&owner, taken).await.unwrap_err();
        let violation = &error.violations()[0];
        assert_eq!(
            (&*violation.field, &*violation.rule),
            ("headers.authorization", "required")
        );
        let known = with(Some("Bearer a"), "https://b.example/");
        assert!(
            world.send(&owner, known).await.is_ok(),
            "whoever knows it may send it anywhere"
        );
    }

    #[tokio::test]
    async fn a_secret_is_not_replaced_in_passing() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let id = world.application(&owner, None).await.id;
        let given = |n| {
            let secret = SigningSecret::generate([n; 32]);
            Some(NewSecret::Given(GivenSecret::Hmac(secret)))
        };
        let of = |secret| PutEndpoint {
            secret,
            ..put(id, "hook", "https://a.example/")
        };
        world.send(&owner, of(given(1))).await.unwrap();
        assert!(world.send(&owner, of(given(1))).await.is_ok(), "the same twice");
        let generated = |kind| Some(NewSecret::Generated(kind));
        assert!(world.send(&owner, of(generated(SecretType::Hmac))).await.is_ok());
        for (other, field) in [
            (given(2), "secret"),
            (generated(SecretType::Ed25519), "secret_type"),
        ] {
            let error = world.send(&owner, of(other)).await.unwrap_err();
            assert_eq!(&*error.violations()[0].field, field);
        }
    }

    #[tokio::test]
    async fn the_same_again_is_no_change_and_another_version_is_refused() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let id = world.application(&owner, None).await.id;
        let request = || put(id, "hook", "https://a.example/");
        world.send(&owner, request()).await.unwrap();
        let Upserted::Replaced(same) = world.send(&owner, request()).await.unwrap() else {
            panic!("it was there")
        };
        assert_eq!(same.version, Version(1));
        let other = PutEndpoint {
            if_match: IfMatch::OneOf(vec![Version(2)]),
            ..request()
        };
        assert_eq!(world.refusal(&owner, other).await, ErrorCode::PreconditionFailed);
        let absent = PutEndpoint {
            if_match: IfMatch::Any,
            ..put(id, "other", "https://a.example/")
        };
        assert_eq!(world.refusal(&owner, absent).await, ErrorCode::PreconditionFailed);
        let private = put(id, "hook", "http://10.0.0.1/");
        assert_eq!(world.refusal(&owner, private).await, ErrorCode::ValidationFailed);
    }

    #[tokio::test]
    async fn what_is_deleted_is_gone_and_its_uid_is_free() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let application = world.application(&owner, None).await;
        let id = application.id;
        world
            .send(&owner, put(id, "hook", "https://a.example/"))
            .await
            .unwrap();
        let endpoint = || EndpointRef::Uid(Uid::parse("hook").unwrap());
        let delete = |if_match| DeleteEndpoint {
            application: id.into(),
            endpoint: endpoint(),
            if_match,
        };
        let version = |n| IfMatch::OneOf(vec![Version(n)]);
        assert_eq!(
            world.refusal(&owner, delete(version(2))).await,
            ErrorCode::PreconditionFailed
        );
        let key = [(application.tenant, id)];
        let before = world.store.endpoints(&key).await.unwrap()[&id].version;
        world.send(&owner, delete(version(1))).await.unwrap();
        let after = world.store.endpoints(&key).await.unwrap();
        assert!(after[&id].endpoints.is_empty() && after[&id].version > before);
        let get = GetEndpoint {
            application: id.into(),
            endpoint: endpoint(),
        };
        assert_eq!(world.refusal(&owner, get).await, ErrorCode::NotFound);
        assert_eq!(
            world.refusal(&owner, delete(IfMatch::Unsaid)).await,
            ErrorCode::NotFound
        );
        assert!(world.kinds().await.contains(&"endpoint.deleted".to_owned()));
        let again = world.send(&owner, put(id, "hook", "https://a.example/")).await;
        assert!(matches!(again, Ok(Upserted::Created(_))));
        let delete = DeleteApplication {
            application: id.into(),
            if_match: IfMatch::Unsaid,
        };
        world.send(&owner, delete).await.unwrap();
    }
}
