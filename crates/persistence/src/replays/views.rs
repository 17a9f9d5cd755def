use postrider_application::{
    access::TenantScope,
    ports::{Page, PageRequest, ReplayViews, StoreError},
};
use postrider_domain::{ApplicationId, EndpointId, ReplayId, replays::ReplayState};
use sea_orm::{ConnectionTrait as _, FromQueryResult as _, Value};

use super::row::Model;
use crate::{
    SqlStore,
    connection::Scope,
    error::OrStoreError as _,
    paging::{Order, id_bound, limit, reading},
};

const ONE: &str = "SELECT * FROM replays WHERE tenant = {tenant} AND id = $1 AND app = $2 AND endpoint = $3";

const PAGE: &str = "
SELECT * FROM replays WHERE tenant = {tenant} AND app = $1 AND endpoint = $2 AND id {beyond} $3
ORDER BY id {order} LIMIT $4";

impl SqlStore {
    async fn replays_of(
        &self,
        scope: &TenantScope,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<ReplayState>, StoreError> {
        let tenant = scope.tenant();
        let statement = self.database.dialect().of_tenant(tenant, sql, values)?;
        let reading = self.database.read(Scope::Tenant(tenant)).await?;
        let rows = reading.query_all_raw(statement).await.or_store_error()?;
        let state = |row| Model::from_query_result(row, "").or_store_error()?.state();
        rows.iter().map(state).collect()
    }
}

impl ReplayViews for SqlStore {
    async fn replay(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        endpoint: EndpointId,
        id: ReplayId,
    ) -> Result<Option<ReplayState>, StoreError> {
        let named = [id.as_uuid(), application.as_uuid(), endpoint.as_uuid()];
        let found = self.replays_of(scope, ONE, named.map(Into::into)).await?;
        Ok(found.into_iter().next())
    }

    async fn replays(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        endpoint: EndpointId,
        page: PageRequest<ReplayId>,
    ) -> Result<Page<ReplayState, ReplayId>, StoreError> {
        let values = [
            application.as_uuid().into(),
            endpoint.as_uuid().into(),
            id_bound(Order::Descending, &page, ReplayId::as_uuid),
            limit(&page),
        ];
        let sql = reading(PAGE, Order::Descending, &page);
        let rows = self.replays_of(scope, &sql, values).await?;
        Ok(Page::of(rows, &page, |state: &ReplayState| state.id))
    }
}
