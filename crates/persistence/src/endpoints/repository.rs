use postrider_application::ports::StoreError;
use postrider_domain::{
    Aggregate as _, ApplicationId, TenantId,
    endpoints::{Endpoint, EndpointEvent, EndpointRef},
    events::DomainEvent,
};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
    Statement,
};

use super::{EndpointSecrets, row};
use crate::{
    connection::Dialect,
    error::OrStoreError as _,
    health,
    stored::{OfTenant, Stored, read_version},
};

impl Stored for Endpoint {
    type Table = row::Entity;
    type Row = row::ActiveModel;

    fn row(&self, secrets: &EndpointSecrets, version: i32) -> Result<row::ActiveModel, StoreError> {
        row::write(self.state(), secrets, version)
    }

    fn own_row(&self) -> Condition {
        let state = self.state();
        row::named(state.tenant, state.application, &EndpointRef::Id(state.id))
    }

    fn read(row: row::Model, secrets: &EndpointSecrets) -> Result<Self, StoreError> {
        let version = read_version(row.version)?;
        Ok(Self::restore(row.state(secrets)?, version))
    }

    fn forget(&self, dialect: Dialect) -> Result<Option<Statement>, StoreError> {
        health::forget(dialect, self.state()).map(Some)
    }

    fn event(&self, event: EndpointEvent) -> DomainEvent {
        DomainEvent::Endpoint(self.state().application, self.state().id, event)
    }
}

impl OfTenant for Endpoint {
    type Name = (ApplicationId, EndpointRef);

    fn tenant(&self) -> TenantId {
        self.state().tenant
    }

    fn named(tenant: TenantId, (application, reference): &Self::Name) -> Condition {
        row::named(tenant, *application, reference)
    }
}

/// How many endpoints the tenant's application has.
pub(crate) async fn count(
    connection: &impl ConnectionTrait,
    tenant: TenantId,
    application: ApplicationId,
) -> Result<u64, StoreError> {
    row::Entity::find()
        .filter(row::Column::Tenant.eq(tenant.as_uuid()))
        .filter(row::Column::App.eq(application.as_uuid()))
        .count(connection)
        .await
        .or_store_error()
}

/// Deletes all endpoints of the tenant's application, and what is known of their failures.
pub(crate) async fn delete_all(
    connection: &impl ConnectionTrait,
    dialect: Dialect,
    tenant: TenantId,
    application: ApplicationId,
) -> Result<(), StoreError> {
    // The failures first: by the endpoints they are found.
    let failures = "DELETE FROM endpoint_failures WHERE tenant = {tenant} AND endpoint IN
        (SELECT id FROM endpoints WHERE tenant = {tenant} AND app = $1)";
    let endpoints = "DELETE FROM endpoints WHERE tenant = {tenant} AND app = $1";
    for delete in [failures, endpoints] {
        let delete = dialect.of_tenant(tenant, delete, [application.as_uuid().into()])?;
        connection.execute_raw(delete).await.or_store_error()?;
    }
    Ok(())
}
