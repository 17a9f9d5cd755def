//! A page of the audit log looks at so much, and says where to go on.

use std::{borrow::Cow, sync::Arc};

use postrider_application::{
    audit::{Actor, ActorKind, AuditEntry, AuditOutcome},
    ports::{AuditFilter, AuditViews as _, Housekeeping as _, PageRequest, Start},
};
use postrider_domain::AuditEntryId;
use postrider_testkit::contract::Fixture;
use uuid::Uuid;

use crate::{
    on_both,
    outside::Outside,
    support::{PostgresHarness, SqliteHarness},
};

/// As many as are looked at for a page.
const OTHERS: u128 = 10_000;

async fn a_rare_action_is_found_page_by_page<O: Outside>(harness: &O) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let entry = |n: u128, action: &'static str| AuditEntry {
        id: AuditEntryId::from_uuid(Uuid::from_u128(n)),
        tenant: Some(tenant.id),
        at: fixture.now(),
        actor: Actor {
            kind: ActorKind::System,
            id: Arc::from("a test"),
        },
        action: Cow::Borrowed(action),
        target: None,
        outcome: AuditOutcome::Done,
        times: 1,
        address: None,
        request_id: None,
    };
    let rare = entry(1, "tests.rare");
    let entries: Vec<AuditEntry> = std::iter::once(rare.clone())
        .chain((0..OTHERS).map(|n| entry(2 + n, "tests.usual")))
        .collect();
    for batch in entries.chunks(1_000) {
        harness.store().append_audit(batch).await.unwrap();
    }
    let store = harness.store();
    let page = async |filter: &AuditFilter, start| {
        let page = PageRequest { start, limit: 5 };
        store.audit_entries(&tenant.scope, filter, page).await.unwrap()
    };
    for actor in [None, Some("a test".to_owned())] {
        let filter = AuditFilter {
            action: Some("tests.rare".to_owned()),
            actor,
            ..AuditFilter::default()
        };
        let (mut start, mut pages) = (Start::Beginning, Vec::new());
        loop {
            let found = page(&filter, start).await;
            pages.push(found.items);
            let Some(next) = found.next else { break };
            start = Start::After(next);
        }
        assert!(pages.len() > 1, "nothing was left for another page");
        let (last, before) = pages.split_last().unwrap();
        assert_eq!(last.as_slice(), std::slice::from_ref(&rare));
        assert!(before.iter().all(Vec::is_empty));
        // Backwards from there: none, and where to go on.
        let found = page(&filter, Start::Before(rare.id)).await;
        assert!(found.items.is_empty());
        assert_eq!(
            found.prev,
            Some(AuditEntryId::from_uuid(Uuid::from_u128(1 + OTHERS)))
        );
    }
    // Without such a filter nothing is looked at in vain.
    let found = page(
        &AuditFilter::default(),
        Start::After(AuditEntryId::from_uuid(Uuid::from_u128(3))),
    )
    .await;
    assert_eq!(found.items.len(), 2);
    assert_eq!(found.next, None);
}

on_both! { a_rare_action_is_found_page_by_page; }
