//! Which tenants listen to operational webhooks.

use std::collections::HashSet;

use async_trait::async_trait;
use postrider_application::ports::{OperationalApplications, StoreError};
use postrider_domain::{TenantId, applications::OPERATIONAL_UID, tenants::TenantStatus};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _, sea_query::Query};
use uuid::Uuid;

use crate::{
    SqlStore,
    applications::{Column, Entity},
    connection::Scope,
    error::OrStoreError as _,
    tenants,
};

#[async_trait]
impl OperationalApplications for SqlStore {
    async fn listening(&self, tenants: &[TenantId]) -> Result<HashSet<TenantId>, StoreError> {
        if tenants.is_empty() {
            return Ok(HashSet::new());
        }
        let stays = Query::select()
            .column(tenants::Column::Id)
            .from(tenants::Entity)
            .and_where(tenants::Column::Status.ne(TenantStatus::Deleting.as_str()))
            .take();
        let reading = self.database.read(Scope::Engine).await?;
        let listening: Vec<Uuid> = Entity::find()
            .select_only()
            .column(Column::Tenant)
            .filter(Column::Tenant.is_in(tenants.iter().map(TenantId::as_uuid)))
            .filter(Column::Tenant.in_subquery(stays))
            .filter(Column::Uid.eq(OPERATIONAL_UID))
            .filter(Column::DeletedAt.is_null())
            .into_tuple()
            .all(&reading)
            .await
            .or_store_error()?;
        Ok(listening.into_iter().map(TenantId::from_uuid).collect())
    }
}
