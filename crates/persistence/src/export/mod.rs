//! Everything that a tenant owns, kind by kind, each by its key.
//!
//! Not exported: hashes of passwords, tokens and secrets, and sealed secrets, which are of use to nobody but this
//! installation or of too much; `dedup`, which holds nothing but hashes of keys and bodies; and
//! `idempotency_keys`, which holds answers for a day that tell of what is exported itself.

mod cursor;
mod kinds;
mod rows;
mod values;

use async_trait::async_trait;
use postrider_application::{
    access::TenantScope,
    ports::{ExportCursor, ExportPage, ExportRow, StoreError, TenantExport},
};
use postrider_domain::TenantId;
use sea_orm::{ConnectionTrait as _, QueryResult, Value};

use self::{cursor::Position, kinds::Kind};
use crate::{
    SqlStore,
    connection::{Reading, Scope},
    error::OrStoreError as _,
    windows::{Key, end_of_window},
};

/// How many bytes a page has, near enough.
const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// How many statements a page makes at most: of a table of all tenants' rows it may find few.
const STATEMENTS: u32 = 32;

/// A page that is being filled.
struct Filling {
    rows: Vec<ExportRow>,
    bytes: usize,
    limit: usize,
}

impl Filling {
    fn is_full(&self) -> bool {
        self.rows.len() >= self.limit || self.bytes >= PAGE_BYTES
    }

    /// How many rows there is room for.
    fn room(&self) -> usize {
        self.limit - self.rows.len()
    }

    fn add(&mut self, kind: &Kind, row: &QueryResult) -> Result<(), StoreError> {
        let json = (kind.json)(row)?;
        self.bytes += json.len();
        self.rows.push(ExportRow {
            kind: kind.name,
            json,
        });
        Ok(())
    }
}

impl SqlStore {
    /// Where the window ends that begins after the position, if its kind has windows and this is not the last. A
    /// tenant's transaction sees its own rows only and could not count those of all; the end of a window is a bare
    /// key, and nobody is shown it.
    async fn end_of_export_window(&self, position: &Position) -> Result<Option<Key>, StoreError> {
        let Some(walked) = position.kind().walked else {
            return Ok(None);
        };
        let connection = self.database.read(Scope::Engine).await?;
        end_of_window(
            &connection,
            self.database.dialect(),
            walked,
            position.first_key()?,
        )
        .await
    }

    /// The tenant's rows after the position, up to the end of the window.
    async fn export_rows(
        &self,
        reading: &Reading<'_>,
        tenant: TenantId,
        position: &Position,
        end: Option<Key>,
        page: &Filling,
    ) -> Result<Vec<QueryResult>, StoreError> {
        let kind = position.kind();
        let mut values: Vec<Value> = position.values()?;
        if kind.walked.is_some() {
            let end = match end {
                Some(end) => end,
                None => position.end_of_keys()?,
            };
            values.push(end.into());
        }
        values.push(i64::try_from(page.room()).unwrap_or(i64::MAX).into());
        if kind.large {
            // Not full, so there is some.
            let bytes = PAGE_BYTES.saturating_sub(page.bytes);
            values.push(i64::try_from(bytes).unwrap_or(i64::MAX).into());
        }
        let select = self.database.dialect().of_tenant(tenant, kind.sql, values)?;
        reading.query_all_raw(select).await.or_store_error()
    }
}

#[async_trait]
impl TenantExport for SqlStore {
    async fn export_page(
        &self,
        scope: &TenantScope,
        after: Option<ExportCursor>,
        limit: u32,
    ) -> Result<ExportPage, StoreError> {
        let tenant = scope.tenant();
        let mut position = Position::read(after.as_ref())?;
        let mut page = Filling {
            rows: Vec::new(),
            bytes: 0,
            limit: limit.max(1) as usize,
        };
        let reading = self.database.read(Scope::Tenant(tenant)).await?;
        for _ in 0..STATEMENTS {
            if page.is_full() {
                break;
            }
            let (kind, room) = (position.kind(), page.room());
            let end = self.end_of_export_window(&position).await?;
            let rows = self.export_rows(&reading, tenant, &position, end, &page).await?;
            for row in &rows {
                page.add(kind, row)?;
            }
            if let Some(last) = rows.last() {
                position.go_after(last)?;
            }
            // Fewer than there was room for, and not for the sake of their size: there are no more.
            let exhausted = rows.len() < room && (rows.is_empty() || !kind.large);
            if exhausted && !position.leave_window(end) {
                return Ok(ExportPage {
                    rows: page.rows,
                    next: None,
                });
            }
        }
        Ok(ExportPage {
            rows: page.rows,
            next: Some(position.cursor()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::kinds::KINDS;

    /// What must never be selected, by any name.
    #[test]
    fn no_statement_reads_a_secret() {
        for kind in &KINDS {
            for secret in ["hash", "sealed", "secret", "password"] {
                assert!(!kind.sql.contains(secret), "{} reads {secret}", kind.name);
            }
        }
    }
}
