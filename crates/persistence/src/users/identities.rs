//! Looking up who somebody is, before the tenant is known.

use async_trait::async_trait;
use postrider_application::ports::{
    ApiKeyRecord, Credentials, Identities, SessionRecord, StoreError, TenantMembership,
};
use postrider_domain::{
    ApiKeyId, Name, SessionId, TenantId, UserId,
    users::{Email, User},
};
use sea_orm::{ConnectionTrait as _, EntityTrait as _, FromQueryResult, QueryFilter as _, Statement};
use uuid::Uuid;

use super::people;
use crate::{
    SqlStore,
    api_keys::read_secret_hash,
    codec::{HiddenBytes, StoredGrants, timestamp},
    connection::Scope,
    error::{OrStoreError as _, corrupt},
};

/// The most tenants that a login looks at. Nobody is in so many.
const MAX_MEMBERSHIPS: i64 = 1_000;

#[derive(FromQueryResult)]
struct KeyRow {
    tenant: Uuid,
    secret_hash: HiddenBytes,
    grants: StoredGrants,
    expires_at: Option<i64>,
}

#[derive(FromQueryResult)]
struct SessionRow {
    tenant: Uuid,
    user_id: Uuid,
    expires_at: i64,
    grants: StoredGrants,
}

#[derive(FromQueryResult)]
struct PlaceRow {
    tenant: Uuid,
    name: String,
    grants: StoredGrants,
}

impl SqlStore {
    async fn identity<R: FromQueryResult>(&self, statement: Statement) -> Result<Option<R>, StoreError> {
        let row = self
            .database
            .read(Scope::Identity)
            .await?
            .query_one_raw(statement)
            .await
            .or_store_error()?;
        row.map(|row| R::from_query_result(&row, ""))
            .transpose()
            .or_store_error()
    }
}

#[async_trait]
impl Credentials for SqlStore {
    async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKeyRecord>, StoreError> {
        let statement = self.database.dialect().exactly(
            "SELECT tenant, secret_hash, grants, expires_at FROM api_keys WHERE id = $1",
            [id.as_uuid().into()],
        );
        let Some(row) = self.identity::<KeyRow>(statement).await? else {
            return Ok(None);
        };
        Ok(Some(ApiKeyRecord {
            id,
            tenant: TenantId::from_uuid(row.tenant),
            secret_hash: read_secret_hash(row.secret_hash)?,
            grants: row.grants.read()?,
            expires_at: row.expires_at.map(timestamp),
        }))
    }

    async fn session(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError> {
        // Without a membership there is nothing to let in to.
        let statement = self.database.dialect().exactly(
            "SELECT s.tenant, s.user_id, s.expires_at, m.grants
             FROM sessions s JOIN memberships m ON m.tenant = s.tenant AND m.user_id = s.user_id
             WHERE s.id = $1",
            [id.as_uuid().into()],
        );
        let Some(row) = self.identity::<SessionRow>(statement).await? else {
            return Ok(None);
        };
        Ok(Some(SessionRecord {
            id,
            tenant: TenantId::from_uuid(row.tenant),
            user: UserId::from_uuid(row.user_id),
            grants: row.grants.read()?,
            expires_at: timestamp(row.expires_at),
        }))
    }
}

#[async_trait]
impl Identities for SqlStore {
    async fn user_by_email(&self, email: &Email) -> Result<Option<User>, StoreError> {
        let connection = self.database.read(Scope::Identity).await?;
        let row = people::Entity::find()
            .filter(people::of_email(email))
            .one(&connection)
            .await
            .or_store_error()?;
        row.map(people::read).transpose()
    }

    async fn memberships(&self, user: UserId) -> Result<Vec<TenantMembership>, StoreError> {
        let statement = self.database.dialect().exactly(
            "SELECT m.tenant, t.name, m.grants FROM memberships m JOIN tenants t ON t.id = m.tenant
             WHERE m.user_id = $1 ORDER BY m.created_at, m.id LIMIT $2",
            [user.as_uuid().into(), MAX_MEMBERSHIPS.into()],
        );
        let connection = self.database.read(Scope::Identity).await?;
        let rows = connection.query_all_raw(statement).await.or_store_error()?;
        let place = |row| {
            let row = PlaceRow::from_query_result(row, "").or_store_error()?;
            Ok(TenantMembership {
                tenant: TenantId::from_uuid(row.tenant),
                tenant_name: Name::parse(&row.name).map_err(|why| corrupt("name of a tenant", why))?,
                grants: row.grants.read()?,
            })
        };
        rows.iter().map(place).collect()
    }
}
