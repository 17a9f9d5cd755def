//! The probe is worth something: it finds what it is there to find, in every table.

use postrider_testkit::contract::Harness as _;
use sqlx::{AssertSqlSafe, PgPool};

use super::{probe::probe, rows::Filled};
use crate::support::PostgresHarness;

async fn outside(pool: &PgPool, sql: String) {
    sqlx::query(AssertSqlSafe(sql)).execute(pool).await.unwrap();
}

/// Where row-level security lets tenants in.
struct Policy {
    table: String,
    name: String,
    /// `SELECT`, `INSERT`...
    command: String,
    using: Option<String>,
    check: Option<String>,
}

impl Policy {
    async fn all(pool: &PgPool) -> Vec<Self> {
        type Row = (String, String, String, Option<String>, Option<String>);
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT tablename::text, policyname::text, cmd, qual, with_check FROM pg_policies
             WHERE schemaname = 'public' AND 'postrider_api' = ANY (roles)
                 AND tablename NOT IN ('users') ORDER BY tablename, policyname",
        )
        .fetch_all(pool)
        .await
        .unwrap();
        let policy = |(table, name, command, using, check)| Self {
            table,
            name,
            command,
            using,
            check,
        };
        rows.into_iter().map(policy).collect()
    }

    fn conditions(&self) -> String {
        let written = |word: &str, condition: &Option<String>| {
            let condition = condition.as_ref();
            condition.map_or(String::new(), |condition| format!(" {word} ({condition})"))
        };
        written("USING", &self.using) + &written("WITH CHECK", &self.check)
    }

    /// The same, but every row meets its conditions.
    fn opened(&self) -> Self {
        let open = |condition: &Option<String>| condition.as_ref().map(|_| "true".to_owned());
        Self {
            table: self.table.clone(),
            name: self.name.clone(),
            command: self.command.clone(),
            using: open(&self.using),
            check: open(&self.check),
        }
    }

    fn altered(&self) -> String {
        format!(
            "ALTER POLICY {} ON {}{}",
            self.name,
            self.table,
            self.conditions()
        )
    }

    /// What the probe says of its table.
    async fn probed(&self, database: &str, filled: &Filled) -> Vec<String> {
        let tables = filled.tables.iter().filter(|table| table.name == self.table);
        let tables: Vec<_> = tables.cloned().collect();
        probe(database, filled, &tables).await
    }
}

#[tokio::test]
async fn a_table_without_row_security_is_found() {
    let harness = PostgresHarness::new().await;
    let filled = Filled::fill(&harness.outside).await;
    let mut found = 0;
    let read: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
             AND has_table_privilege('postrider_api', oid, 'SELECT')",
    )
    .fetch_all(&harness.outside)
    .await
    .unwrap();
    for table in filled.tables.iter().filter(|table| read.contains(&table.name)) {
        outside(
            &harness.outside,
            format!("ALTER TABLE {} DISABLE ROW LEVEL SECURITY", table.name),
        )
        .await;
        let reported = probe(&harness.name, &filled, std::slice::from_ref(table)).await;
        let open = format!(
            "{}: SELECT: Ok(Of([{}, {}]))",
            table.name, filled.tenant, filled.other
        );
        assert!(reported.contains(&open), "{open} in {reported:?}");
        outside(
            &harness.outside,
            format!("ALTER TABLE {} ENABLE ROW LEVEL SECURITY", table.name),
        )
        .await;
        found += 1;
    }
    assert!(found >= 15, "{found}");
    harness.finish().await;
}

#[tokio::test]
async fn a_policy_that_was_dropped_is_found() {
    let harness = PostgresHarness::new().await;
    let filled = Filled::fill(&harness.outside).await;
    let policies = Policy::all(&harness.outside).await;
    assert!(policies.len() >= 40, "{}", policies.len());
    for policy in policies {
        let Policy {
            table, name, command, ..
        } = &policy;
        outside(&harness.outside, format!("DROP POLICY {name} ON {table}")).await;
        let reported = policy.probed(&harness.name, &filled).await;
        let of_it = format!("{table}: ");
        let found = reported.iter().any(|line| line.starts_with(&of_it));
        assert!(found, "{command} on {table}: {reported:?}");
        let conditions = policy.conditions();
        let again = format!("CREATE POLICY {name} ON {table} FOR {command} TO postrider_api{conditions}");
        outside(&harness.outside, again).await;
    }
    let nothing: [String; 0] = [];
    assert_eq!(
        probe(&harness.name, &filled, &filled.tables).await,
        nothing,
        "all is as it was"
    );
    harness.finish().await;
}

#[tokio::test]
async fn a_policy_that_lets_everything_through_is_found() {
    let harness = PostgresHarness::new().await;
    let filled = Filled::fill(&harness.outside).await;
    for policy in Policy::all(&harness.outside).await {
        outside(&harness.outside, policy.opened().altered()).await;
        let reported = policy.probed(&harness.name, &filled).await;
        let of_it = format!("{}: {}", policy.table, policy.command);
        let found = reported.iter().any(|line| line.starts_with(&of_it));
        assert!(found, "{of_it}: {reported:?}");
        outside(&harness.outside, policy.altered()).await;
    }
    harness.finish().await;
}
