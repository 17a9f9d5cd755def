//! A person's own affairs.

use postrider_application::{
    access::PersonScope,
    ports::{PersonRepository, StoreError},
};
use postrider_domain::{
    Aggregate as _, PasswordResetId, SessionId,
    users::{SessionEnd, User},
};
use sea_orm::ConnectionTrait as _;
use uuid::Uuid;

use super::{people, sessions};
use crate::{
    error::{OrStoreError as _, fault},
    unit_of_work::SqlUnitOfWork,
};

const END_SESSIONS: &str = "
DELETE FROM sessions WHERE user_id = $1 AND id <> $2 RETURNING tenant, id, version";
const TAKE_RESET: &str = "DELETE FROM password_resets WHERE user_id = $1 AND id = $2";
const FORGET_RESETS: &str = "DELETE FROM password_resets WHERE user_id = $1";
const AM_MEMBER: &str = "SELECT 1 AS found FROM memberships WHERE tenant = {tenant} AND user_id = $1";

impl PersonRepository for SqlUnitOfWork {
    async fn find_me(&mut self, scope: &PersonScope) -> Result<Option<User>, StoreError> {
        let me = self.person(scope)?;
        self.hold_row(people::of_id(me)).await
    }

    async fn save_me(&mut self, scope: &PersonScope, user: &mut User) -> Result<(), StoreError> {
        if self.person(scope)? != user.state().id {
            return Err(fault("the person is somebody else"));
        }
        self.save_row(None, user).await
    }

    async fn end_my_sessions(
        &mut self,
        scope: &PersonScope,
        except: Option<SessionId>,
        why: SessionEnd,
    ) -> Result<u32, StoreError> {
        let me = self.person(scope)?;
        // No session has the id that says nothing.
        let except = except.map_or(Uuid::nil(), |session| session.as_uuid());
        let end = self
            .dialect
            .exactly(END_SESSIONS, [me.as_uuid().into(), except.into()]);
        sessions::end(self, end, me, why).await
    }

    async fn take_password_reset(
        &mut self,
        scope: &PersonScope,
        id: PasswordResetId,
    ) -> Result<bool, StoreError> {
        let me = self.person(scope)?;
        let take = self
            .dialect
            .exactly(TAKE_RESET, [me.as_uuid().into(), id.as_uuid().into()]);
        let taken = self.transaction.execute_raw(take).await.or_store_error()?;
        Ok(taken.rows_affected() == 1)
    }

    async fn forget_password_resets(&mut self, scope: &PersonScope) -> Result<(), StoreError> {
        let me = self.person(scope)?;
        let forget = self.dialect.exactly(FORGET_RESETS, [me.as_uuid().into()]);
        self.transaction.execute_raw(forget).await.or_store_error()?;
        Ok(())
    }

    async fn am_member(&mut self, scope: &PersonScope) -> Result<bool, StoreError> {
        let me = self.person(scope)?;
        let Some(tenant) = scope.tenant() else {
            return Ok(false);
        };
        let find = self.dialect.of_tenant(tenant, AM_MEMBER, [me.as_uuid().into()])?;
        let found = self.transaction.query_one_raw(find).await.or_store_error()?;
        Ok(found.is_some())
    }
}
