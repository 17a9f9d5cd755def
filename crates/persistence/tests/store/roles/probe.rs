//! What a tenant's transaction reaches when nothing in the statements keeps it to its own rows.
//!
//! The statements are those of a repository that forgot its tenant. The probe answers what is wrong, so that it can
//! be shown to find something: see `sabotage`.

use std::borrow::Cow;

use postrider_testkit::contract::Harness as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgTransaction, error::DatabaseError};
use uuid::Uuid;

use super::{
    accounts::connect,
    rows::{Filled, Table},
};
use crate::support::PostgresHarness;

const FORBIDDEN: &str = "42501";
const REFERRED_TO: &str = "23503";
const COMMANDS: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "DELETE"];

/// A connection of the login that serves, and what to look for.
pub(super) struct Probe<'f> {
    connection: PgConnection,
    filled: &'f Filled,
    /// What is wrong.
    found: Vec<String>,
}

/// What a statement reached.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// Rows of these tenants.
    Of(Vec<Uuid>),
    /// So many rows.
    Rows(u64),
}

/// What a statement reached, or the error's code.
pub(super) type Outcome = Result<Reached, String>;

/// Looks at these tables; what is wrong, a line for each.
pub(super) async fn probe(database: &str, filled: &Filled, tables: &[Table]) -> Vec<String> {
    let mut probe = Probe {
        connection: connect(database).await,
        filled,
        found: Vec::new(),
    };
    for table in tables {
        probe.without_a_role(&table.name).await;
        let allowed = probe.allowed(table).await;
        // On a connection where the setting was never made, and later on one where it was.
        probe.without_a_tenant(table, &allowed).await;
        probe.as_a_tenant(table, &allowed).await;
        probe.without_a_tenant(table, &allowed).await;
    }
    probe.connection.close().await.unwrap();
    probe.found
}

impl Probe<'_> {
    fn expect(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.found.push(what());
        }
    }

    /// What the tenant's role may do with the table at all. It may be that it changes a few columns only.
    async fn allowed(&mut self, table: &Table) -> Vec<&'static str> {
        let mut allowed = Vec::new();
        for command in COMMANDS {
            let may: bool = sqlx::query_scalar("SELECT has_table_privilege('postrider_api', $1, $2)")
                .bind(&table.name)
                .bind(command)
                .fetch_one(&mut self.connection)
                .await
                .unwrap();
            if may || command == "UPDATE" && table.changed.is_some() {
                allowed.push(command);
            }
        }
        allowed
    }

    /// The role switch was forgotten: nothing may be done, whatever the tenant.
    async fn without_a_role(&mut self, table: &str) {
        for command in COMMANDS {
            let (tenant, filled) = (self.filled.tenant, self.filled);
            let mut transaction = self.connection.begin().await.unwrap();
            enter(&mut transaction, "none", &tenant.to_string()).await;
            let table = filled.tables.iter().find(|known| known.name == table).unwrap();
            let outcome = run(&mut transaction, &careless(table, command, tenant, filled)).await;
            transaction.rollback().await.unwrap();
            self.expect(outcome == Err(FORBIDDEN.to_owned()), || {
                format!("{}: {command} without a role: {outcome:?}", table.name)
            });
        }
    }

    /// The tenant was forgotten: no row is there, and none can be added.
    async fn without_a_tenant(&mut self, table: &Table, allowed: &[&str]) {
        for command in allowed {
            let (tenant, filled) = (self.filled.tenant, self.filled);
            let mut transaction = self.connection.begin().await.unwrap();
            sqlx::query("SELECT set_config('role', 'postrider_api', true)")
                .execute(&mut *transaction)
                .await
                .unwrap();
            let outcome = run(&mut transaction, &careless(table, command, tenant, filled)).await;
            transaction.rollback().await.unwrap();
            let right = match *command {
                "SELECT" => outcome == Ok(Reached::Of(Vec::new())),
                "INSERT" => outcome == Err(FORBIDDEN.to_owned()),
                _ => outcome == Ok(Reached::Rows(0)),
            };
            self.expect(right, || {
                format!("{}: {command} without a tenant: {outcome:?}", table.name)
            });
        }
    }

    /// The statements' own filter was forgotten: the tenant's rows, and nobody else's.
    async fn as_a_tenant(&mut self, table: &Table, allowed: &[&str]) {
        let (tenant, other) = (self.filled.tenant, self.filled.other);
        for command in COMMANDS {
            let outcome = self.as_tenant(table, command, tenant).await;
            let right = match (allowed.contains(&command), command) {
                (false, _) => outcome == Err(FORBIDDEN.to_owned()),
                // A row of one's own passes the policy, whatever else may be wrong with it.
                (true, "INSERT") => outcome != Err(FORBIDDEN.to_owned()),
                (true, "SELECT") => outcome == Ok(Reached::Of(vec![tenant])),
                (true, _) => outcome == Ok(Reached::Rows(1)),
            };
            self.expect(right, || format!("{}: {command}: {outcome:?}", table.name));
        }
        if allowed.contains(&"INSERT") {
            let outcome = self.as_tenant(table, "INSERT", other).await;
            self.expect(outcome == Err(FORBIDDEN.to_owned()), || {
                format!("{}: INSERT for another: {outcome:?}", table.name)
            });
        }
        if allowed.contains(&"UPDATE") {
            let given_away = format!("UPDATE {} SET {} = '{other}'", table.name, table.tenant);
            let mut transaction = self.connection.begin().await.unwrap();
            enter(&mut transaction, "postrider_api", &tenant.to_string()).await;
            let outcome = run(&mut transaction, &given_away).await;
            transaction.rollback().await.unwrap();
            self.expect(outcome == Err(FORBIDDEN.to_owned()), || {
                format!("{}: UPDATE that gives away: {outcome:?}", table.name)
            });
        }
    }

    async fn as_tenant(&mut self, table: &Table, command: &str, rows_of: Uuid) -> Outcome {
        let (tenant, filled) = (self.filled.tenant, self.filled);
        let mut transaction = self.connection.begin().await.unwrap();
        enter(&mut transaction, "postrider_api", &tenant.to_string()).await;
        let mut outcome = run(&mut transaction, &careless(table, command, rows_of, filled)).await;
        if command == "DELETE" && outcome == Err(REFERRED_TO.to_owned()) {
            // The rows were reached, applications with endpoints: these go first.
            run(&mut transaction, "DELETE FROM endpoints").await.unwrap();
            outcome = run(&mut transaction, &careless(table, command, rows_of, filled)).await;
        }
        transaction.rollback().await.unwrap();
        outcome
    }
}

