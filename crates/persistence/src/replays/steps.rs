use std::time::Duration;

use async_trait::async_trait;
use postrider_application::{
    audit::Record,
    ports::{Ids, ReplayLimits, ReplayStep, ReplayWorker, StoreError, UnitOfWork as _},
};
use postrider_domain::{
    Aggregate as _, Change, MessageId, ReplayId, TenantId, Timestamp,
    endpoints::Filter,
    replays::{Progress, Replay, ReplayFailure, ReplayState},
};
use sea_orm::{ConnectionTrait as _, FromQueryResult};
use tracing::Span;
use uuid::Uuid;

use super::{
    candidates::{Found, Search, Then},
    queueing::{note, outstanding, queue},
    row::Model,
};
use crate::{
    SqlStore, advisory_lock,
    codec::{StoredTexts, micros, read_filter},
    connection::{Dialect, Scope},
    error::OrStoreError as _,
    stored::Stored as _,
    unit_of_work::SqlUnitOfWork,
};

/// The one that has waited the longest. One that somebody cancels at this moment is passed over. Nothing is queued for
/// a tenant whose queue is being erased.
const NEXT: &str = "
SELECT r.* FROM replays r WHERE r.status = 'running' AND r.due_at <= {now}
    AND EXISTS (SELECT 1 FROM tenants t WHERE t.id = r.tenant AND t.status <> 'deleting')
ORDER BY r.due_at LIMIT 1";
const SKIP_LOCKED: &str = " FOR UPDATE OF r SKIP LOCKED";

const ENDPOINT: &str = "
SELECT event_types, channels, disabled_at FROM endpoints WHERE tenant = {tenant} AND app = $1 AND id = $2";

const PUT_OFF: &str = "UPDATE replays SET due_at = {now} + $1 WHERE tenant = {tenant} AND id = $2";

/// How long a replay stands back whose step failed.
const STAND_BACK: Duration = Duration::from_mins(1);

#[derive(FromQueryResult)]
struct Mine {
    mine: bool,
}

#[derive(FromQueryResult)]
struct EndpointRow {
    event_types: StoredTexts,
    channels: StoredTexts,
    disabled_at: Option<i64>,
}

type Named = (TenantId, ReplayId);

#[async_trait]
impl ReplayWorker for SqlStore {
    async fn step(
        &self,
        limits: &ReplayLimits,
        ids: &dyn Ids,
        now: Timestamp,
    ) -> Result<ReplayStep, StoreError> {
        let scope = Scope::Operator;
        let mut tx = SqlUnitOfWork::new(self.database.begin(scope).await?, scope, self, Span::none());
        if !is_alone(&tx).await? {
            return Ok(ReplayStep::Nothing);
        }
        let mut named = None;
        match try_step(&mut tx, limits, ids, now, &mut named).await {
            Ok(ReplayStep::Nothing) => Ok(ReplayStep::Nothing),
            Ok(step) => tx.commit(Record::InHistory).await.map(|()| step),
            Err(error) => {
                // Nothing of it lasts, and others must not wait for it.
                drop(tx);
                if let Some(named) = named {
                    self.stand_back(named).await?;
                }
                Err(error)
            }
        }
    }
}

impl SqlStore {
    async fn stand_back(&self, named: Named) -> Result<(), StoreError> {
        let scope = Scope::Operator;
        let tx = SqlUnitOfWork::new(self.database.begin(scope).await?, scope, self, Span::none());
        put_off(&tx, named, STAND_BACK).await?;
        tx.transaction.commit().await
    }
}

/// Whether no other node takes a step: two of the same endpoint must not look at the same messages, and one at a time
/// is enough for all. SQLite has one writer.
async fn is_alone(tx: &SqlUnitOfWork) -> Result<bool, StoreError> {
    if tx.dialect == Dialect::Sqlite {
        return Ok(true);
    }
    let sql = "SELECT pg_try_advisory_xact_lock($1) AS mine";
    let lock = tx.dialect.exactly(sql, [advisory_lock::REPLAYS.into()]);
    let row = tx.transaction.query_one_raw(lock).await.or_store_error()?;
    let mine = row.map(|row| Mine::from_query_result(&row, ""));
    Ok(mine.transpose().or_store_error()?.is_some_and(|mine| mine.mine))
}

async fn put_off(tx: &SqlUnitOfWork, (tenant, id): Named, by: Duration) -> Result<(), StoreError> {
    let values = [micros(by).into(), id.as_uuid().into()];
    let put_off = tx.dialect.of_tenant(tenant, PUT_OFF, values)?;
    tx.transaction
        .execute_raw(put_off)
        .await
        .or_store_error()
        .map(drop)
}

