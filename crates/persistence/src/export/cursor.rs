//! Where an export stands: at a kind, after a key.

use postrider_application::ports::{ExportCursor, StoreError};
use sea_orm::{QueryResult, Value};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::kinds::{KINDS, Kind, Part};
use crate::{
    error::{OrStoreError as _, corrupt, fault},
    windows::{Key, KeyKind},
};

/// A place in the export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Position {
    /// Which of [`KINDS`].
    at: usize,
    /// The last row's key as texts, of the types of the kind's key.
    after: Vec<String>,
}

/// As it is handed out. Kinds go by their names: another version may have others.
#[derive(Serialize, Deserialize)]
struct Stored {
    kind: String,
    after: Vec<String>,
}

impl Part {
    const fn key_kind(self) -> Option<KeyKind> {
        match self {
            Self::Id => Some(KeyKind::Id),
            Self::Number => Some(KeyKind::Number),
            Self::Text => None,
        }
    }

    fn start(self) -> String {
        self.key_kind()
            .map_or(String::new(), |kind| kind.start().to_string())
    }

    /// No key is after it. Texts are not walked through.
    fn end(self) -> String {
        self.key_kind()
            .map_or(String::new(), |kind| kind.end().to_string())
    }

    fn value(self, text: &str) -> Result<Value, StoreError> {
        match self.key_kind() {
            Some(kind) => kind.parse(text).map(Value::from),
            None => Ok(text.into()),
        }
    }

    fn read(self, row: &QueryResult, column: &str) -> Result<String, StoreError> {
        match self {
            Self::Id => row.try_get::<Uuid>("", column).map(|id| id.to_string()),
            // Either an `integer` or a `bigint`.
            Self::Number => row
                .try_get::<i64>("", column)
                .or_else(|_| row.try_get::<i32>("", column).map(i64::from))
                .map(|number| number.to_string()),
            Self::Text => row.try_get("", column),
        }
        .or_store_error()
    }
}

impl Position {
    fn start_of(at: usize) -> Self {
        let after = KINDS[at].key.iter().map(|(_, part)| part.start()).collect();
        Self { at, after }
    }

    /// The place that a cursor names; without one, the beginning.
    pub(super) fn read(cursor: Option<&ExportCursor>) -> Result<Self, StoreError> {
        let Some(cursor) = cursor else {
            return Ok(Self::start_of(0));
        };
        let foreign = || fault("the cursor of an export is not this store's");
        let stored: Stored = serde_json::from_slice(&cursor.0).map_err(|_| foreign())?;
        let at = KINDS.iter().position(|kind| kind.name == stored.kind);
        let at = at.ok_or_else(foreign)?;
        if stored.after.len() != KINDS[at].key.len() {
            return Err(foreign());
        }
        let after = stored.after;
        Ok(Self { at, after })
    }

    pub(super) fn cursor(self) -> Result<ExportCursor, StoreError> {
        let stored = Stored {
            kind: KINDS[self.at].name.to_owned(),
            after: self.after,
        };
        let bytes = serde_json::to_vec(&stored).map_err(|why| corrupt("cursor", why))?;
        Ok(ExportCursor(bytes))
    }

    pub(super) fn kind(&self) -> &'static Kind {
        &KINDS[self.at]
    }

    fn parts(&self) -> impl Iterator<Item = (Part, &str)> {
        let key = self.kind().key.iter().map(|(_, part)| *part);
        key.zip(self.after.iter().map(String::as_str))
    }

    /// The key as parameters.
    pub(super) fn values(&self) -> Result<Vec<Value>, StoreError> {
        self.parts().map(|(part, text)| part.value(text)).collect()
    }

    fn first(&self) -> Result<(KeyKind, &str), StoreError> {
        self.parts()
            .next()
            .and_then(|(part, text)| Some((part.key_kind()?, text)))
            .ok_or_else(|| fault("a kind that is walked through has no such key"))
    }

    /// The first column of the key, of a kind that is walked through.
    pub(super) fn first_key(&self) -> Result<Key, StoreError> {
        let (kind, text) = self.first()?;
        kind.parse(text)
    }

    /// What no first column of a key is after.
    pub(super) fn end_of_keys(&self) -> Result<Key, StoreError> {
        Ok(self.first()?.0.end())
    }

    /// Goes on after that row.
    pub(super) fn go_after(&mut self, row: &QueryResult) -> Result<(), StoreError> {
        let columns = self.kind().key.iter();
        self.after = columns
            .map(|(column, part)| part.read(row, column))
            .collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Goes on after the window that ends there, or, if it was the last, with the next kind; `false` if there is
    /// none.
    pub(super) fn leave_window(&mut self, end: Option<Key>) -> bool {
        if let Some(end) = end {
            // After all rows of that first key.
            let rest = self.kind().key.iter().skip(1).map(|(_, part)| part.end());
            self.after = std::iter::once(end.to_string()).chain(rest).collect();
            return true;
        }
        let more = self.at + 1 < KINDS.len();
        if more {
            *self = Self::start_of(self.at + 1);
        }
        more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_through_windows_and_kinds_and_survives_being_handed_out() {
        let mut position = Position::read(None).unwrap();
        for kind in &KINDS {
            assert_eq!(position.kind().name, kind.name);
            let cursor = position.clone().cursor().unwrap();
            assert_eq!(Position::read(Some(&cursor)).unwrap(), position);
            if kind.walked.is_some() {
                let end = position
                    .first()
                    .unwrap()
                    .0
                    .parse("7")
                    .unwrap_or(Key::Id(Uuid::from_u128(7)));
                assert!(position.leave_window(Some(end)));
                assert_eq!(position.first_key().unwrap(), end);
                assert_eq!(position.values().unwrap().len(), kind.key.len());
            }
            assert_eq!(position.leave_window(None), kind.name != "audit_entry");
        }
    }

    #[test]
    fn a_foreign_cursor_is_refused() {
        for foreign in [
            "",
            "{}",
            r#"{"kind":"secret","after":[]}"#,
            r#"{"kind":"tenant","after":[]}"#,
        ] {
            assert!(Position::read(Some(&ExportCursor(foreign.into()))).is_err());
        }
    }
}
