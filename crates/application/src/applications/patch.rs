use std::collections::BTreeMap;

use postrider_domain::{
    Aggregate as _, ApplicationId, Change, Name, Uid,
    access::Permission,
    applications::{Application, ApplicationAttributes, ApplicationRef, ApplicationState},
};

use crate::{
    Error, IfMatch, Patch, Result, Versioned,
    access::{ApplicationScope, OnApplication},
    change::{patched_metadata, version_after},
    mediator::{Handles, Request},
    ports::{Repository, Store, UnitOfWork as _},
};

/// Changes some attributes of an application.
#[derive(Debug)]
pub struct PatchApplication {
    /// Which.
    pub application: ApplicationRef,
    /// The tenant's own name for it.
    pub uid: Patch<Uid>,
    /// Display name, if it changes.
    pub name: Option<Name>,
    /// Which of the tenant's notes change; those without a value go.
    pub metadata: Patch<BTreeMap<String, Option<String>>>,
    /// What the caller presumes of it.
    pub if_match: IfMatch,
}

impl PatchApplication {
    /// A patch that changes nothing.
    pub const fn of(application: ApplicationRef) -> Self {
        Self {
            application,
            uid: Patch::Keep,
            name: None,
            metadata: Patch::Keep,
            if_match: IfMatch::Unsaid,
        }
    }
}

impl Request for PatchApplication {
    type Output = Versioned<ApplicationState>;
    type Access = OnApplication;
    const NAME: &'static str = "application.patch";

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::ApplicationsWrite)
    }
}

/// Serves [`PatchApplication`].
pub struct PatchApplicationHandler<S> {
    store: S,
}

impl<S> PatchApplicationHandler<S> {
    pub(crate) const fn new(store: S) -> Self {
        Self { store }
    }
}

