//! Erasing a tenant, a window at a time, and proving that nothing is left.
//!
//! Each step is a transaction of its own that looks through windows of tables until it has removed something, a few of
//! them at most, and writes down in `erasures` how far it came: whichever node takes the next step goes on from there.
//! First the queue goes, at once. When the grace is over, all tables in a declared order; then every table that has a
//! tenant, as the *schema* says, is looked through once more, so that a table that was forgotten in the order is found.
//! Only then does the tenant's own row go. If a row was left, the walk begins anew.
//!
//! When the grace is over, rows come from nowhere but the queue: what is queued becomes history when it is settled.
//! So the walk leaves the queue only when it is seen to be empty, and the proof begins and ends with seeing it.

mod people;
mod progress;
mod queue;
mod table;

use std::time::Duration;

use postrider_application::{
    audit::{Actor, AuditEntry, AuditOutcome, Record},
    ports::{ErasureStep, StoreError},
};
use postrider_domain::{AuditEntryId, TenantId, Timestamp};
use sea_orm::{ConnectionTrait as _, FromQueryResult};
use uuid::Uuid;

pub(crate) use progress::erasure;

use self::{
    progress::{Phase, Progress},
    table::{Looked, Next, TenantTable},
};
use crate::{
    advisory_lock, audit,
    codec::timestamp,
    connection::{Database, Dialect, Scope, Transaction},
    error::{OrStoreError as _, fault},
};

/// Where the tables' rows go, in an order that foreign keys allow. The queue is the first.
const ORDER: [&str; 22] = [
    QUEUE,
    "replays",
    "endpoint_stats",
    "tenant_usage",
    "dedup",
    "idempotency_keys",
    "attempts",
    "deliveries",
    "payloads",
    "messages",
    "endpoint_failures",
    "endpoints",
    "applications",
    "event_type_schemas",
    "event_types",
    "api_keys",
    "invitations",
    "sessions",
    MEMBERSHIPS,
    "dead_letters",
    "outbox_events",
    "audit_entries",
];
const QUEUE: &str = "outbox_work";
/// With them go the people who are members of nothing else.
const MEMBERSHIPS: &str = "memberships";
/// What stays of a tenant.
const KEPT: &str = "erasures";

/// The most windows of one step in which there was nothing to remove.
const WINDOWS: u32 = 8;

/// What became of one window.
enum Window {
    /// So many rows went; none, if there were none.
    Removed(u64),
    /// Somebody holds a row for longer than a statement may take, and the transaction is void.
    Held,
    /// The tenant is gone.
    Erased,
}

#[derive(FromQueryResult)]
struct Mine {
    mine: bool,
}

#[derive(FromQueryResult)]
struct Now {
    now: i64,
}

/// Takes the next step, of whichever tenant it is.
pub(super) async fn step(
    database: &Database,
    limit: u32,
    grace: Duration,
) -> Result<ErasureStep, StoreError> {
    let transaction = database.begin(Scope::Operator).await?;
    let eraser = Eraser {
        dialect: database.dialect(),
        transaction,
        limit,
    };
    if !eraser.is_alone().await? {
        return Ok(ErasureStep::Busy);
    }
    let mut tenant = None;
    let failed = match eraser.windows(grace, &mut tenant).await {
        Ok(step) if step != ErasureStep::Busy => return eraser.transaction.commit().await.map(|()| step),
        failed => failed,
    };
    // Nothing of it lasts, and others must not wait for a tenant that cannot be erased.
    drop(eraser);
    // What the database refuses, it may refuse because a row of an earlier table was passed over: the way begins anew.
    let anew = matches!(failed, Err(StoreError::Internal(_)));
    if let Some(tenant) = tenant
        && let Err(error) = progress::stand_back(database, tenant, anew).await
    {
        tracing::debug!(%tenant, %error, "an erasure that failed keeps its place before the others");
    }
    failed
}

struct Eraser {
    dialect: Dialect,
    transaction: Transaction,
    limit: u32,
}

impl Eraser {
    /// Whether no other node is at it. SQLite has one writer.
    async fn is_alone(&self) -> Result<bool, StoreError> {
        if self.dialect == Dialect::Sqlite {
            return Ok(true);
        }
        let sql = "SELECT pg_try_advisory_xact_lock($1) AS mine";
        let lock = self.dialect.exactly(sql, [advisory_lock::ERASURE.into()]);
        let row = self.transaction.query_one_raw(lock).await.or_store_error()?;
        let mine = row.map(|row| Mine::from_query_result(&row, ""));
        Ok(mine.transpose().or_store_error()?.is_some_and(|mine| mine.mine))
    }

    /// Looks through windows until something was removed; `at` says whose was the last. After an error, and after
    /// [`ErasureStep::Busy`], the transaction is void.
    async fn windows(&self, grace: Duration, at: &mut Option<TenantId>) -> Result<ErasureStep, StoreError> {
        let mut step = ErasureStep::Nothing;
        for _ in 0..WINDOWS {
            let Some(mut progress) = Progress::next(&self.transaction, self.dialect, grace).await? else {
                return Ok(ErasureStep::Nothing);
            };
            let tenant = progress.tenant;
            *at = Some(tenant);
            match self.window(&mut progress).await? {
                Window::Erased => {
                    let rows = progress.removed.0;
                    return Ok(ErasureStep::Erased { tenant, rows });
                }
                Window::Held => return Ok(ErasureStep::Busy),
                Window::Removed(rows) => {
                    step = ErasureStep::Removed { tenant, rows };
                    if rows > 0 {
                        break;
                    }
                }
            }
        }
        Ok(step)
    }

