//! Pages of the audit log, the newest first, by the index of the tenant's, of an actor's or of a target's entries.
//!
//! A filter may let nothing through for as long as the log is. So a request looks at no more than [`MOST_LOOKED_AT`]
//! entries; what it found is a page, though it be short or empty, and the next one begins where it stopped looking.

use postrider_application::{
    access::TenantScope,
    audit::{AuditEntry, AuditOutcome},
    ports::{AuditFilter, AuditViews, Page, PageRequest, StoreError},
};
use postrider_domain::{AuditEntryId, Timestamp};
use sea_orm::{ConnectionTrait as _, FromQueryResult};
use uuid::Uuid;

use super::Row;
use crate::{
    SqlStore,
    conditions::Conditions,
    connection::Scope,
    error::OrStoreError as _,
    paging::{Order, limit, reading},
    times_of_ids::{least_id_beyond, least_id_from},
};

/// How many entries a request looks at.
const MOST_LOOKED_AT: u64 = 10_000;

/// Conditions of which an index knows all entries, in their order.
fn looked_at(filter: &AuditFilter, page: &PageRequest<AuditEntryId>) -> Conditions {
    let mut looked_at = Conditions::default();
    looked_at.and("id {beyond}", page.key().map(|key| key.as_uuid()));
    looked_at.and("id >=", filter.from.map(least_id_from));
    looked_at.and("id <", filter.to.map(least_id_beyond));
    if filter.actor.is_some() {
        looked_at.and("actor =", filter.actor.as_deref());
    } else {
        looked_at.and("target =", filter.target.as_deref());
    }
    looked_at
}

/// What is asked for besides, of what is looked at. The ids bound what is looked through, the times decide.
fn wanted(filter: &AuditFilter, mut conditions: Conditions) -> Conditions {
    conditions.sql.clear();
    if filter.actor.is_some() {
        conditions.and("e.target =", filter.target.as_deref());
    }
    conditions.and("e.action =", filter.action.as_deref());
    conditions.and("e.outcome =", filter.outcome.map(AuditOutcome::as_str));
    conditions.and("e.at >=", filter.from.map(Timestamp::as_micros));
    conditions.and("e.at <", filter.to.map(Timestamp::as_micros));
    conditions
}

#[derive(FromQueryResult)]
struct Reached {
    id: Uuid,
}

impl AuditViews for SqlStore {
    async fn audit_entries(
        &self,
        scope: &TenantScope,
        filter: &AuditFilter,
        page: PageRequest<AuditEntryId>,
    ) -> Result<Page<AuditEntry, AuditEntryId>, StoreError> {
        let (tenant, dialect) = (scope.tenant(), self.database.dialect());
        let Conditions { sql, values } = looked_at(filter, &page);
        let looked_at = format!(
            "FROM audit_entries WHERE tenant = {{tenant}}{} ORDER BY id {{order}}",
            sql.concat()
        );
        let in_it = values.clone();
        let Conditions { sql, mut values } = wanted(filter, Conditions { sql, values });
        let asks_more = !sql.is_empty();
        values.push(limit(&page));
        let sql = format!(
            "SELECT e.* FROM (SELECT * {looked_at} LIMIT {MOST_LOOKED_AT}) AS e
             WHERE e.tenant = {{tenant}}{} ORDER BY e.id {{order}} LIMIT ${}",
            sql.concat(),
            values.len()
        );
        let of_tenant =
            |sql: &str, values| dialect.of_tenant(tenant, &reading(sql, Order::Descending, &page), values);
        let connection = self.database.read(Scope::Tenant(tenant)).await?;
        let rows = connection.query_all_raw(of_tenant(&sql, values)?);
        let rows = rows.await.or_store_error()?;
        let entry = |row| Row::from_query_result(row, "").or_store_error()?.read();
        let entries = rows.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        let short = (entries.len() as u64) < page.rows();
        let mut found = Page::of(entries, &page, |entry: &AuditEntry| entry.id);
        if !short || !asks_more {
            return Ok(found);
        }
        // All of what was looked at is shown. Was that all there is?
        let last = format!("SELECT id {looked_at} LIMIT 1 OFFSET {}", MOST_LOOKED_AT - 1);
        let reached = connection.query_one_raw(of_tenant(&last, in_it)?);
        if let Some(row) = reached.await.or_store_error()? {
            let reached = Reached::from_query_result(&row, "").or_store_error()?;
            let reached = Some(AuditEntryId::from_uuid(reached.id));
            if page.backwards() {
                found.prev = reached;
            } else {
                found.next = reached;
            }
        }
        Ok(found)
    }
}
