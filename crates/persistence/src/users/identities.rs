//! Looking up who somebody is, before the tenant is known.

use async_trait::async_trait;
use postrider_application::ports::{
    ApiKeyRecord, Credentials, Identities, PasswordReset, PortalRecord, SessionRecord, StoreError,
    TenantInvitation, TenantMembership,
};
use postrider_domain::{
    ApiKeyId, ApplicationId, InvitationId, PasswordResetId, SessionId, TenantId, UserId,
    access::Grant,
    users::{Email, User},
};
use sea_orm::{
    ConnectionTrait as _, EntityTrait as _, FromQueryResult, QueryFilter as _, QueryResult, Statement,
};
use uuid::Uuid;

use super::{invitations, people};
use crate::{
    SqlStore,
    applications::read_valid_after,
    codec::{HiddenBytes, StoredGrants, read_name, read_settings, read_tenant_status, timestamp},
    connection::Scope,
    error::OrStoreError as _,
};

/// The most tenants that a login looks at. Nobody is in so many.
const MAX_MEMBERSHIPS: i64 = 1_000;

const API_KEY: &str = "
SELECT k.tenant, t.status, t.schema_validation, t.unregistered_event_types, k.secret_hash, k.grants, k.expires_at
FROM api_keys k JOIN tenants t ON t.id = k.tenant WHERE k.id = $1";
/// Without a membership there is nothing to let in to.
const SESSION: &str = "
SELECT s.tenant, t.status, t.schema_validation, t.unregistered_event_types, s.user_id, s.expires_at, m.grants
FROM sessions s JOIN memberships m ON m.tenant = s.tenant AND m.user_id = s.user_id
JOIN tenants t ON t.id = s.tenant
WHERE s.id = $1";
const PORTAL: &str = "
SELECT t.status, t.schema_validation, t.unregistered_event_types, a.tokens_valid_after
FROM applications a JOIN tenants t ON t.id = a.tenant
WHERE a.tenant = $1 AND a.id = $2 AND a.deleted_at IS NULL";
const MEMBERSHIPS: &str = "
SELECT m.tenant, t.name, t.status, m.grants FROM memberships m JOIN tenants t ON t.id = m.tenant
WHERE m.user_id = $1 ORDER BY m.created_at, m.id LIMIT $2";
const INVITATION: &str = "
SELECT i.tenant, i.id, i.email, i.grants, i.token_hash, i.invited_by, i.created_at, i.expires_at, i.version,
    t.status
FROM invitations i JOIN tenants t ON t.id = i.tenant WHERE i.id = $1";
const MEMBERS_GRANTS: &str = "SELECT grants FROM memberships WHERE tenant = $1 AND user_id = $2";
const KEYS_GRANTS: &str = "SELECT grants FROM api_keys WHERE tenant = $1 AND id = $2";
const PASSWORD_RESET: &str = "SELECT user_id, token_hash, expires_at FROM password_resets WHERE id = $1";

#[derive(FromQueryResult)]
struct KeyRow {
    tenant: Uuid,
    status: String,
    schema_validation: String,
    unregistered_event_types: String,
    secret_hash: HiddenBytes,
    grants: StoredGrants,
    expires_at: Option<i64>,
}

#[derive(FromQueryResult)]
struct SessionRow {
    tenant: Uuid,
    status: String,
    schema_validation: String,
    unregistered_event_types: String,
    user_id: Uuid,
    expires_at: i64,
    grants: StoredGrants,
}

#[derive(FromQueryResult)]
struct GrantsRow {
    grants: StoredGrants,
}

#[derive(FromQueryResult)]
struct PortalRow {
    status: String,
    schema_validation: String,
    unregistered_event_types: String,
    tokens_valid_after: i64,
}

#[derive(FromQueryResult)]
struct PlaceRow {
    tenant: Uuid,
    name: String,
    status: String,
    grants: StoredGrants,
}

#[derive(FromQueryResult)]
struct StatusRow {
    status: String,
}

#[derive(FromQueryResult)]
struct ResetRow {
    user_id: Uuid,
    token_hash: HiddenBytes,
    expires_at: i64,
}

impl SqlStore {
    async fn identity_row(&self, statement: Statement) -> Result<Option<QueryResult>, StoreError> {
        self.database
            .read(Scope::Identity)
            .await?
            .query_one_raw(statement)
            .await
            .or_store_error()
    }

    async fn identity<R: FromQueryResult>(&self, sql: &str, id: Uuid) -> Result<Option<R>, StoreError> {
        let statement = self.database.dialect().exactly(sql, [id.into()]);
        let row = self.identity_row(statement).await?;
        row.map(|row| R::from_query_result(&row, ""))
            .transpose()
            .or_store_error()
    }
}

