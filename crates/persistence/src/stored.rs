//! How an aggregate of a tenant is saved and found: the same for all of them but for their rows.

use postrider_application::{
    access::TenantScope,
    ports::{Repository, StoreError},
};
use postrider_domain::{
    Aggregate, ApiKeyId, ApplicationId, InvitationId, MembershipId, ReplayId, SessionId, TenantId, Version,
    api_keys::ApiKey,
    applications::Application,
    endpoints::{Endpoint, EndpointRef},
    event_types::{EventType, EventTypeName},
    events::DomainEvent,
    replays::Replay,
    tenants::Tenant,
    users::{Invitation, Membership, Session},
};
use sea_orm::{
    ActiveModelTrait, Condition, ConnectionTrait as _, EntityTrait, ExprTrait as _, QueryFilter as _,
    QuerySelect as _, Statement,
    sea_query::{Expr, LockType},
};

use crate::{
    connection::Dialect,
    endpoints::EndpointSecrets,
    error::{OrStoreError as _, corrupt, fault},
    unit_of_work::SqlUnitOfWork,
};

/// The column that guards updates, in every table of aggregates.
const VERSION: &str = "version";

/// An aggregate that has a table.
pub(crate) trait Stored: Aggregate<State: Send + Sync, Event: Send> + Send + Sync {
    /// The table.
    type Table: EntityTrait<Model: Send + Sync>;
    /// The table's row as it is written.
    type Row: ActiveModelTrait<Entity = Self::Table> + Send;

    /// The row of the state, at `version`.
    fn row(&self, secrets: &EndpointSecrets, version: i32) -> Result<Self::Row, StoreError>;

    /// Names the aggregate's own row.
    fn own_row(&self) -> Condition;

    /// The aggregate as it was stored.
    fn read(row: <Self::Table as EntityTrait>::Model, secrets: &EndpointSecrets) -> Result<Self, StoreError>;

    /// What is to be forgotten of it whenever it is changed or deleted.
    fn forget(&self, _: Dialect) -> Result<Option<Statement>, StoreError> {
        Ok(None)
    }

    /// The event as the log knows it.
    fn event(&self, event: Self::Event) -> DomainEvent;
}

/// An aggregate of a tenant.
pub(crate) trait OfTenant: Stored {
    /// What names it within its tenant.
    type Name: Sync;

    /// Its tenant.
    fn tenant(&self) -> TenantId;

    /// Names the row of the tenant's aggregate of that name.
    fn named(tenant: TenantId, name: &Self::Name) -> Condition;
}

/// An aggregate of a tenant that is named by its id, in tables keyed by tenant and id.
macro_rules! of_tenant_by_id {
    ($aggregate:ty, $id:ty) => {
        impl OfTenant for $aggregate {
            type Name = $id;

            fn tenant(&self) -> TenantId {
                self.state().tenant
            }

            fn named(tenant: TenantId, id: &$id) -> Condition {
                Condition::all()
                    .add(Column::Tenant.eq(tenant.as_uuid()))
                    .add(Column::Id.eq(id.as_uuid()))
            }
        }
    };
}
pub(crate) use of_tenant_by_id;

impl SqlUnitOfWork {
    /// The aggregate whose row matches.
    pub(crate) async fn find_row<A: Stored>(&self, row: Condition) -> Result<Option<A>, StoreError> {
        let found = A::Table::find()
            .filter(row)
            .one(&self.transaction)
            .await
            .or_store_error()?;
        found.map(|row| A::read(row, &self.secrets)).transpose()
    }

    /// The aggregate whose row matches, which nobody else changes before this transaction ends; what refers to it may
    /// be written meanwhile. SQLite has one writer, and omits the lock.
    pub(crate) async fn hold_row<A: Stored>(&self, row: Condition) -> Result<Option<A>, StoreError> {
        let found = A::Table::find()
            .filter(row)
            .lock(LockType::NoKeyUpdate)
            .one(&self.transaction)
            .await
            .or_store_error()?;
        found.map(|row| A::read(row, &self.secrets)).transpose()
    }

    /// The aggregates whose rows match.
    pub(crate) async fn find_rows<A: Stored>(&self, rows: Condition) -> Result<Vec<A>, StoreError> {
        let found = A::Table::find()
            .filter(rows)
            .all(&self.transaction)
            .await
            .or_store_error()?;
        found.into_iter().map(|row| A::read(row, &self.secrets)).collect()
    }

