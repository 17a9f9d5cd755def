use sea_orm::{DbBackend, Statement, Value};

/// Which database it is. Chosen at run time; statements differ only where they must.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL: several nodes, many connections.
    Postgres,
    /// SQLite: one process, one file, one writer.
    Sqlite,
}

/// The database's now in microseconds since the Unix epoch. On PostgreSQL the beginning of the transaction, which
/// here is the statement or close to it: unlike `clock_timestamp()` it is stable, so that an index serves
/// `due_at <= now`.
macro_rules! postgres_now {
    () => {
        "(extract(epoch from now()) * 1000000)::bigint"
    };
}

/// The database's now in microseconds since the Unix epoch, to the millisecond. Rounded before it is cut, because
/// the function answers a fraction of seconds in binary.
macro_rules! sqlite_now {
    () => {
        "(CAST(round(unixepoch('subsec') * 1000) AS INTEGER) * 1000)"
    };
}
pub(crate) use {postgres_now, sqlite_now};

impl Dialect {
    /// What stands for the database's now, in microseconds since the Unix epoch.
    pub(crate) const fn now(self) -> &'static str {
        match self {
            Self::Postgres => postgres_now!(),
            Self::Sqlite => sqlite_now!(),
        }
    }

    /// The text that is right for this database.
    pub(crate) const fn choose(self, postgres: &'static str, sqlite: &'static str) -> &'static str {
        match self {
            Self::Postgres => postgres,
            Self::Sqlite => sqlite,
        }
    }

    /// A statement for both databases; parameters are `$1`, `$2`..., and `{now}` is the database's now. For what
    /// is not hot: the text is built at each call.
    pub(crate) fn statement(self, sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
        self.exactly(sql.replace("{now}", self.now()), values)
    }

    /// A statement as it is written.
    pub(crate) fn exactly(
        self,
        sql: impl Into<String>,
        values: impl IntoIterator<Item = Value>,
    ) -> Statement {
        let backend = match self {
            Self::Postgres => DbBackend::Postgres,
            Self::Sqlite => DbBackend::Sqlite,
        };
        Statement::from_sql_and_values(backend, sql, values)
    }
}
