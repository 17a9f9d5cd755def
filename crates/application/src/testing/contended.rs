//! A store in which somebody else is faster.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use postrider_domain::{Aggregate, ApplicationId};

use crate::{
    access::{OperatorScope, PersonScope, TenantScope},
    audit::Conclusion,
    memory::MemoryStore,
    ports::{ApplicationRepository, Repository, Store, StoreError, UnitOfWork},
};

type Tx = <MemoryStore as Store>::Tx;

/// A store in which somebody else saves an aggregate first, so many times.
#[derive(Clone)]
pub(crate) struct Contended {
    store: MemoryStore,
    others: Arc<AtomicUsize>,
}

pub(crate) struct ContendedTx {
    tx: Tx,
    others: Arc<AtomicUsize>,
}

impl Contended {
    pub(crate) fn new(store: MemoryStore, others: usize) -> Self {
        Self {
            store,
            others: Arc::new(AtomicUsize::new(others)),
        }
    }

    fn tx(&self, tx: Tx) -> ContendedTx {
        let others = self.others.clone();
        ContendedTx { tx, others }
    }
}

impl ContendedTx {
    /// Whether somebody else was first.
    fn overtaken(&self) -> Result<(), StoreError> {
        let counted = |others: usize| others.checked_sub(1);
        match self
            .others
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, counted)
        {
            Ok(_) => Err(StoreError::Stale),
            Err(_) => Ok(()),
        }
    }
}

impl Store for Contended {
    type Tx = ContendedTx;

    async fn begin(&self, scope: &TenantScope) -> Result<ContendedTx, StoreError> {
        Ok(self.tx(self.store.begin(scope).await?))
    }

    async fn begin_as_operator(&self, scope: &OperatorScope) -> Result<ContendedTx, StoreError> {
        Ok(self.tx(self.store.begin_as_operator(scope).await?))
    }

    async fn begin_as_person(&self, scope: &PersonScope) -> Result<ContendedTx, StoreError> {
        Ok(self.tx(self.store.begin_as_person(scope).await?))
    }
}

impl UnitOfWork for ContendedTx {
    async fn commit(self, conclusion: impl Into<Conclusion> + Send) -> Result<(), StoreError> {
        self.tx.commit(conclusion).await
    }
}

impl<A: Aggregate + Send> Repository<A> for ContendedTx
where
    Tx: Repository<A>,
{
    type Key = <Tx as Repository<A>>::Key;

    async fn find(&mut self, scope: &TenantScope, key: &Self::Key) -> Result<Option<A>, StoreError> {
        self.tx.find(scope, key).await
    }

    async fn save(&mut self, scope: &TenantScope, aggregate: &mut A) -> Result<(), StoreError> {
        self.overtaken()?;
        self.tx.save(scope, aggregate).await
    }

    async fn delete(&mut self, scope: &TenantScope, aggregate: A) -> Result<(), StoreError> {
        self.overtaken()?;
        self.tx.delete(scope, aggregate).await
    }
}

impl ApplicationRepository for ContendedTx {
    async fn endpoints_changed(&mut self, scope: &TenantScope, id: ApplicationId) -> Result<(), StoreError> {
        self.tx.endpoints_changed(scope, id).await
    }

    async fn delete_endpoints(&mut self, scope: &TenantScope, id: ApplicationId) -> Result<(), StoreError> {
        self.tx.delete_endpoints(scope, id).await
    }

    async fn count_endpoints(&mut self, scope: &TenantScope, id: ApplicationId) -> Result<u32, StoreError> {
        self.tx.count_endpoints(scope, id).await
    }
}
