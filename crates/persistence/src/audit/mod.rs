//! The audit log: appending to it, and, in [`list`], looking at it. It is never changed.

mod list;

use std::borrow::Cow;

use postrider_application::{
    audit::{Actor, ActorKind, AuditEntry, AuditOutcome, Record},
    ports::StoreError,
};
use postrider_domain::{AuditEntryId, TenantId};
use sea_orm::{ConnectionTrait as _, FromQueryResult, Statement, Value};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    batch::hex,
    codec::{read_count, stored_count, timestamp},
    connection::{Dialect, Transaction},
    error::{OrStoreError as _, corrupt},
};

macro_rules! columns {
    () => {
        "id, tenant, at, actor_kind, actor, action, target, outcome, times, address, request_id"
    };
}

const APPEND: &str = concat!(
    "INSERT INTO audit_entries (",
    columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
);

/// Entries of a tenant that is gone, or going, are dropped: whoever erases it must not be followed by new ones. Those
/// that are there already were appended by a statement whose answer was lost; naming the key that says so would take
/// a right to read, which whoever appends has not.
macro_rules! append_batch {
    ($entries:literal) => {
        concat!(
            "INSERT INTO audit_entries (",
            columns!(),
            ") SELECT ",
            columns!(),
            " FROM ",
            $entries,
            " WHERE e.tenant IS NULL
                OR EXISTS (SELECT 1 FROM tenants t WHERE t.id = e.tenant AND t.status <> 'deleting')
            ON CONFLICT DO NOTHING"
        )
    };
}
const APPEND_BATCH_ON_POSTGRES: &str = append_batch!(
    "jsonb_to_recordset($1::text::jsonb) AS e (id uuid, tenant uuid, at bigint, actor_kind text, actor text,
        action text, target text, outcome text, times integer, address text, request_id text)"
);
const APPEND_BATCH_ON_SQLITE: &str = append_batch!(
    "(SELECT unhex(value ->> 'id') AS id, unhex(value ->> 'tenant') AS tenant, value ->> 'at' AS at,
        value ->> 'actor_kind' AS actor_kind, value ->> 'actor' AS actor, value ->> 'action' AS action,
        value ->> 'target' AS target, value ->> 'outcome' AS outcome, value ->> 'times' AS times,
        value ->> 'address' AS address, value ->> 'request_id' AS request_id FROM json_each($1)) AS e"
);

/// An entry as it goes into a batch.
#[derive(Serialize)]
struct InBatch<'e> {
    id: String,
    tenant: Option<String>,
    at: i64,
    actor_kind: &'static str,
    actor: &'e str,
    action: &'e str,
    target: Option<&'e str>,
    outcome: &'static str,
    times: i32,
    address: Option<String>,
    request_id: Option<&'e str>,
}

/// Appends what is to be said of a transaction, in it.
pub(crate) async fn record(
    transaction: &Transaction,
    dialect: Dialect,
    record: Record,
) -> Result<(), StoreError> {
    let Record::Entry(entry) = record else {
        return Ok(());
    };
    let values: [Value; 11] = [
        entry.id.as_uuid().into(),
        entry.tenant.map(|tenant| tenant.as_uuid()).into(),
        entry.at.as_micros().into(),
        entry.actor.kind.as_str().into(),
        (*entry.actor.id).into(),
        entry.action.as_ref().into(),
        entry.target.as_deref().into(),
        entry.outcome.as_str().into(),
        stored_count("times of an audit entry", entry.times)?.into(),
        entry.address.map(|address| address.to_string()).into(),
        entry.request_id.as_deref().into(),
    ];
    let append = dialect.exactly(APPEND, values);
    transaction.execute_raw(append).await.or_store_error()?;
    Ok(())
}

/// One statement that appends the entries whose tenant is there, or that have none, and that are not there yet.
pub(crate) fn append_batch(dialect: Dialect, entries: &[AuditEntry]) -> Result<Statement, StoreError> {
    let entries: Vec<_> = entries.iter().map(InBatch::of).collect::<Result<_, _>>()?;
    let entries = serde_json::to_string(&entries).map_err(|why| corrupt("audit entries", why))?;
    let sql = dialect.choose(APPEND_BATCH_ON_POSTGRES, APPEND_BATCH_ON_SQLITE);
    Ok(dialect.exactly(sql, [entries.into()]))
}

impl<'e> InBatch<'e> {
    fn of(entry: &'e AuditEntry) -> Result<Self, StoreError> {
        Ok(Self {
            id: hex(entry.id.as_uuid()),
            tenant: entry.tenant.map(|tenant| hex(tenant.as_uuid())),
            at: entry.at.as_micros(),
            actor_kind: entry.actor.kind.as_str(),
            actor: &entry.actor.id,
            action: &entry.action,
            target: entry.target.as_deref(),
            outcome: entry.outcome.as_str(),
            times: stored_count("times of an audit entry", entry.times)?,
            address: entry.address.map(|address| address.to_string()),
            request_id: entry.request_id.as_deref(),
        })
    }
}

#[derive(FromQueryResult)]
struct Row {
    id: Uuid,
    tenant: Option<Uuid>,
    at: i64,
    actor_kind: String,
    actor: String,
    action: String,
    target: Option<String>,
    outcome: String,
    times: i32,
    address: Option<String>,
    request_id: Option<String>,
}

impl Row {
    fn read(self) -> Result<AuditEntry, StoreError> {
        let unknown = |what| corrupt(what, "it is unknown");
        let address = self.address.map(|address| address.parse()).transpose();
        Ok(AuditEntry {
            id: AuditEntryId::from_uuid(self.id),
            tenant: self.tenant.map(TenantId::from_uuid),
            at: timestamp(self.at),
            actor: Actor {
                kind: ActorKind::parse(&self.actor_kind).ok_or_else(|| unknown("kind of an actor"))?,
                id: self.actor.into(),
            },
            action: Cow::Owned(self.action),
            target: self.target,
            outcome: AuditOutcome::parse(&self.outcome)
                .ok_or_else(|| unknown("outcome of an audit entry"))?,
            times: read_count("times of an audit entry", self.times)?,
            address: address.map_err(|why| corrupt("address of an audit entry", why))?,
            request_id: self.request_id.map(Into::into),
        })
    }
}