/// A statement without a condition; of an insertion, the row is `rows_of`'s. What is changed is neither looked at nor
/// returned: otherwise the policies for reading would hide what those for changing let through.
fn careless(table: &Table, command: &str, rows_of: Uuid, filled: &Filled) -> String {
    let (name, tenant) = (&table.name, table.tenant);
    match command {
        "SELECT" => format!("SELECT {tenant} FROM {name}"),
        // Another row than those that are there.
        "INSERT" => table.insert(rows_of, Uuid::from_u128(filled.tenant.as_u128() + 0x100)),
        "UPDATE" => match table.changed.as_deref() {
            Some(column) if column != tenant => format!("UPDATE {name} SET {column} = DEFAULT"),
            _ => format!("UPDATE {name} SET {tenant} = '{}'", filled.tenant),
        },
        "DELETE" => format!("DELETE FROM {name}"),
        _ => unreachable!("{command}"),
    }
}

/// Becomes the role, and the tenant's.
pub(super) async fn enter(transaction: &mut PgTransaction<'_>, role: &str, tenant: &str) {
    sqlx::query("SELECT set_config('role', $1, true), set_config('app.tenant_id', $2, true)")
        .bind(role)
        .bind(tenant)
        .execute(&mut **transaction)
        .await
        .unwrap();
}

/// Runs a statement; after an error the transaction goes on as if it had not been.
pub(super) async fn run(transaction: &mut PgTransaction<'_>, sql: &str) -> Outcome {
    let mut inner = transaction.begin().await.unwrap();
    let statement = AssertSqlSafe(sql.to_owned());
    let outcome = if sql.starts_with("SELECT") || sql.contains("RETURNING") {
        let tenants = sqlx::query_scalar(statement).fetch_all(&mut *inner).await;
        tenants.map(|mut tenants| {
            tenants.sort_unstable();
            Reached::Of(tenants)
        })
    } else {
        let done = sqlx::query(statement).execute(&mut *inner).await;
        done.map(|done| Reached::Rows(done.rows_affected()))
    };
    match outcome {
        Ok(reached) => {
            inner.commit().await.unwrap();
            Ok(reached)
        }
        Err(error) => {
            inner.rollback().await.unwrap();
            let code = error.as_database_error().and_then(DatabaseError::code);
            Err(code.map_or_else(|| error.to_string(), Cow::into_owned))
        }
    }
}

/// The one that nothing is wrong with, and the one thing that a tenant does not reach at all.
#[tokio::test]
async fn a_tenants_transaction_reaches_no_row_of_another() {
    let harness = PostgresHarness::new().await;
    let filled = Filled::fill(&harness.outside).await;
    let names: Vec<&str> = filled.tables.iter().map(|table| table.name.as_str()).collect();
    assert!(names.len() >= 16 && names.contains(&"messages"), "{names:?}");
    let nothing: [String; 0] = [];
    assert_eq!(probe(&harness.name, &filled, &filled.tables).await, nothing);

    let closed: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM unnest($1::text[]) AS name
         WHERE NOT has_table_privilege('postrider_api', name, 'SELECT') ORDER BY name",
    )
    .bind(&names)
    .fetch_all(&harness.outside)
    .await
    .unwrap();
    let hidden = ["dead_letters", "dedup", "erasures"];
    assert_eq!(closed, hidden, "every other table was looked into");
    harness.finish().await;
}

/// People are global. A tenant sees those that have a place in it, and nobody's password.
#[tokio::test]
async fn a_tenant_sees_its_people_only_and_no_password() {
    let harness = PostgresHarness::new().await;
    let filled = Filled::fill(&harness.outside).await;
    let mut connection = connect(&harness.name).await;
    let mut transaction = connection.begin().await.unwrap();
    enter(&mut transaction, "postrider_api", &filled.tenant.to_string()).await;
    let forbidden = Err(FORBIDDEN.to_owned());
    assert_eq!(
        run(&mut transaction, "SELECT id FROM users").await,
        Ok(Reached::Of(vec![filled.people[0]]))
    );
    assert_eq!(
        run(&mut transaction, "SELECT id FROM users ORDER BY password_hash").await,
        forbidden
    );
    assert_eq!(
        run(&mut transaction, "UPDATE users SET name = name RETURNING id").await,
        forbidden
    );
    for table in [
        "password_resets",
        "signing_keys",
        "installation",
        "nodes",
        "dedup",
        "seaql_migrations",
    ] {
        let outcome = run(&mut transaction, &format!("SELECT NULL::uuid FROM {table}")).await;
        assert_eq!(outcome, forbidden, "{table}");
    }
    transaction.rollback().await.unwrap();
    connection.close().await.unwrap();
    harness.finish().await;
}