    /// Writes the row, if the stored version is the one that was read, and keeps the events for the commit.
    pub(crate) async fn save_row<A: Stored>(
        &mut self,
        tenant: Option<TenantId>,
        aggregate: &mut A,
    ) -> Result<(), StoreError> {
        let (read, version) = (aggregate.version(), aggregate.version().next());
        let row = aggregate.row(&self.secrets, stored_version(version)?)?;
        if read.is_new() {
            A::Table::insert(row)
                .exec_without_returning(&self.transaction)
                .await
                .or_store_error()?;
        } else {
            let updated = A::Table::update_many()
                .set(row)
                .filter(
                    aggregate
                        .own_row()
                        .add(Expr::col(VERSION).eq(stored_version(read)?)),
                )
                .exec(&self.transaction)
                .await
                .or_store_error()?;
            if updated.rows_affected == 0 {
                return Err(StoreError::Stale);
            }
            self.forget(aggregate).await?;
        }
        self.record_events(tenant, version, aggregate);
        Ok(())
    }

    /// Deletes the row, if the stored version is the one that was read, and keeps the events for the commit.
    async fn delete_row<A: Stored>(
        &mut self,
        tenant: Option<TenantId>,
        mut aggregate: A,
    ) -> Result<(), StoreError> {
        let version = aggregate.version();
        let own = aggregate
            .own_row()
            .add(Expr::col(VERSION).eq(stored_version(version)?));
        let deleted = A::Table::delete_many()
            .filter(own)
            .exec(&self.transaction)
            .await
            .or_store_error()?;
        if deleted.rows_affected == 0 {
            return Err(StoreError::Stale);
        }
        self.forget(&aggregate).await?;
        self.record_events(tenant, version.next(), &mut aggregate);
        Ok(())
    }

    async fn forget<A: Stored>(&self, aggregate: &A) -> Result<(), StoreError> {
        if let Some(forget) = aggregate.forget(self.dialect)? {
            self.transaction.execute_raw(forget).await.or_store_error()?;
        }
        Ok(())
    }

    fn record_events<A: Stored>(&mut self, tenant: Option<TenantId>, version: Version, aggregate: &mut A) {
        for event in aggregate.take_events() {
            let event = aggregate.event(event);
            self.record(tenant, version, event);
        }
    }
}

impl SqlUnitOfWork {
    /// The tenant's aggregate of that name.
    async fn find_of_tenant<A: OfTenant>(
        &self,
        scope: &TenantScope,
        name: &A::Name,
    ) -> Result<Option<A>, StoreError> {
        match self.visible(scope) {
            Some(tenant) => self.find_row(A::named(tenant, name)).await,
            None => Ok(None),
        }
    }

    async fn save_of_tenant<A: OfTenant>(
        &mut self,
        scope: &TenantScope,
        aggregate: &mut A,
    ) -> Result<(), StoreError> {
        let tenant = self.writable(scope)?;
        if aggregate.tenant() != tenant {
            return Err(another_tenants());
        }
        self.save_row(Some(tenant), aggregate).await
    }

    async fn delete_of_tenant<A: OfTenant>(
        &mut self,
        scope: &TenantScope,
        aggregate: A,
    ) -> Result<(), StoreError> {
        let tenant = self.writable(scope)?;
        if aggregate.tenant() != tenant {
            return Err(another_tenants());
        }
        self.delete_row(Some(tenant), aggregate).await
    }
}

fn another_tenants() -> StoreError {
    fault("the aggregate is another tenant's")
}

macro_rules! repositories {
    ($($aggregate:ty, by $name:ty;)+) => {$(
        impl Repository<$aggregate> for SqlUnitOfWork {
            type Key = $name;

            async fn find(&mut self, scope: &TenantScope, key: &$name) -> Result<Option<$aggregate>, StoreError> {
                self.find_of_tenant(scope, key).await
            }

            async fn save(&mut self, scope: &TenantScope, aggregate: &mut $aggregate) -> Result<(), StoreError> {
                self.save_of_tenant(scope, aggregate).await
            }

            async fn delete(&mut self, scope: &TenantScope, aggregate: $aggregate) -> Result<(), StoreError> {
                self.delete_of_tenant(scope, aggregate).await
            }
        }
    )+};
}

repositories! {
    Tenant, by TenantId;
    Membership, by MembershipId;
    Invitation, by InvitationId;
    Session, by SessionId;
    ApiKey, by ApiKeyId;
    Application, by ApplicationId;
    EventType, by EventTypeName;
    Endpoint, by (ApplicationId, EndpointRef);
    Replay, by ReplayId;
}

fn stored_version(version: Version) -> Result<i32, StoreError> {
    i32::try_from(version.0).map_err(|why| corrupt("version", why))
}

/// The version of a row.
pub(crate) fn read_version(version: i32) -> Result<Version, StoreError> {
    u32::try_from(version)
        .map(Version)
        .map_err(|why| corrupt("version", why))
}
