//! How many endpoints have a longer time-out of their own than a shutdown leaves.

use std::time::Duration;

use postrider_testkit::contract::Fixture;

use crate::{
    on_both,
    outside::Outside,
    support::{PostgresHarness, SqliteHarness},
};

async fn slow_endpoints_are_counted<H: Outside>(harness: &H) {
    let fixture = Fixture::new(harness);
    let database = harness.store().database();
    let slower_than = async |ms| {
        database
            .endpoints_slower_than(Duration::from_millis(ms))
            .await
            .unwrap()
    };
    for name in ["acme", "other"] {
        let tenant = fixture.tenant(name).await;
        let customer = fixture.application(&tenant).await;
        fixture.endpoint(&tenant, &customer).await;
    }
    assert_eq!(slower_than(1).await, 0, "they have none of their own");
    harness.run("UPDATE endpoints SET timeout_ms = 30000").await;
    assert_eq!(slower_than(29_999).await, 2, "of all tenants");
    assert_eq!(slower_than(30_000).await, 0);
    harness
        .run("UPDATE endpoints SET disabled_why = 'manual', disabled_at = 1")
        .await;
    assert_eq!(slower_than(1).await, 0, "nothing is sent to them");
}

on_both! { slow_endpoints_are_counted; }
