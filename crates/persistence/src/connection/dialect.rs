use postrider_application::ports::StoreError;
use postrider_domain::TenantId;
use sea_orm::{DbBackend, Statement, Value};

use crate::error::fault;

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

    /// A statement of a tenant: as [`Self::statement`], and `{tenant}` is the tenant, as the parameter after the
    /// last. Refused if it does not say so, on both databases and whatever the scope.
    pub(crate) fn of_tenant(
        self,
        tenant: TenantId,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Statement, StoreError> {
        if !sql.contains("{tenant}") {
            return Err(fault("a statement of a tenant does not say {tenant}"));
        }
        let mut values: Vec<Value> = values.into_iter().collect();
        values.push(tenant.as_uuid().into());
        let sql = sql.replace("{tenant}", &format!("${}", values.len()));
        Ok(self.statement(&sql, values))
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

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_statement_of_a_tenant_says_where_the_tenant_goes() {
        let tenant = TenantId::from_uuid(Uuid::from_u128(7));
        let of_tenant = |sql: &str| Dialect::Sqlite.of_tenant(tenant, sql, [1.into(), 2.into()]);
        let statement = of_tenant("SELECT 1 WHERE a = $1 AND tenant = {tenant} AND b = $2").unwrap();
        assert_eq!(statement.sql, "SELECT 1 WHERE a = $1 AND tenant = $3 AND b = $2");
        let values = statement.values.unwrap().0;
        assert_eq!(values, [1.into(), 2.into(), Uuid::from_u128(7).into()]);
        assert!(matches!(
            of_tenant("SELECT 1 WHERE a = $1"),
            Err(StoreError::Internal(_))
        ));
    }
}
