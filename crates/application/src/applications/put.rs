use std::sync::Arc;

use postrider_domain::{
    Aggregate as _, ApplicationId, Change, Metadata, Name,
    access::Permission,
    applications::{Application, ApplicationAttributes, ApplicationRef, ApplicationState},
};

use crate::{
    Error, ErrorCode, IfMatch, Result, Upserted, Versioned,
    access::{ApplicationScope, OnApplicationOrNew, TenantScope, UpsertScope},
    change::version_after,
    mediator::{Handles, Request},
    ports::{Clock, Ids, Repository, Store, StoreError, UniqueRule, UnitOfWork as _},
};

/// Replaces the name and the notes of an application, or creates it under that uid if there is none.
#[derive(Debug)]
pub struct PutApplication {
    /// Which.
    pub application: ApplicationRef,
    /// Display name.
    pub name: Name,
    /// The tenant's notes.
    pub metadata: Metadata,
    /// What the caller presumes of it.
    pub if_match: IfMatch,
}

impl Request for PutApplication {
    type Output = Upserted<Versioned<ApplicationState>, Versioned<ApplicationState>>;
    type Access = OnApplicationOrNew;
    const NAME: &'static str = "application.put";

    fn access(&self) -> OnApplicationOrNew {
        OnApplicationOrNew(self.application.clone(), Permission::ApplicationsWrite)
    }
}

/// Serves [`PutApplication`].
pub struct PutApplicationHandler<S> {
    store: S,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

impl<S> PutApplicationHandler<S> {
    pub(crate) fn new(store: S, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        Self { store, clock, ids }
    }
}

impl<S: Store> Handles<PutApplication> for PutApplicationHandler<S>
where
    S::Tx: Repository<Application, Key = ApplicationId>,
{
    async fn handle(
        &self,
        scope: UpsertScope,
        request: PutApplication,
    ) -> Result<Upserted<Versioned<ApplicationState>, Versioned<ApplicationState>>, Error> {
        match scope {
            UpsertScope::Existing(scope) => self.replace(&scope, request).await.map(Upserted::Replaced),
            UpsertScope::New(scope) => self.create(&scope, request).await.map(Upserted::Created),
        }
    }
}

impl<S: Store> PutApplicationHandler<S>
where
    S::Tx: Repository<Application, Key = ApplicationId>,
{
    async fn create(
        &self,
        scope: &TenantScope,
        request: PutApplication,
    ) -> Result<Versioned<ApplicationState>> {
        request.if_match.check(None)?;
        let ApplicationRef::Uid(uid) = request.application else {
            return Err(Error::not_found("application"));
        };
        scope.may_rename(None, Some(&uid))?;
        let id = ApplicationId::from_uuid(self.ids.next());
        let (tenant, now) = (scope.tenant(), self.clock.now());
        let mut application = Application::create(id, tenant, Some(uid), request.name, request.metadata, now);
        let mut tx = self.store.begin(scope).await?;
        match tx.save(scope, &mut application).await {
            Err(StoreError::Conflict(UniqueRule::ApplicationUid)) => return Err(created_in_between()),
            saved => saved?,
        }
        tx.commit(scope.did(id)).await?;
        Ok(Versioned {
            value: application.state().clone(),
            version: application.version().next(),
        })
    }

    async fn replace(
        &self,
        scope: &ApplicationScope,
        request: PutApplication,
    ) -> Result<Versioned<ApplicationState>> {
        let id = scope.application();
        let mut tx = self.store.begin(scope.tenant_scope()).await?;
        let found = tx.find(scope.tenant_scope(), &id).await?;
        let mut application = found.ok_or_else(|| Error::not_found("application"))?;
        request.if_match.check(Some(application.version()))?;
        let to = ApplicationAttributes {
            uid: application.state().uid.clone(),
            name: request.name,
            metadata: request.metadata,
        };
        let change = application.change(to);
        if change == Change::Made {
            tx.save(scope.tenant_scope(), &mut application).await?;
            tx.commit(scope.did(id)).await?;
        }
        Ok(Versioned {
            value: application.state().clone(),
            version: version_after(application.version(), change),
        })
    }
}

/// Of two who put the same new thing, the other one was faster.
fn created_in_between() -> Error {
    Error::new(
        ErrorCode::StaleVersion,
        "somebody else created it in between: ask again, and it is replaced",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        applications::{DeleteApplication, GetApplication, PatchApplication},
        testing::World,
    };
    use postrider_domain::{
        Uid, Version,
        access::{Grant, Role},
    };

    fn put(application: impl Into<ApplicationRef>, name: &str) -> PutApplication {
        PutApplication {
            application: application.into(),
            name: Name::parse(name).unwrap(),
            metadata: Metadata::default(),
            if_match: IfMatch::Unsaid,
        }
    }

    fn uid(text: &str) -> ApplicationRef {
        ApplicationRef::Uid(Uid::parse(text).unwrap())
    }

    #[tokio::test]
    async fn creates_and_then_replaces() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let Upserted::Created(created) = world.send(&owner, put(uid("a"), "One")).await.unwrap() else {
            panic!("it was not there")
        };
        let Upserted::Replaced(replaced) = world.send(&owner, put(uid("a"), "Two")).await.unwrap() else {
            panic!("it was there")
        };
        assert_eq!((created.version, replaced.version), (Version(1), Version(2)));
        assert_eq!(
            (replaced.value.id, replaced.value.name.as_str()),
            (created.value.id, "Two")
        );
        assert_eq!(replaced.value.uid, created.value.uid);
        let again = world.send(&owner, put(created.value.id, "Two")).await.unwrap();
        assert_eq!(again, Upserted::Replaced(replaced), "the same again is no change");
        let kinds = world.kinds().await;
        let ours: Vec<_> = kinds
            .iter()
            .filter(|kind| kind.starts_with("application."))
            .collect();
        assert_eq!(ours, ["application.created", "application.updated"]);
    }

