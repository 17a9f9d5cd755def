//! Members go, and with them the people who are members of nothing else.

use postrider_application::ports::StoreError;
use sea_orm::{ConnectionTrait as _, FromQueryResult, Statement};
use uuid::Uuid;

use super::{
    super::delete_some,
    Eraser, MEMBERSHIPS,
    progress::Progress,
    table::{Looked, Next},
};
use crate::{batch::hex, connection::Dialect, error::OrStoreError as _};

/// What refers to people besides their memberships. Sessions of this tenant are gone by now; those of another that
/// has removed the person let nobody in any more.
const OF_PEOPLE: [(&str, &str); 2] = [("password_resets", "user_id"), ("sessions", "tenant, id")];

const LEAVING: &str = "
user_id IN (SELECT m.user_id FROM memberships m WHERE m.tenant = $1
    AND NOT EXISTS (SELECT 1 FROM memberships o WHERE o.user_id = m.user_id AND o.tenant <> m.tenant))
LIMIT $2";
const MEMBERS: &str = "
DELETE FROM memberships WHERE tenant = $1 AND id IN
    (SELECT id FROM memberships WHERE tenant = $1 ORDER BY id LIMIT $2) RETURNING user_id AS person";

/// A statement about the people of `$1`, for both databases.
macro_rules! people {
    ($dialect:expr, $before:literal, $after:literal) => {
        $dialect.choose(
            concat!($before, " IN (SELECT unnest($1::uuid[]))", $after),
            concat!($before, " IN (SELECT unhex(value) FROM json_each($1))", $after),
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

    async fn execute(&self, statement: Statement) -> Result<u64, StoreError> {
        let done = self.transaction.execute_raw(statement).await.or_store_error()?;
        Ok(done.rows_affected())
    }

    /// Removes memberships of the tenant, and who has no other: first what refers to them.
    pub(super) async fn remove_people(&self, progress: &mut Progress) -> Result<Looked, StoreError> {
        let tenant = progress.tenant.as_uuid();
        for (table, key) in OF_PEOPLE {
            let remove = delete_some(self.dialect, table, key, LEAVING);
            let some = [tenant.into(), i64::from(self.limit).into()];
            let rows = self.execute(self.dialect.exactly(remove, some)).await?;
            if rows > 0 {
                progress.count(table, rows);
                let next = Next::Again;
                return Ok(Looked { rows, next });
            }
        }
        // A person goes with each.
        let limit = (self.limit / 2).max(1);
        let some = [tenant.into(), i64::from(limit).into()];
        let members = self.people(self.dialect.exactly(MEMBERS, some)).await?;
        progress.count(MEMBERSHIPS, members.len() as u64);
        let next = if members.len() < limit as usize {
            Next::Done
        } else {
            Next::Again
        };
        let rows = members.len() as u64 + self.remove_strangers(&members, progress).await?;
        Ok(Looked { rows, next })
    }

    /// Removes those of these people who are members of nothing.
    async fn remove_strangers(&self, people: &[Uuid], progress: &mut Progress) -> Result<u64, StoreError> {
        let dialect = self.dialect;
        if dialect == Dialect::Postgres {
            // Whoever joins another tenant at this moment refers to the person: the next statement sees them, or
            // they find nobody.
            let hold = people!(
                dialect,
                "SELECT id AS person FROM users WHERE id",
                " ORDER BY id FOR UPDATE"
            );
            self.people(named(dialect, hold, people)).await?;
        }
        let strangers = people!(
            dialect,
            "SELECT u.id AS person FROM users u WHERE u.id",
            " AND NOT EXISTS (SELECT 1 FROM memberships m WHERE m.user_id = u.id)"
        );
        let strangers = self.people(named(dialect, strangers, people)).await?;
        let mut rows = 0;
        // What has come to refer to them since a moment ago goes as well.
        for (table, remove) in [
            (
                "password_resets",
                people!(dialect, "DELETE FROM password_resets WHERE user_id", ""),
            ),
            (
                "sessions",
                people!(dialect, "DELETE FROM sessions WHERE user_id", ""),
            ),
            ("users", people!(dialect, "DELETE FROM users WHERE id", "")),
        ] {
            let removed = self.execute(named(dialect, remove, &strangers)).await?;
            progress.count(table, removed);
            rows += removed;
        }
        Ok(rows)
    }
}
