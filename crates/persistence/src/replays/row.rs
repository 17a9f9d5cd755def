use std::time::Duration;

use postrider_application::{
    access::TenantScope,
    ports::{ReplayRepository, RunningReplays, StoreError},
};
use postrider_domain::{
    Aggregate as _, ApplicationId, EndpointId, MessageId, ReplayId, TenantId, Timestamp,
    events::DomainEvent,
    messages::TraceParent,
    replays::{
        Progress, Replay, ReplayEvent, ReplayFailure, ReplayLimit, ReplayMode, ReplayState, ReplayStatus,
    },
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, Condition, ConnectionTrait as _, FromQueryResult,
    entity::prelude::*,
};

use crate::{
    codec::timestamp,
    endpoints::EndpointSecrets,
    error::{OrStoreError as _, corrupt},
    stored::{OfTenant, Stored, of_tenant_by_id, read_version},
    unit_of_work::SqlUnitOfWork,
};

/// How long a finished replay is kept, to be looked at.
const KEPT: Duration = Duration::from_hours(30 * 24);

/// A row of `replays`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "replays")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    tenant: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    app: Uuid,
    endpoint: Uuid,
    mode: String,
    from_at: i64,
    to_at: i64,
    most: i64,
    status: String,
    reason: Option<String>,
    considered: i64,
    queued: i64,
    skipped: i64,
    message: Option<Uuid>,
    due_at: i64,
    created_at: i64,
    finished_at: Option<i64>,
    expires_at: Option<i64>,
    version: i32,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

fn stored(what: &'static str, count: u64) -> Result<i64, StoreError> {
    i64::try_from(count).map_err(|why| corrupt(what, why))
}

fn read(what: &'static str, count: i64) -> Result<u64, StoreError> {
    u64::try_from(count).map_err(|why| corrupt(what, why))
}

impl Model {
    fn status(&self) -> Result<ReplayStatus, StoreError> {
        match (self.status.as_str(), self.reason.as_deref()) {
            ("running", None) => Ok(ReplayStatus::Running),
            ("completed", None) => Ok(ReplayStatus::Completed),
            ("cancelled", None) => Ok(ReplayStatus::Cancelled),
            ("failed", Some(why)) => ReplayFailure::parse(why)
                .map(ReplayStatus::Failed)
                .ok_or_else(|| corrupt("reason of a failed replay", "it is unknown")),
            _ => Err(corrupt("status of a replay", "status and reason do not fit")),
        }
    }

    pub(super) fn state(&self) -> Result<ReplayState, StoreError> {
        let mode = ReplayMode::parse(&self.mode);
        let limit = u32::try_from(self.most).map_err(|why| corrupt("limit of a replay", why))?;
        Ok(ReplayState {
            id: ReplayId::from_uuid(self.id),
            tenant: TenantId::from_uuid(self.tenant),
            application: ApplicationId::from_uuid(self.app),
            endpoint: EndpointId::from_uuid(self.endpoint),
            mode: mode.ok_or_else(|| corrupt("mode of a replay", "it is unknown"))?,
            from: timestamp(self.from_at),
            to: timestamp(self.to_at),
            limit: ReplayLimit::new(limit).map_err(|why| corrupt("limit of a replay", why))?,
            status: self.status()?,
            progress: Progress {
                considered: read("progress of a replay", self.considered)?,
                queued: read("progress of a replay", self.queued)?,
                skipped: read("progress of a replay", self.skipped)?,
            },
            cursor: self.message.map(MessageId::from_uuid),
            created_at: timestamp(self.created_at),
            finished_at: self.finished_at.map(timestamp),
        })
    }
}

impl Stored for Replay {
    type Table = Entity;
    type Row = ActiveModel;

