//! Every table is under row-level security, whatever a later migration adds.

use postrider_testkit::contract::Harness as _;

use crate::support::PostgresHarness;

#[tokio::test]
async fn every_table_has_row_security_forced_and_belongs_to_the_admin_role() {
    let harness = PostgresHarness::new().await;
    let tables: Vec<(String, bool, String)> = sqlx::query_as(
        "SELECT relname::text, relrowsecurity AND relforcerowsecurity, pg_get_userbyid(relowner)::text FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY relname",
    )
    .fetch_all(&harness.outside)
    .await
    .unwrap();
    assert!(tables.len() >= 22, "{tables:?}");
    for (table, forced, owner) in tables {
        assert!(
            forced,
            "{table} lacks forced row-level security: declare it where the roles are"
        );
        assert_eq!(owner, "postrider_admin", "{table}");
    }
    let without: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
         AND NOT relispartition AND NOT EXISTS (SELECT FROM pg_policies WHERE tablename = relname AND policyname = 'postrider_admin')",
    )
    .fetch_all(&harness.outside)
    .await
    .unwrap();
    assert_eq!(without, [""; 0], "not declared");
    harness.finish().await;
}

/// The login, and whoever else comes along, has no right to anything.
#[tokio::test]
async fn nobody_but_the_roles_has_rights() {
    let harness = PostgresHarness::new().await;
    let others: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT coalesce(r.rolname::text, 'public') FROM (
            SELECT (aclexplode(relacl)).grantee FROM pg_class WHERE relnamespace = 'public'::regnamespace
            UNION SELECT (aclexplode(attacl)).grantee FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
                WHERE c.relnamespace = 'public'::regnamespace
         ) AS granted LEFT JOIN pg_roles r ON r.oid = granted.grantee
         WHERE r.rolname IS NULL OR r.rolname <> ALL (ARRAY[
            'postrider_api', 'postrider_identity', 'postrider_engine', 'postrider_admin'])",
    )
    .fetch_all(&harness.outside)
    .await
    .unwrap();
    assert_eq!(others, [""; 0]);
    let attributes: Vec<(String, bool)> = sqlx::query_as(
        "SELECT rolname::text, rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolcanlogin
         FROM pg_roles WHERE rolname LIKE 'postrider\\_%' AND rolname NOT LIKE 'postrider\\_case%' ORDER BY rolname",
    )
    .fetch_all(&harness.outside)
    .await
    .unwrap();
    let expected = [
        "postrider_admin",
        "postrider_api",
        "postrider_engine",
        "postrider_identity",
    ];
    assert_eq!(attributes, expected.map(|role| (role.to_owned(), false)));
    harness.finish().await;
}
