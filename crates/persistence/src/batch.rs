//! Batches as parameters: arrays for PostgreSQL's `unnest`, one JSON text for SQLite's `json_each`. Either way the
//! statement's text does not depend on the size of the batch, so that it is prepared once.

use std::fmt::{Display, Write as _};

use sea_orm::Value;
use uuid::Uuid;

use crate::connection::Dialect;

/// Pairs of ids. On PostgreSQL two arrays, from which [`PAIRS_POSTGRES`] selects; on SQLite one JSON text, from
/// which [`PAIRS_SQLITE`] selects. The parameters are the statement's first.
pub(crate) fn pairs(dialect: Dialect, pairs: &[(Uuid, Uuid)]) -> Vec<Value> {
    match dialect {
        Dialect::Postgres => {
            let (first, second): (Vec<Uuid>, Vec<Uuid>) = pairs.iter().copied().unzip();
            vec![first.into(), second.into()]
        }
        Dialect::Sqlite => {
            let pairs: Vec<[String; 2]> = pairs
                .iter()
                .map(|(first, second)| [hex(*first), hex(*second)])
                .collect();
            vec![serde_json::json!(pairs).to_string().into()]
        }
    }
}

/// The pairs as a relation of two columns, `one` and `two`.
macro_rules! pairs_postgres {
    () => {
        "unnest($1::uuid[], $2::uuid[]) AS pair(one, two)"
    };
}

/// The pairs as a relation of two columns, `one` and `two`.
macro_rules! pairs_sqlite {
    () => {
        "(SELECT unhex(value ->> 0) AS one, unhex(value ->> 1) AS two FROM json_each($1)) AS pair"
    };
}
pub(crate) use {pairs_postgres, pairs_sqlite};

/// A UUID as `unhex` reads it.
pub(crate) fn hex(uuid: Uuid) -> String {
    uuid.simple().to_string()
}

/// The rows of a batch as one JSON text, an array for each. Written by hand, as the hot statements' rows are many and
/// nothing in them needs to be escaped.
#[derive(Default)]
pub(crate) struct JsonRows(String);

/// A row of [`JsonRows`] that is being written; it ends when it is let go.
pub(crate) struct JsonRow<'r>(&'r mut String);

impl JsonRows {
    /// Begins the next row.
    pub(crate) fn row(&mut self) -> JsonRow<'_> {
        self.0.push_str(if self.0.is_empty() { "[[" } else { ",[" });
        JsonRow(&mut self.0)
    }

    /// The text, as a parameter.
    pub(crate) fn value(mut self) -> Value {
        self.0.push_str(if self.0.is_empty() { "[]" } else { "]" });
        self.0.into()
    }
}

impl JsonRow<'_> {
    fn field(self, field: impl Display) -> Self {
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{field},");
        self
    }

    /// A UUID as `unhex` reads it.
    pub(crate) fn id(self, id: Uuid) -> Self {
        let mut text = [0; uuid::fmt::Simple::LENGTH];
        let text = id.simple().encode_lower(&mut text);
        self.0.push('"');
        self.0.push_str(text);
        self.0.push_str("\",");
        self
    }

    /// A number.
    pub(crate) fn number(self, number: impl Into<i64>) -> Self {
        self.field(number.into())
    }

    /// A number, or nothing.
    pub(crate) fn number_or_null(self, number: Option<impl Into<i64>>) -> Self {
        match number {
            Some(number) => self.number(number),
            None => self.null(),
        }
    }

    /// Nothing.
    pub(crate) fn null(self) -> Self {
        self.field("null")
    }

    /// One of our own words, which holds nothing that JSON would escape, or nothing.
    pub(crate) fn word(self, word: Option<&'static str>) -> Self {
        match word {
            Some(word) => self.field(format_args!("\"{word}\"")),
            None => self.null(),
        }
    }

    /// True or false, as a column holds it.
    pub(crate) fn flag(self, flag: bool) -> Self {
        self.field(u8::from(flag))
    }

    /// Bytes as `unhex` reads them.
    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.0.reserve(bytes.len() * 2 + 3);
        self.0.push('"');
        for byte in bytes {
            self.0.push(char::from(DIGITS[usize::from(byte >> 4)]));
            self.0.push(char::from(DIGITS[usize::from(byte & 0xf)]));
        }
        self.0.push_str("\",");
        self
    }
}

impl Drop for JsonRow<'_> {
    fn drop(&mut self) {
        // The comma after the last field. A row has one field at least.
        self.0.pop();
        self.0.push(']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_written_as_json() {
        let id = Uuid::from_u128(0x0193);
        let mut rows = JsonRows::default();
        rows.row()
            .id(id)
            .number(-7)
            .null()
            .word(Some("delivered"))
            .flag(true);
        rows.row()
            .bytes(&[0, 0xff, 0x2a])
            .number_or_null(Some(5_i64))
            .number_or_null(None::<i32>)
            .word(None)
            .flag(false);
        let Value::String(Some(text)) = rows.value() else {
            panic!("a text");
        };
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected =
            serde_json::json!([[hex(id), -7, null, "delivered", 1], ["00ff2a", 5, null, null, 0],]);
        assert_eq!(read, expected);
        assert_eq!(JsonRows::default().value(), Value::from("[]"));
    }
}