    fn row(&self, _: &EndpointSecrets, version: i32) -> Result<ActiveModel, StoreError> {
        let state = self.state();
        let reason = match state.status {
            ReplayStatus::Failed(why) => Some(why.as_str().to_owned()),
            _ => None,
        };
        Ok(ActiveModel {
            tenant: Set(state.tenant.as_uuid()),
            id: Set(state.id.as_uuid()),
            app: Set(state.application.as_uuid()),
            endpoint: Set(state.endpoint.as_uuid()),
            mode: Set(state.mode.as_str().to_owned()),
            from_at: Set(state.from.as_micros()),
            to_at: Set(state.to.as_micros()),
            most: Set(i64::from(state.limit.get())),
            status: Set(state.status.as_str().to_owned()),
            reason: Set(reason),
            considered: Set(stored("progress of a replay", state.progress.considered)?),
            queued: Set(stored("progress of a replay", state.progress.queued)?),
            skipped: Set(stored("progress of a replay", state.progress.skipped)?),
            message: Set(state.cursor.map(|message| message.as_uuid())),
            // At once, by the column's default; its steps put it off.
            due_at: NotSet,
            created_at: Set(state.created_at.as_micros()),
            finished_at: Set(state.finished_at.map(Timestamp::as_micros)),
            expires_at: Set(state.finished_at.map(|at| at.plus(KEPT).as_micros())),
            version: Set(version),
        })
    }

    fn own_row(&self) -> Condition {
        Self::named(self.state().tenant, &self.state().id)
    }

    fn read(row: Model, _: &EndpointSecrets) -> Result<Self, StoreError> {
        Ok(Self::restore(row.state()?, read_version(row.version)?))
    }

    fn event(&self, event: ReplayEvent) -> DomainEvent {
        DomainEvent::Replay(self.state().application, self.state().id, event)
    }
}

of_tenant_by_id!(Replay, ReplayId);

/// Whoever begins a replay counts first, and so they wait for each other, and nobody else for them: rows that refer to
/// the tenant are written meanwhile. SQLite has one writer.
const HOLD_TENANT: &str = "SELECT id FROM tenants WHERE id = {tenant} FOR NO KEY UPDATE";

/// By the index on those that are running, of which there are few.
const RUNNING: &str = "
SELECT count(*) AS of_tenant, coalesce(sum(CASE WHEN endpoint = $1 THEN 1 ELSE 0 END), 0) AS of_endpoint
FROM replays WHERE tenant = {tenant} AND status = 'running'";

/// Not an aggregate's own: nothing is decided by it.
const ASKED_IN: &str = "UPDATE replays SET asked_in = $2 WHERE tenant = {tenant} AND id = $1";

#[derive(FromQueryResult)]
struct Running {
    of_tenant: i64,
    of_endpoint: i64,
}

impl ReplayRepository for SqlUnitOfWork {
    async fn hold_replay(&mut self, scope: &TenantScope, id: ReplayId) -> Result<Option<Replay>, StoreError> {
        match self.visible(scope) {
            Some(tenant) => self.hold_row(Replay::named(tenant, &id)).await,
            None => Ok(None),
        }
    }

    async fn count_running(
        &mut self,
        scope: &TenantScope,
        endpoint: EndpointId,
    ) -> Result<RunningReplays, StoreError> {
        let tenant = self.writable(scope)?;
        if self.dialect == crate::Dialect::Postgres {
            let hold = self.dialect.of_tenant(tenant, HOLD_TENANT, [])?;
            self.transaction.query_one_raw(hold).await.or_store_error()?;
        }
        let running = self
            .dialect
            .of_tenant(tenant, RUNNING, [endpoint.as_uuid().into()])?;
        let row = self.transaction.query_one_raw(running).await.or_store_error()?;
        let Some(row) = row else {
            return Ok(RunningReplays::default());
        };
        let running = Running::from_query_result(&row, "").or_store_error()?;
        let count = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
        Ok(RunningReplays {
            of_endpoint: count(running.of_endpoint),
            of_tenant: count(running.of_tenant),
        })
    }

    async fn note_asked_in(
        &mut self,
        scope: &TenantScope,
        id: ReplayId,
        asked_in: &TraceParent,
    ) -> Result<(), StoreError> {
        let tenant = self.writable(scope)?;
        let named = [id.as_uuid().into(), asked_in.as_str().into()];
        let note = self.dialect.of_tenant(tenant, ASKED_IN, named)?;
        self.transaction.execute_raw(note).await.or_store_error()?;
        Ok(())
    }
}
