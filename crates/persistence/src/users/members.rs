//! The people of one tenant.

use postrider_application::{
    access::TenantScope,
    ports::{MemberRepository, StoreError},
};
use postrider_domain::{
    Aggregate as _, MembershipId,
    users::{Email, Invitation, Membership, SessionEnd},
};
use sea_orm::{ConnectionTrait as _, FromQueryResult, Statement};
use uuid::Uuid;

use super::{invitations, sessions};
use crate::{
    connection::Dialect,
    error::{OrStoreError as _, corrupt},
    unit_of_work::SqlUnitOfWork,
};

/// Whoever adds a membership refers to this row, and whoever changes one counts first: so they wait for each other.
/// SQLite has one writer.
const HOLD_TENANT: &str = "SELECT id FROM tenants WHERE id = {tenant} FOR UPDATE";

const OWNERS_ON_POSTGRES: &str = "
SELECT count(*) AS owners FROM memberships m WHERE m.tenant = {tenant} AND EXISTS (
    SELECT 1 FROM jsonb_array_elements(m.grants) g WHERE g ->> 'role' = 'owner' AND g ->> 'app' IS NULL)";
const OWNERS_ON_SQLITE: &str = "
SELECT count(*) AS owners FROM memberships m WHERE m.tenant = {tenant} AND EXISTS (
    SELECT 1 FROM json_each(m.grants) g WHERE g.value ->> 'role' = 'owner' AND g.value ->> 'app' IS NULL)";

const FIND_MEMBER: &str = "
SELECT m.id FROM memberships m JOIN users u ON u.id = m.user_id
WHERE m.tenant = {tenant} AND u.email = $1";

const END_SESSIONS: &str = "
DELETE FROM sessions WHERE tenant = {tenant} AND user_id = $1 RETURNING tenant, id, version";

#[derive(FromQueryResult)]
struct Owners {
    owners: i64,
}

#[derive(FromQueryResult)]
struct Member {
    id: Uuid,
}

impl SqlUnitOfWork {
    async fn one<R: FromQueryResult>(&self, statement: Statement) -> Result<Option<R>, StoreError> {
        let row = self.transaction.query_one_raw(statement).await.or_store_error()?;
        row.map(|row| R::from_query_result(&row, ""))
            .transpose()
            .or_store_error()
    }
}

impl MemberRepository for SqlUnitOfWork {
    async fn count_owners(&mut self, scope: &TenantScope) -> Result<u32, StoreError> {
        let tenant = self.writable(scope)?;
        if self.dialect == Dialect::Postgres {
            let hold = self.dialect.of_tenant(tenant, HOLD_TENANT, [])?;
            self.transaction.execute_raw(hold).await.or_store_error()?;
        }
        // A statement of its own, which sees what those committed who were waited for.
        let sql = self.dialect.choose(OWNERS_ON_POSTGRES, OWNERS_ON_SQLITE);
        let counted: Option<Owners> = self.one(self.dialect.of_tenant(tenant, sql, [])?).await?;
        u32::try_from(counted.map_or(0, |counted| counted.owners))
            .map_err(|why| corrupt("number of owners", why))
    }

    async fn find_member(
        &mut self,
        scope: &TenantScope,
        email: &Email,
    ) -> Result<Option<MembershipId>, StoreError> {
        let Some(tenant) = self.visible(scope) else {
            return Ok(None);
        };
        let find = self
            .dialect
            .of_tenant(tenant, FIND_MEMBER, [email.as_str().into()])?;
        let found: Option<Member> = self.one(find).await?;
        Ok(found.map(|member| MembershipId::from_uuid(member.id)))
    }

    async fn find_invitation(
        &mut self,
        scope: &TenantScope,
        email: &Email,
    ) -> Result<Option<Invitation>, StoreError> {
        match self.visible(scope) {
            Some(tenant) => self.find_row(invitations::to_email(tenant, email)).await,
            None => Ok(None),
        }
    }

    async fn invitations_by(
        &mut self,
        scope: &TenantScope,
        inviter: &str,
    ) -> Result<Vec<Invitation>, StoreError> {
        match self.visible(scope) {
            Some(tenant) => self.find_rows(invitations::by(tenant, inviter)).await,
            None => Ok(Vec::new()),
        }
    }

    async fn end_sessions_of(
        &mut self,
        scope: &TenantScope,
        member: &Membership,
        why: SessionEnd,
    ) -> Result<u32, StoreError> {
        let (tenant, user) = (self.writable(scope)?, member.state().user);
        let end = self
            .dialect
            .of_tenant(tenant, END_SESSIONS, [user.as_uuid().into()])?;
        sessions::end(self, end, user, why).await
    }
}
