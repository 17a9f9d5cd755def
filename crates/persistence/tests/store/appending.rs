//! Logs grow at their end, and nowhere else.

use postrider_application::{
    audit::Record,
    ports::{EventLog as _, Repository as _, Store as _, UnitOfWork as _},
};
use postrider_testkit::contract::{Fixture, Harness as _};
use sqlx::AssertSqlSafe;

use crate::{
    on_both,
    outside::Outside,
    support::{PostgresHarness, SqliteHarness},
};

/// On PostgreSQL it is a matter of roles; see there. The erasing of tenants, which may, is in the contract.
#[tokio::test]
async fn nobody_changes_the_audit_log_on_sqlite() {
    let harness = SqliteHarness::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let tx = harness.store().begin(&tenant.scope).await.unwrap();
    tx.commit(tenant.scope.did("something")).await.unwrap();
    let operator = fixture.operator().await;
    let tx = harness.store().begin_as_operator(&operator).await.unwrap();
    tx.commit(operator.did("everything")).await.unwrap();
    for statement in [
        "UPDATE audit_entries SET target = 'nothing' WHERE tenant IS NULL",
        "UPDATE audit_entries SET target = 'nothing' WHERE tenant IS NOT NULL",
        "DELETE FROM audit_entries WHERE tenant IS NULL",
        "DELETE FROM audit_entries WHERE tenant IS NOT NULL",
    ] {
        let refused = sqlx::query(AssertSqlSafe(statement))
            .execute(&harness.outside)
            .await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("only appended to"), "{statement}: {refused}");
    }
    let targets = "SELECT target FROM audit_entries ORDER BY target";
    assert_eq!(harness.texts(targets).await, ["everything", "something"]);
    harness.finish().await;
}

/// More events than one statement takes are all appended, in their order.
async fn a_commit_of_many_events_appends_them_in_order<H: Outside>(harness: &H) {
    const EVENTS: usize = 450;
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let store = harness.store();
    let before = store.head().await.unwrap();
    let mut tx = store.begin(&tenant.scope).await.unwrap();
    let mut expected = Vec::new();
    for nth in 0..EVENTS {
        let mut application = fixture.new_application(&tenant, Some(&format!("number-{nth}")));
        expected.push(postrider_domain::Aggregate::state(&application).id.to_string());
        tx.save(&tenant.scope, &mut application).await.unwrap();
    }
    tx.commit(Record::InHistory).await.unwrap();
    let logged = store.after(before, 1_000).await.unwrap();
    let aggregates: Vec<String> = logged.into_iter().map(|event| event.aggregate).collect();
    assert_eq!(aggregates, expected);
}

on_both! {
    a_commit_of_many_events_appends_them_in_order;
}
