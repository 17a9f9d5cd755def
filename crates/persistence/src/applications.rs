//! Applications.

use async_trait::async_trait;
use postrider_application::{
    Versioned,
    access::TenantScope,
    ports::{
        ApplicationDirectory, ApplicationRepository, ApplicationViews, Page, PageRequest, Start, StoreError,
    },
};
use postrider_domain::{
    Aggregate as _, ApplicationId, TenantId, Timestamp, Uid,
    access::Visibility,
    applications::{Application, ApplicationEvent, ApplicationRef, ApplicationState, OPERATIONAL_UID},
    events::DomainEvent,
    tenants::TenantStatus,
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, Condition, ExprTrait as _, QueryOrder as _, QuerySelect as _,
    entity::prelude::*,
    sea_query::Query,
};

use crate::{
    SqlStore,
    codec::{StoredMetadata, read_name, timestamp},
    connection::Scope,
    endpoints::EndpointSecrets,
    error::{OrStoreError as _, corrupt},
    stored::{OfTenant, Stored, read_version},
    tenants,
    unit_of_work::SqlUnitOfWork,
};

/// A row of `applications`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "applications")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    tenant: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    uid: Option<String>,
    name: String,
    metadata: StoredMetadata,
    endpoints_version: i64,
    tokens_valid_after: i64,
    created_at: i64,
    /// What is left of an application that was deleted has this.
    deleted_at: Option<i64>,
    version: i32,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A stored uid.
pub(crate) fn read_uid(uid: Option<String>) -> Result<Option<Uid>, StoreError> {
    uid.map(|uid| Uid::parse(&uid))
        .transpose()
        .map_err(|why| corrupt("uid", why))
}

/// From when on portal tokens are good: zero, if all are.
pub(crate) fn read_valid_after(micros: i64) -> Option<Timestamp> {
    (micros != 0).then(|| timestamp(micros))
}

fn read_state(row: Model) -> Result<ApplicationState, StoreError> {
    Ok(ApplicationState {
        id: ApplicationId::from_uuid(row.id),
        tenant: TenantId::from_uuid(row.tenant),
        uid: read_uid(row.uid)?,
        name: read_name(&row.name)?,
        metadata: row.metadata.read()?,
        tokens_valid_after: read_valid_after(row.tokens_valid_after),
        created_at: timestamp(row.created_at),
        deleted_at: row.deleted_at.map(timestamp),
    })
}

impl Stored for Application {
    type Table = Entity;
    type Row = ActiveModel;

    fn row(&self, _: &EndpointSecrets, version: i32) -> Result<ActiveModel, StoreError> {
        let state = self.state();
        Ok(ActiveModel {
            tenant: Set(state.tenant.as_uuid()),
            id: Set(state.id.as_uuid()),
            uid: Set(state.uid.as_ref().map(|uid| uid.as_str().to_owned())),
            name: Set(state.name.as_str().to_owned()),
            metadata: Set(StoredMetadata::of(&state.metadata)),
            // Begins at the column's default; only `endpoints_changed` raises it.
            endpoints_version: NotSet,
            tokens_valid_after: Set(state.tokens_valid_after.map_or(0, Timestamp::as_micros)),
            created_at: Set(state.created_at.as_micros()),
            deleted_at: Set(state.deleted_at.map(Timestamp::as_micros)),
            version: Set(version),
        })
    }

    fn own_row(&self) -> Condition {
        Self::named(self.state().tenant, &self.state().id)
    }

    fn read(row: Model, _: &EndpointSecrets) -> Result<Self, StoreError> {
        let version = read_version(row.version)?;
        Ok(Self::restore(read_state(row)?, version))
    }

    fn event(&self, event: ApplicationEvent) -> DomainEvent {
        DomainEvent::Application(self.state().id, event)
    }
}

impl OfTenant for Application {
    type Name = ApplicationId;

    fn tenant(&self) -> TenantId {
        self.state().tenant
    }

    /// What is left of a deleted one is not named: nobody finds it, and nobody changes it any more.
    fn named(tenant: TenantId, id: &ApplicationId) -> Condition {
        Condition::all()
            .add(Column::Tenant.eq(tenant.as_uuid()))
            .add(Column::Id.eq(id.as_uuid()))
            .add(Column::DeletedAt.is_null())
    }
}

impl ApplicationRepository for SqlUnitOfWork {
    async fn endpoints_changed(
        &mut self,
        scope: &TenantScope,
        application: ApplicationId,
    ) -> Result<(), StoreError> {
        let tenant = self.writable(scope)?;
        let raised = Entity::update_many()
            .col_expr(
                Column::EndpointsVersion,
                Expr::col(Column::EndpointsVersion).add(1),
            )
            .filter(Application::named(tenant, &application))
            .exec(&self.transaction)
            .await
            .or_store_error()?;
        match raised.rows_affected {
            1 => Ok(()),
            _ => Err(StoreError::Stale),
        }
    }

