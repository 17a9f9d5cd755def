//! How far the erasing of a tenant has come: a row of `erasures`, which is what stays of the tenant in the end.

use std::time::Duration;

use postrider_application::ports::{ErasureView, StoreError};
use postrider_domain::{TenantId, Timestamp};
use sea_orm::{ConnectionTrait as _, FromJsonQueryResult, FromQueryResult};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::table::Next;
use crate::{
    codec::{micros, timestamp},
    connection::{Database, Dialect, Scope, Transaction},
    error::{OrStoreError as _, corrupt},
};

/// Queues first: those of tenants whose grace is not over as well. Who failed a while ago comes last.
const NEXT: &str = "
SELECT t.id AS tenant, t.status_since AS ordered_at, e.phase, e.at_table, e.after_key, e.removed
FROM tenants t LEFT JOIN erasures e ON e.tenant = t.id
WHERE t.status = 'deleting'
    AND (e.phase IS NULL OR e.phase = 'queue' OR t.status_since <= {now} - $1)
ORDER BY CASE WHEN e.retry_at > {now} THEN 1 ELSE 0 END,
    CASE WHEN e.phase IS NULL OR e.phase = 'queue' THEN 0 ELSE 1 END, t.status_since, t.id LIMIT 1";

macro_rules! save {
    ($removed:literal) => {
        concat!(
            "INSERT INTO erasures (tenant, ordered_at, phase, at_table, after_key, removed, erased_at)
             VALUES ($1, $2, $3, $4, $5, $6",
            $removed,
            ", $7)
             ON CONFLICT (tenant) DO UPDATE SET phase = excluded.phase, at_table = excluded.at_table,
                after_key = excluded.after_key, removed = excluded.removed, erased_at = excluded.erased_at,
                retry_at = NULL"
        )
    };
}
const SAVE_ON_POSTGRES: &str = save!("::jsonb");
const SAVE_ON_SQLITE: &str = save!("");

/// How long a tenant whose step failed lets the others go first.
const STANDS_BACK: Duration = Duration::from_mins(5);
const STAND_BACK: &str = "
INSERT INTO erasures (tenant, ordered_at, phase, removed, retry_at)
SELECT id, status_since, 'queue', '[]', {now} + $2 FROM tenants WHERE id = $1 AND status = 'deleting'
ON CONFLICT (tenant) DO UPDATE SET retry_at = excluded.retry_at,
    at_table = CASE WHEN $3 THEN NULL ELSE erasures.at_table END,
    after_key = CASE WHEN $3 THEN NULL ELSE erasures.after_key END";

const ERASED: &str = "
SELECT ordered_at, erased_at, removed FROM erasures WHERE tenant = $1 AND erased_at IS NOT NULL";

/// Which way through the tables it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Through the queue alone, at once.
    Queue,
    /// Through all tables, when the grace is over.
    Walk,
    /// Through all tables again: is anything left?
    Proof,
}

impl Phase {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Walk => "walk",
            Self::Proof => "proof",
        }
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        [Self::Queue, Self::Walk, Self::Proof]
            .into_iter()
            .find(|phase| phase.as_str() == text)
            .ok_or_else(|| corrupt("phase of an erasure", "it is unknown"))
    }
}

/// How many rows of which table went: `[["messages",7]]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, FromJsonQueryResult)]
pub(super) struct Removed(pub(super) Vec<(String, u64)>);

/// How far it has come.
pub(super) struct Progress {
    pub(super) tenant: TenantId,
    ordered_at: Timestamp,
    pub(super) phase: Phase,
    at_table: Option<String>,
    /// The last key of the table that was looked at.
    pub(super) after_key: Option<String>,
    pub(super) removed: Removed,
    erased_at: Option<Timestamp>,
}

#[derive(FromQueryResult)]
struct Row {
    tenant: Uuid,
    ordered_at: i64,
    phase: Option<String>,
    at_table: Option<String>,
    after_key: Option<String>,
    removed: Option<Removed>,
}