impl<S: Store> Handles<PatchApplication> for PatchApplicationHandler<S>
where
    S::Tx: Repository<Application, Key = ApplicationId>,
{
    async fn handle(
        &self,
        scope: ApplicationScope,
        request: PatchApplication,
    ) -> Result<Versioned<ApplicationState>, Error> {
        let mut tx = self.store.begin(scope.tenant_scope()).await?;
        let found = tx.find(scope.tenant_scope(), &scope.application()).await?;
        let mut application = found.ok_or_else(|| Error::not_found("application"))?;
        request.if_match.check(Some(application.version()))?;
        let mut to = ApplicationAttributes::of(application.state());
        request.uid.apply(&mut to.uid);
        let before = application.state().uid.as_ref();
        scope.tenant_scope().may_rename(before, to.uid.as_ref())?;
        if let Some(name) = request.name {
            to.name = name;
        }
        to.metadata = patched_metadata(&to.metadata, request.metadata)?;
        let change = application.change(to);
        if change == Change::Made {
            tx.save(scope.tenant_scope(), &mut application).await?;
            tx.commit(scope.did(scope.application())).await?;
        }
        Ok(Versioned {
            value: application.state().clone(),
            version: version_after(application.version(), change),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ErrorCode,
        applications::{
            CreateApplication, DeleteApplication, GetApplication, MintPortalToken, PutApplication,
        },
        testing::World,
    };
    use postrider_domain::{
        Metadata,
        access::{Grant, Role},
        applications::OPERATIONAL_UID,
    };
    use std::time::Duration;

    fn operational() -> Uid {
        Uid::parse(OPERATIONAL_UID).unwrap()
    }

    #[tokio::test]
    async fn the_reserved_uid_is_not_taken_or_given_up_from_within_an_application() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let id = world.application(&owner, Some("customer")).await.id;
        let mint = MintPortalToken {
            application: id.into(),
            permissions: vec![Permission::ApplicationsWrite, Permission::EndpointsWrite],
            lifetime: Duration::from_mins(10),
        };
        let token = world.send(&owner, mint).await.unwrap().token;
        let customer = world.known(&token).await;
        let admin = World::same_tenant(&owner, Grant::application(Role::Admin, id));
        let rename = |uid| PatchApplication {
            uid,
            ..PatchApplication::of(id.into())
        };
        let create = || CreateApplication {
            uid: Some(operational()),
            name: Name::parse("Mine").unwrap(),
            metadata: Metadata::default(),
        };
        let put = || PutApplication {
            application: ApplicationRef::Uid(operational()),
            name: Name::parse("Mine").unwrap(),
            metadata: Metadata::default(),
            if_match: IfMatch::Unsaid,
        };
        for caller in [&admin, &customer] {
            let take = rename(Patch::Set(operational()));
            assert_eq!(world.refusal(caller, take).await, ErrorCode::Forbidden);
            assert_eq!(world.refusal(caller, create()).await, ErrorCode::Forbidden);
            // A portal token does not learn whether there is one.
            let refusal = world.refusal(caller, put()).await;
            assert!(matches!(refusal, ErrorCode::Forbidden | ErrorCode::NotFound));
            let other = rename(Patch::Set(Uid::parse("operational-2").unwrap()));
            assert!(world.send(caller, other).await.is_ok(), "any other uid is theirs");
        }
        let denied = world.denials.entries();
        assert!(denied.iter().any(|entry| entry.action == "application.patch"));

        let take = rename(Patch::Set(operational()));
        world.send(&owner, take).await.unwrap();
        for caller in [&admin, &customer] {
            assert_eq!(
                world.refusal(caller, rename(Patch::Clear)).await,
                ErrorCode::Forbidden
            );
            let delete = DeleteApplication {
                application: id.into(),
                if_match: IfMatch::Unsaid,
            };
            assert_eq!(world.refusal(caller, delete).await, ErrorCode::Forbidden);
            let name = PatchApplication {
                name: Some(Name::parse("Ops").unwrap()),
                ..rename(Patch::Keep)
            };
            assert!(world.send(caller, name).await.is_ok(), "its name is not reserved");
        }
        assert!(world.send(&owner, rename(Patch::Clear)).await.is_ok());
        assert!(world.send(&owner, put()).await.is_ok());
        assert_eq!(world.refusal(&owner, create()).await, ErrorCode::UidTaken);
    }

    #[tokio::test]
    async fn what_is_not_named_stays() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let created = world.application(&owner, Some("a")).await;
        let patch = || PatchApplication::of(created.id.into());
        let pairs = |pairs: &[(&str, Option<&str>)]| {
            let given = pairs.iter().map(|(k, v)| ((*k).to_owned(), v.map(str::to_owned)));
            Patch::Set(given.collect())
        };
        let changed = PatchApplication {
            metadata: pairs(&[("plan", Some("gold")), ("x", Some("1"))]),
            name: Some(Name::parse("New").unwrap()),
            ..patch()
        };
        let changed = world.send(&owner, changed).await.unwrap().value;
        assert_eq!((&changed.uid, changed.name.as_str()), (&created.uid, "New"));
        let cleared = PatchApplication {
            uid: Patch::Clear,
            metadata: pairs(&[("x", None)]),
            ..patch()
        };
        let cleared = world.send(&owner, cleared).await.unwrap();
        assert_eq!((&cleared.value.uid, cleared.value.name.as_str()), (&None, "New"));
        assert_eq!(cleared.value.metadata.pairs().len(), 1);
        let nothing = world.send(&owner, patch()).await.unwrap();
        assert_eq!(nothing, cleared, "no change, no version");
        let by_uid = GetApplication {
            application: ApplicationRef::Uid(Uid::parse("a").unwrap()),
        };
        assert_eq!(world.refusal(&owner, by_uid).await, ErrorCode::NotFound);
    }

    #[tokio::test]
    async fn a_uid_that_is_taken_and_notes_that_are_too_long_are_refused() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let created = world.application(&owner, Some("a")).await;
        world.application(&owner, Some("b")).await;
        let patch = || PatchApplication::of(created.id.into());
        let taken = PatchApplication {
            uid: Patch::Set(Uid::parse("b").unwrap()),
            ..patch()
        };
        assert_eq!(world.refusal(&owner, taken).await, ErrorCode::UidTaken);
        let many = (0..51).map(|n| (format!("k{n}"), Some(String::new()))).collect();
        let many = PatchApplication {
            metadata: Patch::Set(many),
            ..patch()
        };
        assert_eq!(world.refusal(&owner, many).await, ErrorCode::ValidationFailed);
        let viewer = World::same_tenant(&owner, Grant::tenant(Role::Viewer));
        assert_eq!(world.refusal(&viewer, patch()).await, ErrorCode::Forbidden);
    }
}