    async fn count_endpoints(
        &mut self,
        scope: &TenantScope,
        application: ApplicationId,
    ) -> Result<u32, StoreError> {
        let Some(tenant) = self.visible(scope) else {
            return Ok(0);
        };
        let count = crate::endpoints::count(&self.transaction, tenant, application).await?;
        u32::try_from(count).map_err(|why| corrupt("number of endpoints", why))
    }

    async fn delete_endpoints(
        &mut self,
        scope: &TenantScope,
        application: ApplicationId,
    ) -> Result<(), StoreError> {
        let tenant = self.writable(scope)?;
        crate::endpoints::delete_all(&self.transaction, self.dialect, tenant, application).await
    }
}

impl ApplicationViews for SqlStore {
    async fn applications(
        &self,
        scope: &TenantScope,
        visible: &Visibility,
        page: PageRequest<ApplicationId>,
    ) -> Result<Page<ApplicationState, ApplicationId>, StoreError> {
        let tenant = scope.tenant();
        let mut shown = Condition::all()
            .add(Column::Tenant.eq(tenant.as_uuid()))
            .add(Column::DeletedAt.is_null());
        if let Visibility::Only(these) = visible {
            // As many as a principal holds grants, at most.
            shown = shown.add(Column::Id.is_in(these.iter().map(ApplicationId::as_uuid)));
        }
        let order = match page.start {
            Start::Beginning => sea_orm::Order::Asc,
            Start::After(key) => {
                shown = shown.add(Column::Id.gt(key.as_uuid()));
                sea_orm::Order::Asc
            }
            Start::Before(key) => {
                shown = shown.add(Column::Id.lt(key.as_uuid()));
                sea_orm::Order::Desc
            }
        };
        let rows = Entity::find()
            .filter(shown)
            .order_by(Column::Id, order)
            .limit(page.rows())
            .all(&self.database.read(Scope::Tenant(tenant)).await?)
            .await
            .or_store_error()?;
        let states = rows.into_iter().map(read_state).collect::<Result<_, _>>()?;
        Ok(Page::of(states, &page, |state: &ApplicationState| state.id))
    }

    async fn application(
        &self,
        scope: &TenantScope,
        id: ApplicationId,
    ) -> Result<Option<Versioned<ApplicationState>>, StoreError> {
        let connection = self.database.read(Scope::Tenant(scope.tenant())).await?;
        let found = Entity::find()
            .filter(Application::named(scope.tenant(), &id))
            .one(&connection)
            .await;
        let read = |row: Model| {
            let version = read_version(row.version)?;
            let value = read_state(row)?;
            Ok(Versioned { value, version })
        };
        found.or_store_error()?.map(read).transpose()
    }
}

#[async_trait]
impl ApplicationDirectory for SqlStore {
    async fn resolve(
        &self,
        scope: &TenantScope,
        reference: &ApplicationRef,
    ) -> Result<Option<ApplicationId>, StoreError> {
        let named = match reference {
            ApplicationRef::Id(id) => Column::Id.eq(id.as_uuid()),
            ApplicationRef::Uid(uid) => Column::Uid.eq(uid.as_str()),
        };
        let of = scope.tenant().as_uuid();
        // Whatever is published to a tenant that is being erased (by the system, late) would be written behind the
        // eraser's back.
        let stays = Query::select()
            .column(tenants::Column::Id)
            .from(tenants::Entity)
            .and_where(tenants::Column::Id.eq(of))
            .and_where(tenants::Column::Status.ne(TenantStatus::Deleting.as_str()))
            .take();
        let id: Option<Uuid> = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(
                Condition::all()
                    .add(Column::Tenant.eq(of))
                    .add(Column::Tenant.in_subquery(stays))
                    .add(Column::DeletedAt.is_null())
                    .add(named),
            )
            .into_tuple()
            .one(&self.database.read(Scope::Tenant(scope.tenant())).await?)
            .await
            .or_store_error()?;
        Ok(id.map(ApplicationId::from_uuid))
    }

    async fn is_operational(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
    ) -> Result<bool, StoreError> {
        let uid: Option<Option<String>> = Entity::find()
            .select_only()
            .column(Column::Uid)
            .filter(Column::Tenant.eq(scope.tenant().as_uuid()))
            .filter(Column::Id.eq(application.as_uuid()))
            .into_tuple()
            .one(&self.database.read(Scope::Tenant(scope.tenant())).await?)
            .await
            .or_store_error()?;
        Ok(uid.flatten().as_deref() == Some(OPERATIONAL_UID))
    }
}
