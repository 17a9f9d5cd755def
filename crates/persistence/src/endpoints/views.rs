use postrider_application::{
    access::TenantScope,
    ports::{EndpointView, EndpointViews, StoreError},
};
use postrider_domain::{
    ApplicationId,
    endpoints::{EndpointRef, SigningSecret},
};
use sea_orm::{EntityTrait as _, QueryFilter as _};

use super::row;
use crate::{SqlStore, connection::Scope, error::OrStoreError as _};

impl SqlStore {
    async fn endpoint_row(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        reference: &EndpointRef,
    ) -> Result<Option<row::Model>, StoreError> {
        let tenant = scope.tenant();
        let found = row::Entity::find().filter(row::named(tenant, application, reference));
        found
            .one(&self.database.read(Scope::Tenant(tenant)).await?)
            .await
            .or_store_error()
    }
}

impl EndpointViews for SqlStore {
    async fn endpoint(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        reference: &EndpointRef,
    ) -> Result<Option<EndpointView>, StoreError> {
        let row = self.endpoint_row(scope, application, reference).await?;
        row.map(row::Model::view).transpose()
    }

    async fn endpoint_secret(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        reference: &EndpointRef,
    ) -> Result<Option<SigningSecret>, StoreError> {
        let row = self.endpoint_row(scope, application, reference).await?;
        row.map(|row| row.secret(&self.secrets)).transpose()
    }
}