    /// Looks through one window of one table.
    async fn window(&self, progress: &mut Progress) -> Result<Window, StoreError> {
        let window = match progress.phase {
            Phase::Queue => self.remove(progress, &ORDER[..1]).await?,
            Phase::Walk => self.remove(progress, &ORDER).await?,
            Phase::Proof => self.prove(progress).await?,
        };
        if !matches!(window, Window::Held) {
            progress.save(&self.transaction, self.dialect).await?;
        }
        Ok(window)
    }

    async fn remove(&self, progress: &mut Progress, order: &[&str]) -> Result<Window, StoreError> {
        // A place that this version does not know is another version's: it begins anew.
        let at = progress.place_in(order);
        let tables = table::of_tenants(&self.transaction, self.dialect).await?;
        let table = tables.iter().find(|table| table.name == order[at]);
        let table = table.ok_or_else(|| fault("a table to be erased from has no tenant"))?;
        let looked = match table.name.as_str() {
            // Counts by itself: other tables' rows go as well.
            MEMBERSHIPS => Some(self.remove_people(progress).await?),
            QUEUE => counted(progress, table, self.remove_queue(table, progress).await?),
            _ => counted(progress, table, Some(table.remove(self, progress).await?)),
        };
        let Some(looked) = looked else {
            return Ok(Window::Held);
        };
        let then = match progress.phase {
            Phase::Queue => Phase::Walk,
            Phase::Walk | Phase::Proof => Phase::Proof,
        };
        progress.go_on(looked.next, order[at], order.get(at + 1).copied(), then);
        Ok(Window::Removed(looked.rows))
    }

    /// Looks for rows that are left.
    async fn prove(&self, progress: &mut Progress) -> Result<Window, StoreError> {
        let tables = table::of_tenants(&self.transaction, self.dialect).await?;
        let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        let mut names: Vec<&str> = names.into_iter().filter(|name| *name != KEPT).collect();
        // The queue first: from then on no row comes into those that are counted after it.
        names.sort_by_key(|name| *name != QUEUE);
        if names.iter().any(|name| !ORDER.contains(name)) {
            return Err(fault(
                "a table of tenants' rows has no place in the order of erasure",
            ));
        }
        let at = progress.place_in(&names);
        let table = tables.iter().find(|table| table.name == names[at]);
        let table = table.ok_or_else(|| fault("a table that was just found is gone"))?;
        let looked = if table.name == QUEUE {
            self.look_for_queued(progress.tenant).await?
        } else {
            table.count(self, progress).await?
        };
        if looked.rows > 0 {
            return Ok(begin_anew(progress, &table.name));
        }
        match (looked.next, names.get(at + 1)) {
            (Next::Done, None) => {
                if self.look_for_queued(progress.tenant).await?.rows > 0 {
                    return Ok(begin_anew(progress, QUEUE));
                }
                self.finish(progress).await?;
                Ok(Window::Erased)
            }
            (next, after) => {
                progress.go_on(next, names[at], after.copied(), Phase::Proof);
                Ok(Window::Removed(0))
            }
        }
    }

    /// Nothing refers to the tenant any more: its own row goes, and the installation's audit log says so.
    async fn finish(&self, progress: &mut Progress) -> Result<(), StoreError> {
        let (tenant, dialect) = (progress.tenant, self.dialect);
        let remove = "DELETE FROM tenants WHERE id = $1 AND status = 'deleting'";
        let remove = dialect.exactly(remove, [tenant.as_uuid().into()]);
        let removed = self.transaction.execute_raw(remove).await.or_store_error()?;
        if removed.rows_affected() != 1 {
            return Err(fault("a tenant that was erased has no row"));
        }
        progress.count("tenants", 1);
        let now = dialect.statement("SELECT {now} AS now", []);
        let now = self.transaction.query_one_raw(now).await.or_store_error()?;
        let now = now.ok_or_else(|| fault("the database does not know what time it is"))?;
        let now = timestamp(Now::from_query_result(&now, "").or_store_error()?.now);
        progress.finish(now);
        audit::record(&self.transaction, dialect, record(tenant, now)).await
    }
}

fn counted(progress: &mut Progress, table: &TenantTable, looked: Option<Looked>) -> Option<Looked> {
    looked.inspect(|looked| progress.count(&table.name, looked.rows))
}

/// A row was found that should be gone.
fn begin_anew(progress: &mut Progress, table: &str) -> Window {
    tracing::warn!(tenant = %progress.tenant, table, "rows were left: erasing begins anew");
    progress.enter(Phase::Walk);
    Window::Removed(0)
}

/// What the audit log says. There is one such entry a tenant, so its id is made of the tenant's and the time.
fn record(tenant: TenantId, at: Timestamp) -> Record {
    let mut id = tenant.as_uuid().into_bytes();
    // A UUIDv7 begins with its time, 48 bits of milliseconds.
    id[..6].copy_from_slice(&at.as_unix_millis().to_be_bytes()[2..]);
    Record::Entry(Box::new(AuditEntry {
        id: AuditEntryId::from_uuid(Uuid::from_bytes(id)),
        tenant: None,
        at,
        actor: Actor::system(""),
        action: "tenant.erase".into(),
        target: Some(tenant.to_string()),
        outcome: AuditOutcome::Done,
        times: 1,
        address: None,
        request_id: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_of_an_erasure_has_an_id_of_its_time() {
        let tenant: Uuid = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let at = Timestamp::from_micros(0x0199_0000_0001 * 1_000);
        let Record::Entry(entry) = record(TenantId::from_uuid(tenant), at) else {
            panic!("it is recorded");
        };
        let expected: Uuid = "01990000-0001-774b-bcce-b302099a8057".parse().unwrap();
        assert_eq!(entry.id.as_uuid(), expected);
    }
}
