use std::{fmt, sync::Arc};

use postrider_application::{
    access::{OperatorScope, PersonScope, TenantScope},
    ports::{EventSignal, Sealer, Store, StoreError},
};

use crate::{
    bell::Bell,
    connection::{Database, Scope},
    endpoints::EndpointSecrets,
    trace::transaction_span,
    unit_of_work::SqlUnitOfWork,
};

/// The store: every storage port of the application, on SQLite or PostgreSQL. Cheap to clone; clones are the same
/// store.
#[derive(Clone)]
pub struct SqlStore {
    pub(crate) database: Database,
    pub(crate) secrets: EndpointSecrets,
    pub(crate) event_signal: Option<Arc<dyn EventSignal>>,
    pub(crate) bell: Arc<Bell>,
    pub(crate) event_bell: Arc<Bell>,
}

impl SqlStore {
    /// The store in `database`, whose stored secrets are sealed with `sealer`. The database must be migrated.
    pub fn new(database: Database, sealer: Arc<dyn Sealer>) -> Self {
        Self {
            database,
            secrets: EndpointSecrets::sealed_with(sealer),
            event_signal: None,
            bell: Arc::default(),
            event_bell: Arc::default(),
        }
    }

    /// The same store, telling `signal` of every commit that appended events.
    #[must_use]
    pub fn telling(self, signal: Arc<dyn EventSignal>) -> Self {
        Self {
            event_signal: Some(signal),
            ..self
        }
    }

    /// The database that it is in.
    pub fn database(&self) -> &Database {
        &self.database
    }

    async fn open(&self, scope: Scope) -> Result<SqlUnitOfWork, StoreError> {
        let span = transaction_span(self.database.dialect());
        let transaction = self.database.begin(scope).await?;
        Ok(SqlUnitOfWork::new(transaction, scope, self, span))
    }
}

impl fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore")
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

impl Store for SqlStore {
    type Tx = SqlUnitOfWork;

    async fn begin(&self, scope: &TenantScope) -> Result<SqlUnitOfWork, StoreError> {
        self.open(Scope::Tenant(scope.tenant())).await
    }

    async fn begin_as_operator(&self, _: &OperatorScope) -> Result<SqlUnitOfWork, StoreError> {
        self.open(Scope::Operator).await
    }

    async fn begin_as_person(&self, scope: &PersonScope) -> Result<SqlUnitOfWork, StoreError> {
        let (user, tenant) = (Some(scope.user()), scope.tenant());
        self.open(Scope::Person { user, tenant }).await
    }
}
