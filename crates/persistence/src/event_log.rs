//! The log of aggregates' events, read by position.

use async_trait::async_trait;
use postrider_application::ports::{EventLog, LoggedEvent, StoreError};
use postrider_domain::TenantId;
use sea_orm::{ConnectionTrait as _, FromQueryResult};
use uuid::Uuid;

use crate::{
    SqlStore,
    codec::{read_count, timestamp},
    connection::Scope,
    error::OrStoreError as _,
    event_forms,
};

#[derive(FromQueryResult)]
struct Head {
    pos: i64,
}

#[derive(FromQueryResult)]
struct Entry {
    pos: i64,
    tenant: Option<Uuid>,
    aggregate: String,
    version: i32,
    kind: String,
    body: String,
    recorded_at: i64,
}

impl Entry {
    fn read(self) -> Result<LoggedEvent, StoreError> {
        let (form, body) = event_forms::read(&self.kind, self.body);
        Ok(LoggedEvent {
            position: self.pos,
            tenant: self.tenant.map(TenantId::from_uuid),
            kind: self.kind,
            aggregate: self.aggregate,
            version: read_count("version of an event", self.version)?,
            form,
            body,
            recorded_at: timestamp(self.recorded_at),
        })
    }
}

#[async_trait]
impl EventLog for SqlStore {
    async fn head(&self) -> Result<i64, StoreError> {
        let newest = self
            .database
            .dialect()
            .exactly("SELECT pos FROM outbox_events ORDER BY pos DESC LIMIT 1", []);
        let row = self
            .database
            .read(Scope::Engine)
            .await?
            .query_one_raw(newest)
            .await
            .or_store_error()?;
        let head = row
            .map(|row| Head::from_query_result(&row, ""))
            .transpose()
            .or_store_error()?;
        Ok(head.map_or(0, |head| head.pos))
    }

    async fn after(&self, position: i64, limit: u32) -> Result<Vec<LoggedEvent>, StoreError> {
        let later = self.database.dialect().exactly(
            "SELECT pos, tenant, aggregate, version, kind, CAST(body AS text) AS body, recorded_at
             FROM outbox_events WHERE pos > $1 ORDER BY pos LIMIT $2",
            [position.into(), i64::from(limit).into()],
        );
        let rows = self
            .database
            .read(Scope::Engine)
            .await?
            .query_all_raw(later)
            .await
            .or_store_error()?;
        rows.iter()
            .map(|row| Entry::from_query_result(row, "").or_store_error()?.read())
            .collect()
    }
}
