use postrider_domain::{ApiKeyId, access::Permission};

use crate::{
    Error, Result,
    access::{OnTenant, TenantScope},
    mediator::{Handles, Request},
    ports::{ApiKeyView, Page, PageRequest, PrincipalViews},
};

/// Lists the tenant's API keys, by id; never their secrets.
#[derive(Debug)]
pub struct ListApiKeys {
    /// Which piece of the list.
    pub page: PageRequest<ApiKeyId>,
}

impl Request for ListApiKeys {
    type Output = Page<ApiKeyView, ApiKeyId>;
    type Access = OnTenant;
    const NAME: &'static str = "api_key.list";

    fn access(&self) -> OnTenant {
        OnTenant(Permission::ApiKeysRead)
    }
}

/// Serves [`ListApiKeys`].
pub struct ListApiKeysHandler<S> {
    views: S,
}

impl<S> ListApiKeysHandler<S> {
    pub(crate) const fn new(views: S) -> Self {
        Self { views }
    }
}

impl<S: PrincipalViews> Handles<ListApiKeys> for ListApiKeysHandler<S> {
    async fn handle(
        &self,
        scope: TenantScope,
        request: ListApiKeys,
    ) -> Result<Page<ApiKeyView, ApiKeyId>, Error> {
        Ok(self.views.api_keys(&scope, request.page).await?)
    }
}
