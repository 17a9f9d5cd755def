//! Members go, and with them the people who are members of nothing else.

use postrider_application::ports::StoreError;
use sea_orm::{ConnectionTrait as _, FromQueryResult, Statement};
use uuid::Uuid;

use super::{
    Eraser, MEMBERSHIPS,
    progress::Progress,
    table::{Looked, Next},
};
use crate::{batch::hex, connection::Dialect, error::OrStoreError as _};

const MEMBERS: &str = "
DELETE FROM memberships WHERE tenant = $1 AND id IN
    (SELECT id FROM memberships WHERE tenant = $1 ORDER BY id LIMIT $2) RETURNING user_id AS person";

/// The people of `$1` as a relation, for both databases.
macro_rules! people {
    ($dialect:expr, $before:literal, $after:literal) => {
        $dialect.choose(
            concat!($before, "(SELECT unnest($1::uuid[]))", $after),
            concat!($before, "(SELECT unhex(value) FROM json_each($1))", $after),
        )
    };
}

#[derive(FromQueryResult)]
struct Person {
    person: Uuid,
}

fn named(dialect: Dialect, sql: &str, people: &[Uuid]) -> Statement {
    let people = match dialect {
        Dialect::Postgres => people.to_vec().into(),
        Dialect::Sqlite => {
            let people: Vec<String> = people.iter().copied().map(hex).collect();
            serde_json::json!(people).to_string().into()
        }
    };
    dialect.exactly(sql, [people])
}

impl Eraser {
    async fn people(&self, select: Statement) -> Result<Vec<Uuid>, StoreError> {
        let rows = self.transaction.query_all_raw(select).await.or_store_error()?;
        let person = |row| Ok(Person::from_query_result(row, "").or_store_error()?.person);
        rows.iter().map(person).collect()
    }

    /// Removes memberships of the tenant, and who has no other.
    pub(super) async fn remove_people(&self, progress: &mut Progress) -> Result<Looked, StoreError> {
        let dialect = self.dialect;
        let members = dialect.exactly(
            MEMBERS,
            [progress.tenant.as_uuid().into(), i64::from(self.limit).into()],
        );
        let members = self.people(members).await?;
        let mut rows = members.len() as u64;
        progress.count(MEMBERSHIPS, rows);
        let next = if members.len() < self.limit as usize {
            Next::Done
        } else {
            Next::Again
        };
        if dialect == Dialect::Postgres {
            // Whoever joins another tenant at this moment refers to the person; held, they are seen by the next
            // statement, or find nobody.
            let hold = "SELECT id AS person FROM users WHERE id IN (SELECT unnest($1::uuid[])) ORDER BY id FOR UPDATE";
            self.people(named(dialect, hold, &members)).await?;
        }
        let leaving = people!(
            dialect,
            "SELECT u.id AS person FROM users u WHERE u.id IN ",
            " AND NOT EXISTS (SELECT 1 FROM memberships m WHERE m.user_id = u.id)"
        );
        let leaving = self.people(named(dialect, leaving, &members)).await?;
        for (table, sql) in [
            // Of other tenants that removed them: they let nobody in any more.
            ("sessions", people!(dialect, "DELETE FROM sessions WHERE user_id IN ", "")),
            (
                "password_resets",
                people!(dialect, "DELETE FROM password_resets WHERE user_id IN ", ""),
            ),
            ("users", people!(dialect, "DELETE FROM users WHERE id IN ", "")),
        ] {
            let remove = named(dialect, sql, &leaving);
            let removed = self.transaction.execute_raw(remove).await.or_store_error()?;
            progress.count(table, removed.rows_affected());
            rows += removed.rows_affected();
        }
        Ok(Looked { rows, next })
    }
}