async fn next(tx: &SqlUnitOfWork) -> Result<Option<Replay>, StoreError> {
    let sql = match tx.dialect {
        Dialect::Postgres => format!("{NEXT}{SKIP_LOCKED}"),
        Dialect::Sqlite => NEXT.to_owned(),
    };
    let statement = tx.dialect.statement(&sql, []);
    let row = tx.transaction.query_one_raw(statement).await.or_store_error()?;
    row.map(|row| Replay::read(Model::from_query_result(&row, "").or_store_error()?, &tx.secrets))
        .transpose()
}

async fn try_step(
    tx: &mut SqlUnitOfWork,
    limits: &ReplayLimits,
    ids: &dyn Ids,
    now: Timestamp,
    named: &mut Option<Named>,
) -> Result<ReplayStep, StoreError> {
    let Some(mut replay) = next(tx).await? else {
        return Ok(ReplayStep::Nothing);
    };
    let (tenant, id) = (replay.state().tenant, replay.state().id);
    *named = Some((tenant, id));
    let filter = match endpoint(tx, &replay).await? {
        Ok(filter) => filter,
        Err(why) => {
            let change = replay.fail(why, now);
            return finish(tx, replay, change, 0).await;
        }
    };
    let mut busy = outstanding(&tx.transaction, tx.dialect, replay.state()).await?;
    let Some(room) = room(limits, busy.len(), replay.state()) else {
        put_off(tx, (tenant, id), limits.wait).await?;
        return Ok(ReplayStep::Waiting {
            replay: id,
            queued: 0,
        });
    };
    let found = Search {
        transaction: &tx.transaction,
        dialect: tx.dialect,
        replay: replay.state(),
        filter: &filter,
        limits,
        room,
        now,
    }
    .look()
    .await?;
    let rows = queue(&tx.transaction, tx.dialect, replay.state(), &found.wanted, ids).await?;
    let queued = count(rows.len());
    advance(&mut replay, &found, queued);
    if queued > 0 {
        busy.extend(rows);
        note(&tx.transaction, tx.dialect, replay.state(), &busy).await?;
    }
    if found.then == Then::End || replay.state().room() == 0 {
        let change = replay.complete(now);
        return finish(tx, replay, change, queued).await;
    }
    tx.save_row(Some(tenant), &mut replay).await?;
    let waits = found.then == Then::FanOut;
    put_off(tx, (tenant, id), if waits { limits.wait } else { Duration::ZERO }).await?;
    Ok(if waits {
        ReplayStep::Waiting { replay: id, queued }
    } else {
        ReplayStep::Made {
            replay: id,
            queued,
            finished: false,
        }
    })
}

/// How many messages may be queued now, while so many of the replay's are in the queue; none if it is not worth a step
/// yet: not one for every row that goes, but half a batch at least.
fn room(limits: &ReplayLimits, busy: usize, replay: &ReplayState) -> Option<u32> {
    let room = limits.outstanding.saturating_sub(count(busy));
    let left = u32::try_from(replay.room()).unwrap_or(u32::MAX);
    let worth = (limits.batch.min(limits.outstanding) / 2).clamp(1, left.max(1));
    (room >= worth || left == 0).then_some(room.min(left))
}

/// No more than a step may have.
fn count(rows: usize) -> u32 {
    u32::try_from(rows).unwrap_or(u32::MAX)
}

fn advance(replay: &mut Replay, found: &Found, queued: u32) {
    let step = Progress {
        considered: found.considered,
        queued: u64::from(queued),
        skipped: found.considered.saturating_sub(u64::from(queued)),
    };
    replay.advance(found.cursor.map(MessageId::from_uuid), step);
}

async fn finish(
    tx: &mut SqlUnitOfWork,
    mut replay: Replay,
    change: Change,
    queued: u32,
) -> Result<ReplayStep, StoreError> {
    let (tenant, id) = (replay.state().tenant, replay.state().id);
    note(&tx.transaction, tx.dialect, replay.state(), &[]).await?;
    if change == Change::Made {
        tx.save_row(Some(tenant), &mut replay).await?;
    }
    Ok(ReplayStep::Made {
        replay: id,
        queued,
        finished: true,
    })
}

/// What the endpoint wants, or why it is sent nothing.
async fn endpoint(tx: &SqlUnitOfWork, replay: &Replay) -> Result<Result<Filter, ReplayFailure>, StoreError> {
    let state = replay.state();
    let named: [Uuid; 2] = [state.application.as_uuid(), state.endpoint.as_uuid()];
    let statement = tx
        .dialect
        .of_tenant(state.tenant, ENDPOINT, named.map(Into::into))?;
    let row = tx.transaction.query_one_raw(statement).await.or_store_error()?;
    let Some(row) = row else {
        return Ok(Err(ReplayFailure::EndpointGone));
    };
    let row = EndpointRow::from_query_result(&row, "").or_store_error()?;
    if row.disabled_at.is_some() {
        return Ok(Err(ReplayFailure::EndpointDisabled));
    }
    read_filter(&row.event_types, &row.channels).map(Ok)
}
