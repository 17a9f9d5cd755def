//! What commands with an idempotency key were answered.

use async_trait::async_trait;
use postrider_application::ports::{AnswerKey, Answers, KeptAnswer, NewAnswer, StoreError, UniqueRule};
use postrider_domain::TenantId;
use sea_orm::{ConnectionTrait as _, FromQueryResult};
use uuid::Uuid;

use crate::{
    SqlStore,
    codec::micros,
    connection::{Dialect, Scope, Transaction},
    error::{OrStoreError as _, corrupt, fault},
};

/// One whose time is over makes room. Whoever comes while another request of the key is under way waits for its end,
/// and then finds what it left.
const KEEP: &str = "
INSERT INTO idempotency_keys (tenant, key_hash, asked_hash, answer, created_at, expires_at)
VALUES ($1, $2, $3, $4, {now}, {now} + $5)
ON CONFLICT (tenant, key_hash) DO UPDATE SET asked_hash = excluded.asked_hash, answer = excluded.answer,
    created_at = excluded.created_at, expires_at = excluded.expires_at
WHERE idempotency_keys.expires_at <= {now}";
const FIND: &str = "
SELECT asked_hash, answer FROM idempotency_keys WHERE tenant = $1 AND key_hash = $2 AND expires_at > {now}";

#[derive(FromQueryResult)]
struct Row {
    asked_hash: Vec<u8>,
    answer: Vec<u8>,
}

/// Under which tenant an answer is kept: the operator's under none, which is nobody's id.
fn holder(tenant: Option<TenantId>) -> Uuid {
    tenant.map_or(Uuid::nil(), |tenant| tenant.as_uuid())
}

/// In which scope it is looked for.
fn scope(key: &AnswerKey) -> Scope {
    key.tenant.map_or(Scope::Operator, Scope::Tenant)
}

/// Keeps the answer in a transaction of `scope`.
pub(crate) async fn keep(
    transaction: &Transaction,
    dialect: Dialect,
    scope: Scope,
    new: NewAnswer,
) -> Result<(), StoreError> {
    let its_own = match scope {
        Scope::Tenant(only) => new.key.tenant == Some(only),
        Scope::Operator => true,
        Scope::Person { .. } | Scope::Identity | Scope::Engine => false,
    };
    if !its_own {
        return Err(fault("an answer to somebody of another tenant"));
    }
    if new.answer.bytes.len() > NewAnswer::MAX_BYTES {
        return Err(fault("an answer is too large to be kept"));
    }
    let values = [
        holder(new.key.tenant).into(),
        new.key.hash.to_vec().into(),
        new.answer.asked.to_vec().into(),
        new.answer.bytes.into(),
        micros(new.window).into(),
    ];
    let kept = transaction
        .execute_raw(dialect.statement(KEEP, values))
        .await
        .or_store_error()?;
    match kept.rows_affected() {
        0 => Err(StoreError::Conflict(UniqueRule::IdempotencyKey)),
        _ => Ok(()),
    }
}

#[async_trait]
impl Answers for SqlStore {
    async fn find(&self, key: &AnswerKey) -> Result<Option<KeptAnswer>, StoreError> {
        let values = [holder(key.tenant).into(), key.hash.to_vec().into()];
        let find = self.database.dialect().statement(FIND, values);
        let reading = self.database.read(scope(key)).await?;
        let Some(row) = reading.query_one_raw(find).await.or_store_error()? else {
            return Ok(None);
        };
        let row = Row::from_query_result(&row, "").or_store_error()?;
        let asked = row.asked_hash.try_into();
        Ok(Some(KeptAnswer {
            asked: asked.map_err(|_| corrupt("asked_hash", "it is no SHA-256"))?,
            bytes: row.answer,
        }))
    }

    async fn keep(&self, answer: NewAnswer) -> Result<(), StoreError> {
        let scope = scope(&answer.key);
        let transaction = self.database.begin(scope).await?;
        keep(&transaction, self.database.dialect(), scope, answer).await?;
        transaction.commit().await
    }
}
