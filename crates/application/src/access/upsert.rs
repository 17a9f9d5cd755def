use std::sync::Arc;

use async_trait::async_trait;
use postrider_domain::{
    ApplicationId,
    access::{Authority, Permission, Target},
    applications::ApplicationRef,
};

use super::{
    AccessRule, ApplicationScope, Caller, TenantScope,
    rules::{may_know_of, named, permit, principal},
};
use crate::{Error, Result, audit::Occasion, ports::ApplicationDirectory};

/// A permission on one application, or on the tenant as a whole if there is none of that uid yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnApplicationOrNew(pub ApplicationRef, pub Permission);

/// What [`OnApplicationOrNew`] grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpsertScope {
    /// There is one.
    Existing(ApplicationScope),
    /// There is none of that uid.
    New(TenantScope),
}

#[async_trait]
impl AccessRule for OnApplicationOrNew {
    type Granted = UpsertScope;

    async fn grant(
        &self,
        caller: &Caller,
        occasion: &Arc<Occasion>,
        directory: &dyn ApplicationDirectory,
    ) -> Result<UpsertScope> {
        let principal = principal(caller)?;
        let tenant = TenantScope::of(principal, occasion);
        let found: Option<ApplicationId> = directory.resolve(&tenant, &self.0).await?;
        let not_found = || Error::not_found("application");
        match (found, &self.0, &principal.authority) {
            (Some(application), ..) => {
                if !may_know_of(&principal.authority, application) {
                    return Err(not_found());
                }
                permit(principal, self.1, Target::Application(application))?;
                Ok(UpsertScope::Existing(ApplicationScope::of(tenant, application)))
            }
            // One of the tenant's customers does not learn whether there is another of that uid.
            (None, _, Authority::Portal(_)) | (None, ApplicationRef::Id(_), _) => Err(not_found()),
            (None, ApplicationRef::Uid(_), Authority::Grants(_)) => {
                permit(principal, self.1, Target::Tenant)?;
                Ok(UpsertScope::New(tenant))
            }
        }
    }

    fn demands(&self) -> &'static str {
        self.1.as_str()
    }

    fn target(&self) -> Option<String> {
        Some(named(&self.0))
    }
}
