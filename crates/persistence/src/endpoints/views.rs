use postrider_application::{
    access::TenantScope,
    ports::{EndpointFilter, EndpointView, EndpointViews, Page, PageRequest, Start, StoreError},
};
use postrider_domain::{
    ApplicationId, EndpointId,
    endpoints::{EndpointRef, SecretRing},
};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, Order, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, sea_query::Expr,
};

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

    async fn endpoints_of(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        filter: &EndpointFilter,
        page: PageRequest<EndpointId>,
    ) -> Result<Page<EndpointView, EndpointId>, StoreError> {
        let tenant = scope.tenant();
        let mut shown = Condition::all()
            .add(row::Column::Tenant.eq(tenant.as_uuid()))
            .add(row::Column::App.eq(application.as_uuid()));
        shown = match filter.enabled {
            None => shown,
            Some(true) => shown.add(row::Column::DisabledAt.is_null()),
            Some(false) => shown.add(row::Column::DisabledAt.is_not_null()),
        };
        if let Some(event_type) = &filter.event_type {
            // An application has few endpoints: none of them is reached by what it wants.
            let wants = self.database.dialect().choose(
                "(event_types = '[]' OR event_types @> to_jsonb($1::text))",
                "(event_types = '[]' OR EXISTS (SELECT 1 FROM json_each(event_types) WHERE value = ?))",
            );
            shown = shown.add(Expr::cust_with_values(wants, [event_type.as_str()]));
        }
        let order = match page.start {
            Start::Beginning => Order::Asc,
            Start::After(key) => {
                shown = shown.add(row::Column::Id.gt(key.as_uuid()));
                Order::Asc
            }
            Start::Before(key) => {
                shown = shown.add(row::Column::Id.lt(key.as_uuid()));
                Order::Desc
            }
        };
        let rows = row::Entity::find()
            .filter(shown)
            .order_by(row::Column::Id, order)
            .limit(page.rows())
            .all(&self.database.read(Scope::Tenant(tenant)).await?)
            .await
            .or_store_error()?;
        let views = rows.into_iter().map(row::Model::view).collect::<Result<_, _>>()?;
        Ok(Page::of(views, &page, |view: &EndpointView| view.id))
    }

    async fn endpoint_secrets(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        reference: &EndpointRef,
    ) -> Result<Option<SecretRing>, StoreError> {
        let row = self.endpoint_row(scope, application, reference).await?;
        row.map(|row| row.secrets(&self.secrets)).transpose()
    }
}