impl Progress {
    /// Which tenant is next, and how far it has come.
    pub(super) async fn next(
        transaction: &Transaction,
        dialect: Dialect,
        grace: Duration,
    ) -> Result<Option<Self>, StoreError> {
        let next = dialect.statement(NEXT, [micros(grace).into()]);
        let Some(row) = transaction.query_one_raw(next).await.or_store_error()? else {
            return Ok(None);
        };
        let row = Row::from_query_result(&row, "").or_store_error()?;
        let phase = row.phase.as_deref().map(Phase::parse).transpose()?;
        Ok(Some(Self {
            tenant: TenantId::from_uuid(row.tenant),
            ordered_at: timestamp(row.ordered_at),
            phase: phase.unwrap_or(Phase::Queue),
            at_table: row.at_table,
            after_key: row.after_key,
            removed: row.removed.unwrap_or_default(),
            erased_at: None,
        }))
    }

    /// Writes it down.
    pub(super) async fn save(&self, transaction: &Transaction, dialect: Dialect) -> Result<(), StoreError> {
        let removed = serde_json::to_string(&self.removed).map_err(|why| corrupt("counts", why))?;
        let save = dialect.exactly(
            dialect.choose(SAVE_ON_POSTGRES, SAVE_ON_SQLITE),
            [
                self.tenant.as_uuid().into(),
                self.ordered_at.as_micros().into(),
                self.phase.as_str().into(),
                self.at_table.as_deref().into(),
                self.after_key.as_deref().into(),
                removed.into(),
                self.erased_at.map(Timestamp::as_micros).into(),
            ],
        );
        transaction.execute_raw(save).await.or_store_error()?;
        Ok(())
    }

    /// Where in these tables it stands. At the first, if it stands at none of them: another version may have had
    /// others.
    pub(super) fn place_in(&mut self, tables: &[&str]) -> usize {
        let at = self.at_table.as_deref();
        tables
            .iter()
            .position(|table| Some(*table) == at)
            .unwrap_or_else(|| {
                self.after_key = None;
                0
            })
    }

    /// Goes on: in this table, to the next one, or, if there is none, to the next way through them.
    pub(super) fn go_on(&mut self, next: Next, here: &str, then: Option<&str>, or: Phase) {
        match (next, then) {
            (Next::Again, _) => self.at_table = Some(here.to_owned()),
            (Next::Anew, _) => {
                self.at_table = Some(here.to_owned());
                self.after_key = None;
            }
            (Next::After(key), _) => {
                self.at_table = Some(here.to_owned());
                self.after_key = Some(key);
            }
            (Next::Done, Some(table)) => {
                self.at_table = Some(table.to_owned());
                self.after_key = None;
            }
            (Next::Done, None) => self.enter(or),
        }
    }

    /// Begins a way through the tables.
    pub(super) fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.at_table = None;
        self.after_key = None;
    }

    /// Rows of that table went.
    pub(super) fn count(&mut self, table: &str, rows: u64) {
        if rows == 0 {
            return;
        }
        match self.removed.0.iter_mut().find(|(name, _)| name == table) {
            Some((_, count)) => *count += rows,
            None => self.removed.0.push((table.to_owned(), rows)),
        }
    }

    /// The last row went.
    pub(super) fn finish(&mut self, at: Timestamp) {
        self.erased_at = Some(at);
        self.at_table = None;
        self.after_key = None;
    }
}

/// Lets the others go first for a while.
pub(super) async fn stand_back(database: &Database, tenant: TenantId, anew: bool) -> Result<(), StoreError> {
    let transaction = database.begin(Scope::Operator).await?;
    let values = [tenant.as_uuid().into(), micros(STANDS_BACK).into(), anew.into()];
    let stand_back = database.dialect().statement(STAND_BACK, values);
    transaction.execute_raw(stand_back).await.or_store_error()?;
    transaction.commit().await
}

#[derive(FromQueryResult)]
struct ErasedRow {
    ordered_at: i64,
    erased_at: i64,
    removed: Removed,
}

/// What is left of a tenant that was erased.
pub(crate) async fn erasure(
    database: &Database,
    tenant: TenantId,
) -> Result<Option<ErasureView>, StoreError> {
    let find = database.dialect().exactly(ERASED, [tenant.as_uuid().into()]);
    let row = database
        .read(Scope::Operator)
        .await?
        .query_one_raw(find)
        .await
        .or_store_error()?;
    let Some(row) = row else { return Ok(None) };
    let row = ErasedRow::from_query_result(&row, "").or_store_error()?;
    Ok(Some(ErasureView {
        tenant,
        ordered_at: timestamp(row.ordered_at),
        erased_at: timestamp(row.erased_at),
        rows: row.removed.0,
    }))
}
