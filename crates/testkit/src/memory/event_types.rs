//! Event types and their schemas, to look at and to add to.

use async_trait::async_trait;
use postrider_application::{
    access::TenantScope,
    ports::{
        EventTypeDirectory, EventTypeView, EventTypeViews, KnownEventType, KnownSchema, Page, PageRequest,
        SchemaRepository, StoreError,
    },
};
use postrider_domain::{
    TenantId,
    event_types::{EventTypeName, EventTypeState, SchemaVersion},
};

use super::{
    state::{Row, fault},
    store::{MemoryStore, MemoryTx},
    tables::Configuration,
    views::{Order, page_of},
};

impl Configuration {
    /// The schemas of an event type that are kept, the oldest first.
    fn schemas<'c>(
        &'c self,
        tenant: TenantId,
        name: &EventTypeName,
    ) -> impl DoubleEndedIterator<Item = &'c SchemaVersion> {
        let key = |number| (tenant, name.clone(), number);
        self.event_type_schemas
            .range(key(0)..=key(u32::MAX))
            .map(|(_, version)| version)
    }
}

impl EventTypeViews for MemoryStore {
    async fn event_type(
        &self,
        scope: &TenantScope,
        name: &EventTypeName,
    ) -> Result<Option<EventTypeView>, StoreError> {
        let (state, tenant) = (self.state(), scope.tenant());
        let configuration = &state.configuration;
        let row = configuration.event_types.get(&(tenant, name.clone()));
        let schemas = || configuration.schemas(tenant, name);
        Ok(row.map(|row| EventTypeView {
            event_type: Row::versioned(row),
            latest: schemas().next_back().cloned(),
            schemas: schemas()
                .map(|version| (version.number, version.created_at))
                .collect(),
        }))
    }

    async fn event_types(
        &self,
        scope: &TenantScope,
        archived: bool,
        page: PageRequest<EventTypeName>,
    ) -> Result<Page<EventTypeState, EventTypeName>, StoreError> {
        let state = self.state();
        let rows = state.configuration.event_types.values().map(|row| &row.state);
        let shown = rows
            .filter(|row| row.tenant == scope.tenant() && (archived || row.archived_at.is_none()))
            .cloned();
        Ok(page_of(shown, &page, |row| row.name.clone(), Order::Ascending))
    }

    async fn event_type_schema(
        &self,
        scope: &TenantScope,
        name: &EventTypeName,
        number: u32,
    ) -> Result<Option<SchemaVersion>, StoreError> {
        let state = self.state();
        let key = (scope.tenant(), name.clone(), number);
        Ok(state.configuration.event_type_schemas.get(&key).cloned())
    }
}

#[async_trait]
impl EventTypeDirectory for MemoryStore {
    async fn known_event_type(
        &self,
        scope: &TenantScope,
        name: &EventTypeName,
    ) -> Result<Option<KnownEventType>, StoreError> {
        let found = self.event_type(scope, name).await?;
        Ok(found.map(|found| KnownEventType {
            archived: found.event_type.value.archived_at.is_some(),
            schema: found.latest.map(|latest| KnownSchema::new(latest.schema)),
        }))
    }
}

impl SchemaRepository for MemoryTx {
    async fn add_schema(
        &mut self,
        scope: &TenantScope,
        event_type: &EventTypeName,
        version: &SchemaVersion,
    ) -> Result<(), StoreError> {
        let tenant = self
            .visible(scope)
            .ok_or_else(|| fault("a scope of another tenant"))?;
        let key = (tenant, event_type.clone(), version.number);
        let schemas = &mut self.configuration.event_type_schemas;
        if schemas.insert(key, version.clone()).is_some() {
            return Err(fault("a version of a schema that is there already"));
        }
        let oldest = version.number.saturating_sub(SchemaVersion::MAX_KEPT);
        schemas.retain(|(of, name, number), _| (*of, name) != (tenant, event_type) || *number > oldest);
        Ok(())
    }

    async fn count_event_types(&mut self, scope: &TenantScope) -> Result<u32, StoreError> {
        let Some(tenant) = self.visible(scope) else {
            return Ok(0);
        };
        let event_types = self.configuration.event_types.keys();
        let count = event_types.filter(|(of, _)| *of == tenant).count();
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }
}
