//! The probe is worth something: it finds what it is there to find, in every table.

use postrider_testkit::contract::Harness as _;
use sqlx::{AssertSqlSafe, PgPool};

use super::{probe::probe, rows::Filled};
use crate::support::PostgresHarness;

async fn outside(pool: &PgPool, sql: String) {
    sqlx::query(AssertSqlSafe(sql)).execute(pool).await.unwrap();
}

/// Where row-level security lets tenants in: table, policy, its command, its conditions.
async fn policies(pool: &PgPool) -> Vec<(String, String, String, String, Option<String>, Option<String>)> {
    sqlx::query_as(
        "SELECT tablename::text, policyname::text, cmd, roles::text, qual, with_check FROM pg_policies
         WHERE schemaname = 'public' AND 'postrider_api' = ANY (roles)
             AND tablename NOT IN ('users') ORDER BY tablename, policyname",
    )
    .fetch_all(pool)
    .await
    .unwrap()
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
    let policies = policies(&harness.outside).await;
    assert!(policies.len() >= 40, "{}", policies.len());
    for (table, policy, command, _, qual, check) in policies {
        outside(&harness.outside, format!("DROP POLICY {policy} ON {table}")).await;
        let of_it: Vec<_> = filled
            .tables
            .iter()
            .filter(|known| known.name == table)
            .cloned()
            .collect();
        let reported = probe(&harness.name, &filled, &of_it).await;
        assert!(
            reported
                .iter()
                .any(|line| line.starts_with(&format!("{table}: "))),
            "{command} on {table}: {reported:?}"
        );
        let qual = qual.map_or(String::new(), |qual| format!(" USING ({qual})"));
        let check = check.map_or(String::new(), |check| format!(" WITH CHECK ({check})"));
        let again = format!("CREATE POLICY {policy} ON {table} FOR {command} TO postrider_api{qual}{check}");
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
    for (table, policy, command, _, qual, check) in policies(&harness.outside).await {
        let conditions = |qual: &Option<String>, check: &Option<String>| {
            let qual = qual
                .as_ref()
                .map_or(String::new(), |qual| format!(" USING ({qual})"));
            let check = check
                .as_ref()
                .map_or(String::new(), |check| format!(" WITH CHECK ({check})"));
            format!("ALTER POLICY {policy} ON {table}{qual}{check}")
        };
        let open = |condition: &Option<String>| condition.as_ref().map(|_| "true".to_owned());
        outside(&harness.outside, conditions(&open(&qual), &open(&check))).await;
        let of_it: Vec<_> = filled
            .tables
            .iter()
            .filter(|known| known.name == table)
            .cloned()
            .collect();
        let reported = probe(&harness.name, &filled, &of_it).await;
        assert!(
            reported
                .iter()
                .any(|line| line.starts_with(&format!("{table}: {command}"))),
            "{command} on {table}: {reported:?}"
        );
        outside(&harness.outside, conditions(&qual, &check)).await;
    }
    harness.finish().await;
}