    #[tokio::test]
    async fn only_the_version_that_is_presumed_is_changed() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let refused = ErrorCode::PreconditionFailed;
        let at = |version, request| PutApplication {
            if_match: IfMatch::OneOf(vec![Version(version)]),
            ..request
        };
        assert_eq!(world.refusal(&owner, at(1, put(uid("a"), "One"))).await, refused);
        world.send(&owner, put(uid("a"), "One")).await.unwrap();
        assert_eq!(world.refusal(&owner, at(2, put(uid("a"), "Two"))).await, refused);
        assert!(world.send(&owner, at(1, put(uid("a"), "Two"))).await.is_ok());
        let delete = DeleteApplication {
            application: uid("a"),
            if_match: IfMatch::OneOf(vec![Version(1)]),
        };
        assert_eq!(world.refusal(&owner, delete).await, refused);
        let patch = PatchApplication {
            if_match: IfMatch::OneOf(vec![Version(1)]),
            ..PatchApplication::of(uid("a"))
        };
        assert_eq!(world.refusal(&owner, patch).await, refused);
    }

    #[tokio::test]
    async fn nobody_creates_with_a_grant_on_another_application() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let application = world.application(&owner, Some("a")).await.id;
        world.application(&owner, Some("b")).await;
        let with = |role| World::same_tenant(&owner, Grant::application(role, application));
        assert!(
            world
                .send(&with(Role::Admin), put(uid("a"), "Mine"))
                .await
                .is_ok()
        );
        for other in ["b", "c"] {
            let refusal = world.refusal(&with(Role::Admin), put(uid(other), "x")).await;
            assert_eq!(refusal, ErrorCode::Forbidden, "{other}");
        }
        assert_eq!(
            world.refusal(&with(Role::Viewer), put(uid("a"), "x")).await,
            ErrorCode::Forbidden
        );
        let stranger = world.caller("bob@beta.example", Grant::tenant(Role::Owner)).await;
        assert_eq!(
            world.refusal(&stranger, put(application, "x")).await,
            ErrorCode::NotFound
        );
        let theirs = world.send(&stranger, put(uid("a"), "Theirs")).await.unwrap();
        assert!(matches!(theirs, Upserted::Created(_)), "their uid is their own");
        let mine = GetApplication {
            application: uid("a"),
        };
        assert_eq!(
            world.send(&owner, mine).await.unwrap().value.name.as_str(),
            "Mine"
        );
    }
}
