//! The queue goes first, for what is in it becomes history when it is settled.

use postrider_application::ports::StoreError;
use postrider_domain::TenantId;
use sea_orm::ConnectionTrait as _;

use super::{
    Eraser,
    progress::Progress,
    table::{Looked, Next, TenantTable},
};
use crate::error::{OrStoreError as _, timed_out};

/// Sees every row at once, locked or not: a row that is being settled is still there, and what becomes of it is there
/// as soon as it is gone. Looking through windows could miss a row that is replaced by one in an earlier window.
const LOOK: &str = "SELECT 1 AS found FROM outbox_work WHERE tenant = $1 LIMIT 1";
/// Waits for whoever holds the row.
const REMOVE_ONE: &str = "
DELETE FROM outbox_work WHERE id = (SELECT id FROM outbox_work WHERE tenant = $1 ORDER BY id LIMIT 1)";

impl Eraser {
    /// Removes rows of the queue from the next window; it is done when none is left at all. None: somebody held a row
    /// for too long.
    ///
    /// Those that somebody is at are passed over at first. What is then left is waited for one by one, and only while
    /// we hold no other row of the queue ourselves: whoever settles a batch must not wait for us in turn.
    pub(super) async fn remove_queue(
        &self,
        queue: &TenantTable,
        progress: &Progress,
    ) -> Result<Option<Looked>, StoreError> {
        let mut looked = queue.remove(self, progress).await?;
        if !matches!(looked.next, Next::Done) || self.look_for_queued(progress.tenant).await?.rows == 0 {
            return Ok(Some(looked));
        }
        if looked.rows == 0 {
            match self.remove_one(progress.tenant).await? {
                Some(removed) => looked.rows = removed,
                None => return Ok(None),
            }
        }
        looked.next = Next::Anew;
        Ok(Some(looked))
    }

    /// Whether anything of the tenant is queued.
    pub(super) async fn look_for_queued(&self, tenant: TenantId) -> Result<Looked, StoreError> {
        let look = self.dialect.exactly(LOOK, [tenant.as_uuid().into()]);
        let found = self.transaction.query_one_raw(look).await.or_store_error()?;
        Ok(Looked {
            rows: u64::from(found.is_some()),
            next: Next::Done,
        })
    }

    /// Removes a row, which may have gone by the time that we may. None: the wait was too long, and the transaction is
    /// void.
    async fn remove_one(&self, tenant: TenantId) -> Result<Option<u64>, StoreError> {
        let remove = self.dialect.exactly(REMOVE_ONE, [tenant.as_uuid().into()]);
        match self.transaction.execute_raw(remove).await {
            Ok(removed) => Ok(Some(removed.rows_affected())),
            Err(error) if timed_out(&error) => Ok(None),
            Err(error) => Err(error).or_store_error(),
        }
    }
}
