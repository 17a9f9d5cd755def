//! Walking through a table of all tenants' rows by its key, so many rows at a time: history has no index that begins
//! with the tenant, and no statement may look through all of it.

use std::fmt;

use postrider_application::ports::StoreError;
use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use crate::{
    connection::Dialect,
    error::{OrStoreError as _, corrupt},
};

/// How many rows a window has.
pub(crate) const WINDOW_ROWS: u32 = 2_000;

/// The first column of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Id(Uuid),
    Number(i64),
}

/// What kind of column that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    Id,
    Number,
}

impl KeyKind {
    /// What is before all keys.
    pub(crate) const fn start(self) -> Key {
        match self {
            Self::Id => Key::Id(Uuid::nil()),
            Self::Number => Key::Number(i64::MIN),
        }
    }

    /// No key is after it.
    pub(crate) const fn end(self) -> Key {
        match self {
            Self::Id => Key::Id(Uuid::max()),
            Self::Number => Key::Number(i64::MAX),
        }
    }

    /// The key of that text ([`Key`]'s `Display`).
    pub(crate) fn parse(self, text: &str) -> Result<Key, StoreError> {
        match self {
            Self::Id => text
                .parse()
                .map(Key::Id)
                .map_err(|why| corrupt("key of a walk", why)),
            Self::Number => text
                .parse()
                .map(Key::Number)
                .map_err(|why| corrupt("key of a walk", why)),
        }
    }
}

impl Key {
    const fn kind(self) -> KeyKind {
        match self {
            Self::Id(_) => KeyKind::Id,
            Self::Number(_) => KeyKind::Number,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Number(number) => number.fmt(f),
        }
    }
}

impl From<Key> for Value {
    fn from(key: Key) -> Self {
        match key {
            Key::Id(id) => id.into(),
            Key::Number(number) => number.into(),
        }
    }
}

/// Where the window of `table` ends that begins after `after`, by the first column of its key; none if it is the
/// last. All rows of the last key belong to it, so it may be a little larger.
pub(crate) async fn end_of_window(
    connection: &impl ConnectionTrait,
    dialect: Dialect,
    (table, column): (&str, &str),
    after: Key,
) -> Result<Option<Key>, StoreError> {
    let sql = format!(
        "SELECT {column} AS at FROM {table} WHERE {column} > $1 ORDER BY {column} LIMIT 1 OFFSET {}",
        WINDOW_ROWS - 1
    );
    let row = connection
        .query_one_raw(dialect.exactly(sql, [after.into()]))
        .await
        .or_store_error()?;
    let Some(row) = row else { return Ok(None) };
    let end = match after.kind() {
        KeyKind::Id => row.try_get("", "at").map(Key::Id),
        KeyKind::Number => row.try_get("", "at").map(Key::Number),
    };
    end.map(Some).or_store_error()
}
