use postrider_domain::{
    Aggregate as _, Change, InvalidValue, Name, Rule, TenantId,
    access::Permission,
    tenants::{SchemaValidation, Tenant, TenantState, UnregisteredEventTypes},
};

use crate::{
    Error, ErrorCode, IfMatch, Patch, Result, Versioned,
    access::{OnTenant, TenantScope},
    change::version_after,
    mediator::{Handles, Request},
    ports::{Repository, Store, UnitOfWork as _},
};

/// Changes the caller's tenant: what is not named stays as it is.
#[derive(Debug, Default)]
pub struct UpdateTenant {
    /// Display name; it cannot be cleared.
    pub name: Patch<Name>,
    /// What becomes of payloads that their schema does not allow.
    pub schema_validation: Patch<SchemaValidation>,
    /// What becomes of messages of unknown event types.
    pub unregistered_event_types: Patch<UnregisteredEventTypes>,
    /// Which version is meant.
    pub if_match: IfMatch,
}

impl Request for UpdateTenant {
    type Output = Versioned<TenantState>;
    type Access = OnTenant;
    const NAME: &'static str = "tenant.update";

    fn access(&self) -> OnTenant {
        OnTenant(Permission::TenantWrite)
    }

    fn validate(&self) -> Result<()> {
        match self.name {
            Patch::Clear => Err(Error::invalid_field(
                "name",
                InvalidValue::new(Rule::Required, "must not be null"),
            )),
            Patch::Keep | Patch::Set(_) => Ok(()),
        }
    }
}

/// Serves [`UpdateTenant`].
pub struct UpdateTenantHandler<S> {
    store: S,
}

impl<S> UpdateTenantHandler<S> {
    pub(crate) const fn new(store: S) -> Self {
        Self { store }
    }
}

impl<S: Store> Handles<UpdateTenant> for UpdateTenantHandler<S>
where
    S::Tx: Repository<Tenant, Key = TenantId>,
{
    async fn handle(
        &self,
        scope: TenantScope,
        request: UpdateTenant,
    ) -> Result<Versioned<TenantState>, Error> {
        let mut tx = self.store.begin(&scope).await?;
        let found = tx.find(&scope, &scope.tenant()).await?;
        let mut tenant = found.ok_or_else(|| Error::not_found("tenant"))?;
        request.if_match.check(Some(tenant.version()))?;
        let name = match request.name {
            Patch::Set(name) => name,
            Patch::Keep | Patch::Clear => tenant.state().name.clone(),
        };
        let mut settings = tenant.state().settings;
        request
            .schema_validation
            .apply_or_default(&mut settings.schema_validation);
        request
            .unregistered_event_types
            .apply_or_default(&mut settings.unregistered_event_types);
        let change = tenant.update(name, settings).map_err(|cause| {
            Error::new(ErrorCode::TenantDeleting, "there is no way back").caused_by(cause)
        })?;
        if change == Change::Made {
            tx.save(&scope, &mut tenant).await?;
            tx.commit(scope.did(scope.tenant())).await?;
        }
        Ok(Versioned {
            value: tenant.state().clone(),
            version: version_after(tenant.version(), change),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{tenants::GetTenant, testing::World};
    use postrider_domain::access::{Grant, Role};

    #[tokio::test]
    async fn what_is_named_is_changed_and_told_once() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let before = world.send(&owner, GetTenant).await.unwrap();
        let strict = || UpdateTenant {
            schema_validation: Patch::Set(SchemaValidation::Enforce),
            ..UpdateTenant::default()
        };
        let after = world.send(&owner, strict()).await.unwrap();
        assert_eq!(after.value.name, before.value.name);
        assert_eq!(after.value.settings.schema_validation, SchemaValidation::Enforce);
        assert_eq!(after.version, before.version.next());
        assert_eq!(world.send(&owner, GetTenant).await.unwrap(), after);
        assert_eq!(
            world.send(&owner, strict()).await.unwrap(),
            after,
            "nothing to change"
        );
        let stale = UpdateTenant {
            name: Patch::Set(Name::parse("Beta").unwrap()),
            schema_validation: Patch::Clear,
            if_match: IfMatch::OneOf(vec![before.version]),
            ..UpdateTenant::default()
        };
        assert_eq!(world.refusal(&owner, stale).await, ErrorCode::PreconditionFailed);
        let kinds = world.kinds().await;
        let updates = kinds.iter().filter(|kind| *kind == "tenant.updated").count();
        assert_eq!(updates, 1);
        let cleared = UpdateTenant {
            schema_validation: Patch::Clear,
            ..UpdateTenant::default()
        };
        let back = world.send(&owner, cleared).await.unwrap();
        assert_eq!(back.value.settings, before.value.settings);
    }

    #[tokio::test]
    async fn a_name_is_not_cleared_and_developers_change_nothing() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let nameless = UpdateTenant {
            name: Patch::Clear,
            ..UpdateTenant::default()
        };
        assert_eq!(world.refusal(&owner, nameless).await, ErrorCode::ValidationFailed);
        let developer = World::same_tenant(&owner, Grant::tenant(Role::Developer));
        assert_eq!(
            world.refusal(&developer, UpdateTenant::default()).await,
            ErrorCode::Forbidden
        );
    }
}
