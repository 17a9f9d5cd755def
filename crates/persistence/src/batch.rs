//! Batches as parameters: arrays for PostgreSQL's `unnest`, one JSON text for SQLite's `json_each`. Either way the
//! statement's text does not depend on the size of the batch, so that it is prepared once.

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
