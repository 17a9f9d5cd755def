//! The tables that have a tenant, as the schema knows them, and one window of one of them.
//!
//! A tenant's rows are found by an index that begins with the tenant where there is one. History has none (ids come
//! first in its keys): it is walked through by its key, all tenants' rows, so many at a time.

use postrider_application::ports::StoreError;
use sea_orm::{ConnectionTrait as _, FromQueryResult, Value};

use super::{super::delete_some, Eraser, progress::Progress};
use crate::{
    connection::{Dialect, Transaction},
    error::{OrStoreError as _, corrupt, fault},
    windows::{KeyKind, end_of_window},
};

const TABLES_ON_POSTGRES: &str = "
SELECT c.relname::text AS name,
    (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.place) FROM pg_index i
        CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
        WHERE i.indrelid = c.oid AND i.indisprimary) AS key,
    (SELECT format_type(a.atttypid, NULL) FROM pg_index i
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = c.oid AND i.indisprimary) AS first_type,
    EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indkey[0] = t.attnum AND i.indisvalid
        AND i.indpred IS NULL) AS by_tenant
FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid AND t.attname = 'tenant' AND NOT t.attisdropped
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY c.relname";

const TABLES_ON_SQLITE: &str = "
SELECT t.name AS name,
    (SELECT group_concat(name, ', ') FROM (SELECT name FROM pragma_table_info(t.name) WHERE pk > 0 ORDER BY pk)) AS key,
    (SELECT type FROM pragma_table_info(t.name) WHERE pk = 1) AS first_type,
    EXISTS (SELECT 1 FROM pragma_index_list(t.name) i, pragma_index_info(i.name) x
        WHERE i.partial = 0 AND x.seqno = 0 AND x.name = 'tenant') AS by_tenant
FROM sqlite_schema t
WHERE t.type = 'table' AND EXISTS (SELECT 1 FROM pragma_table_info(t.name) WHERE name = 'tenant')
ORDER BY t.name";

/// A table that has a tenant.
#[derive(Debug, FromQueryResult)]
pub(super) struct TenantTable {
    pub(super) name: String,
    /// The columns of its primary key.
    key: Option<String>,
    /// The type of the first of them.
    first_type: Option<String>,
    /// Whether an index begins with the tenant.
    by_tenant: bool,
}

/// What was found in a window.
pub(super) struct Looked {
    pub(super) rows: u64,
    pub(super) next: Next,
}

/// Where to look next.
pub(super) enum Next {
    /// Here again: there may be more.
    Again,
    /// After that key.
    After(String),
    /// Here again, from the beginning: rows came in behind us.
    Anew,
    /// In the next table.
    Done,
}

#[derive(FromQueryResult)]
struct Count {
    rows: i64,
}

/// All tables that have a tenant.
pub(super) async fn of_tenants(
    transaction: &Transaction,
    dialect: Dialect,
) -> Result<Vec<TenantTable>, StoreError> {
    let tables = dialect.exactly(dialect.choose(TABLES_ON_POSTGRES, TABLES_ON_SQLITE), []);
    let rows = transaction.query_all_raw(tables).await.or_store_error()?;
    rows.iter()
        .map(|row| TenantTable::from_query_result(row, "").or_store_error())
        .collect()
}

/// The rows of a window, as conditions with their parameters, and the key that the window ends with, if it does.
struct Conditions {
    sql: String,
    values: Vec<Value>,
    until: Option<String>,
}

impl TenantTable {
    /// Removes rows of the tenant from the next window.
    pub(super) async fn remove(&self, eraser: &Eraser, progress: &Progress) -> Result<Looked, StoreError> {
        let (dialect, limit) = (eraser.dialect, eraser.limit);
        let window = self.window(eraser, progress).await?;
        let some = format!("{} LIMIT {limit}", window.sql);
        let remove = delete_some(dialect, &self.name, self.key()?, &some);
        let removed = eraser
            .transaction
            .execute_raw(dialect.exactly(remove, window.values))
            .await
            .or_store_error()?;
        let rows = removed.rows_affected();
        let next = if rows >= u64::from(limit) {
            Next::Again
        } else {
            window.until.map_or(Next::Done, Next::After)
        };
        Ok(Looked { rows, next })
    }

    /// Counts the rows of the tenant in the next window.
    pub(super) async fn count(&self, eraser: &Eraser, progress: &Progress) -> Result<Looked, StoreError> {
        let window = self.window(eraser, progress).await?;
        let sql = format!("SELECT count(*) AS rows FROM {} WHERE {}", self.name, window.sql);
        let count = eraser.dialect.exactly(sql, window.values);
        let row = eraser.transaction.query_one_raw(count).await.or_store_error()?;
        let row = row.ok_or_else(|| fault("a count has no row"))?;
        let rows = Count::from_query_result(&row, "").or_store_error()?.rows;
        Ok(Looked {
            rows: u64::try_from(rows).map_err(|why| corrupt("count", why))?,
            next: window.until.map_or(Next::Done, Next::After),
        })
    }

    fn key(&self) -> Result<&str, StoreError> {
        self.key
            .as_deref()
            .ok_or_else(|| fault("a table of tenants' rows has no primary key"))
    }

    async fn window(&self, eraser: &Eraser, progress: &Progress) -> Result<Conditions, StoreError> {
        let tenant = progress.tenant.as_uuid();
        if self.by_tenant {
            return Ok(Conditions {
                sql: "tenant = $1".to_owned(),
                values: vec![tenant.into()],
                until: None,
            });
        }
        let kind = self.key_kind()?;
        // Never none: `split` answers the whole text if there is no comma.
        let first = self.key()?.split(',').next().unwrap_or_default();
        let after = match &progress.after_key {
            Some(key) => kind.parse(key)?,
            None => kind.start(),
        };
        let until = end_of_window(&eraser.transaction, eraser.dialect, (&self.name, first), after).await?;
        Ok(Conditions {
            sql: format!("{first} > $1 AND {first} <= $2 AND tenant = $3"),
            values: vec![after.into(), until.unwrap_or(kind.end()).into(), tenant.into()],
            until: until.map(|key| key.to_string()),
        })
    }

    fn key_kind(&self) -> Result<KeyKind, StoreError> {
        match self.first_type.as_deref() {
            Some("uuid" | "BLOB") => Ok(KeyKind::Id),
            Some("bigint" | "INTEGER") => Ok(KeyKind::Number),
            _ => Err(fault(
                "a table of tenants' rows can be walked through neither by tenant nor by key",
            )),
        }
    }
}