#[async_trait]
impl Credentials for SqlStore {
    async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKeyRecord>, StoreError> {
        let Some(row) = self.identity::<KeyRow>(API_KEY, id.as_uuid()).await? else {
            return Ok(None);
        };
        Ok(Some(ApiKeyRecord {
            id,
            tenant: TenantId::from_uuid(row.tenant),
            tenant_status: read_tenant_status(&row.status)?,
            tenant_settings: read_settings(&row.schema_validation, &row.unregistered_event_types)?,
            secret_hash: row.secret_hash.read_hash()?,
            grants: row.grants.read()?,
            expires_at: row.expires_at.map(timestamp),
        }))
    }

    async fn session(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError> {
        let Some(row) = self.identity::<SessionRow>(SESSION, id.as_uuid()).await? else {
            return Ok(None);
        };
        Ok(Some(SessionRecord {
            id,
            tenant: TenantId::from_uuid(row.tenant),
            tenant_status: read_tenant_status(&row.status)?,
            tenant_settings: read_settings(&row.schema_validation, &row.unregistered_event_types)?,
            user: UserId::from_uuid(row.user_id),
            grants: row.grants.read()?,
            expires_at: timestamp(row.expires_at),
        }))
    }

    async fn portal(
        &self,
        tenant: TenantId,
        application: ApplicationId,
    ) -> Result<Option<PortalRecord>, StoreError> {
        let find = self
            .database
            .dialect()
            .exactly(PORTAL, [tenant.as_uuid().into(), application.as_uuid().into()]);
        let Some(row) = self.identity_row(find).await? else {
            return Ok(None);
        };
        let row = PortalRow::from_query_result(&row, "").or_store_error()?;
        Ok(Some(PortalRecord {
            tenant_status: read_tenant_status(&row.status)?,
            tenant_settings: read_settings(&row.schema_validation, &row.unregistered_event_types)?,
            tokens_valid_after: read_valid_after(row.tokens_valid_after),
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
        let statement = self
            .database
            .dialect()
            .exactly(MEMBERSHIPS, [user.as_uuid().into(), MAX_MEMBERSHIPS.into()]);
        let connection = self.database.read(Scope::Identity).await?;
        let rows = connection.query_all_raw(statement).await.or_store_error()?;
        let place = |row| {
            let row = PlaceRow::from_query_result(row, "").or_store_error()?;
            Ok(TenantMembership {
                tenant: TenantId::from_uuid(row.tenant),
                tenant_name: read_name(&row.name)?,
                tenant_status: read_tenant_status(&row.status)?,
                grants: row.grants.read()?,
            })
        };
        rows.iter().map(place).collect()
    }

    async fn session_now(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError> {
        // Nothing is cached here.
        Credentials::session(self, id).await
    }

    async fn invitation(&self, id: InvitationId) -> Result<Option<TenantInvitation>, StoreError> {
        let find = self.database.dialect().exactly(INVITATION, [id.as_uuid().into()]);
        let Some(row) = self.identity_row(find).await? else {
            return Ok(None);
        };
        let status = StatusRow::from_query_result(&row, "").or_store_error()?;
        let invitation = invitations::Model::from_query_result(&row, "").or_store_error()?;
        Ok(Some(TenantInvitation {
            invitation: invitations::read(invitation)?,
            tenant_status: read_tenant_status(&status.status)?,
        }))
    }

    async fn grants_of(&self, tenant: TenantId, actor: &str) -> Result<Vec<Grant>, StoreError> {
        let (sql, id) = if let Ok(user) = actor.parse::<UserId>() {
            (MEMBERS_GRANTS, user.as_uuid())
        } else if let Ok(key) = actor.parse::<ApiKeyId>() {
            (KEYS_GRANTS, key.as_uuid())
        } else {
            return Ok(Vec::new());
        };
        let values = [tenant.as_uuid().into(), id.into()];
        let statement = self.database.dialect().exactly(sql, values);
        let connection = self.database.read(Scope::Identity).await?;
        let row = connection.query_one_raw(statement).await.or_store_error()?;
        let Some(row) = row else {
            return Ok(Vec::new());
        };
        GrantsRow::from_query_result(&row, "")
            .or_store_error()?
            .grants
            .read()
    }

    async fn password_reset(&self, id: PasswordResetId) -> Result<Option<PasswordReset>, StoreError> {
        let Some(row) = self.identity::<ResetRow>(PASSWORD_RESET, id.as_uuid()).await? else {
            return Ok(None);
        };
        Ok(Some(PasswordReset {
            id,
            user: UserId::from_uuid(row.user_id),
            token_hash: row.token_hash.read_hash()?,
            expires_at: timestamp(row.expires_at),
        }))
    }
}
