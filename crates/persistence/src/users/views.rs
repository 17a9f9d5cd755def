//! People, invitations and machines of a tenant, to look at. No statement here reads a secret's hash.

use postrider_application::{
    access::TenantScope,
    ports::{ApiKeyView, InvitationView, MemberView, Page, PageRequest, PrincipalViews, StoreError},
};
use postrider_domain::{ApiKeyId, InvitationId, MembershipId, UserId};
use sea_orm::{ConnectionTrait as _, FromQueryResult, Value};
use uuid::Uuid;

use crate::{
    SqlStore,
    codec::{Hidden, StoredGrants, read_email, read_name, timestamp},
    connection::Scope,
    error::OrStoreError as _,
    paging::{Order, id_bound, limit, reading},
};

macro_rules! members {
    ($which:literal) => {
        concat!(
            "SELECT m.id, m.user_id, u.email, u.name, m.grants, m.created_at
             FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.tenant = {tenant} AND m.id ",
            $which
        )
    };
}
const MEMBER: &str = members!("= $1 LIMIT $2");
const MEMBERS: &str = members!("{beyond} $1 ORDER BY m.id {order} LIMIT $2");
const INVITATIONS: &str = "
SELECT id, email, grants, invited_by, created_at, expires_at FROM invitations
WHERE tenant = {tenant} AND id {beyond} $1 ORDER BY id {order} LIMIT $2";
const API_KEYS: &str = "
SELECT id, name, grants, created_at, expires_at, last_used_at FROM api_keys
WHERE tenant = {tenant} AND id {beyond} $1 ORDER BY id {order} LIMIT $2";

#[derive(FromQueryResult)]
struct MemberRow {
    id: Uuid,
    user_id: Uuid,
    email: Hidden,
    name: String,
    grants: StoredGrants,
    created_at: i64,
}

impl MemberRow {
    fn view(self) -> Result<MemberView, StoreError> {
        Ok(MemberView {
            id: MembershipId::from_uuid(self.id),
            user: UserId::from_uuid(self.user_id),
            email: read_email(&self.email)?,
            name: read_name(&self.name)?,
            grants: self.grants.read()?,
            created_at: timestamp(self.created_at),
        })
    }
}

#[derive(FromQueryResult)]
struct InvitationRow {
    id: Uuid,
    email: Hidden,
    grants: StoredGrants,
    invited_by: String,
    created_at: i64,
    expires_at: i64,
}

impl InvitationRow {
    fn view(self) -> Result<InvitationView, StoreError> {
        Ok(InvitationView {
            id: InvitationId::from_uuid(self.id),
            email: read_email(&self.email)?,
            grants: self.grants.read()?,
            invited_by: self.invited_by,
            created_at: timestamp(self.created_at),
            expires_at: timestamp(self.expires_at),
        })
    }
}

#[derive(FromQueryResult)]
struct KeyRow {
    id: Uuid,
    name: String,
    grants: StoredGrants,
    created_at: i64,
    expires_at: Option<i64>,
    last_used_at: Option<i64>,
}

impl KeyRow {
    fn view(self) -> Result<ApiKeyView, StoreError> {
        Ok(ApiKeyView {
            id: ApiKeyId::from_uuid(self.id),
            name: read_name(&self.name)?,
            grants: self.grants.read()?,
            created_at: timestamp(self.created_at),
            expires_at: self.expires_at.map(timestamp),
            last_used_at: self.last_used_at.map(timestamp),
        })
    }
}

impl SqlStore {
    /// Up to `limit` views of the tenant's rows that `sql` selects by an id.
    async fn views_by_id<R: FromQueryResult, V>(
        &self,
        scope: &TenantScope,
        sql: &str,
        id: Value,
        limit: Value,
        view: fn(R) -> Result<V, StoreError>,
    ) -> Result<Vec<V>, StoreError> {
        let tenant = scope.tenant();
        let select = self.database.dialect().of_tenant(tenant, sql, [id, limit])?;
        let rows = self
            .database
            .read(Scope::Tenant(tenant))
            .await?
            .query_all_raw(select)
            .await
            .or_store_error()?;
        rows.iter()
            .map(|row| view(R::from_query_result(row, "").or_store_error()?))
            .collect()
    }
}

impl PrincipalViews for SqlStore {
    async fn members(
        &self,
        scope: &TenantScope,
        page: PageRequest<MembershipId>,
    ) -> Result<Page<MemberView, MembershipId>, StoreError> {
        let sql = reading(MEMBERS, Order::Ascending, &page);
        let bound = id_bound(Order::Ascending, &page, MembershipId::as_uuid);
        let views = self.views_by_id(scope, &sql, bound, limit(&page), MemberRow::view);
        Ok(Page::of(views.await?, &page, |view| view.id))
    }

    async fn member(&self, scope: &TenantScope, id: MembershipId) -> Result<Option<MemberView>, StoreError> {
        let views = self.views_by_id(scope, MEMBER, id.as_uuid().into(), 1_i64.into(), MemberRow::view);
        Ok(views.await?.pop())
    }

    async fn invitations(
        &self,
        scope: &TenantScope,
        page: PageRequest<InvitationId>,
    ) -> Result<Page<InvitationView, InvitationId>, StoreError> {
        let sql = reading(INVITATIONS, Order::Ascending, &page);
        let bound = id_bound(Order::Ascending, &page, InvitationId::as_uuid);
        let views = self.views_by_id(scope, &sql, bound, limit(&page), InvitationRow::view);
        Ok(Page::of(views.await?, &page, |view| view.id))
    }

    async fn api_keys(
        &self,
        scope: &TenantScope,
        page: PageRequest<ApiKeyId>,
    ) -> Result<Page<ApiKeyView, ApiKeyId>, StoreError> {
        let sql = reading(API_KEYS, Order::Ascending, &page);
        let bound = id_bound(Order::Ascending, &page, ApiKeyId::as_uuid);
        let views = self.views_by_id(scope, &sql, bound, limit(&page), KeyRow::view);
        Ok(Page::of(views.await?, &page, |view| view.id))
    }
}
