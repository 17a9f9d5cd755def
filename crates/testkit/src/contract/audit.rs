//! The audit log: committed with what it tells of, and shown to the tenant whose it is.

use std::{borrow::Cow, time::Duration};

use postrider_application::{
    audit::{Actor, ActorKind, AuditEntry, AuditOutcome, Record},
    ports::{
        ApplicationViews as _, AuditFilter, AuditViews as _, Repository as _, Store as _, UnitOfWork as _,
    },
};
use postrider_domain::{Aggregate as _, AuditEntryId, TenantId};

use super::{Census, Fixture, Harness, Tenancy, paging::first};

/// An entry with everything that an entry can have.
pub(super) fn entry<H: Harness>(fixture: &Fixture<'_, H>, tenant: TenantId) -> AuditEntry {
    AuditEntry {
        id: AuditEntryId::from_uuid(fixture.uuid()),
        tenant: Some(tenant),
        at: fixture.now(),
        actor: Actor {
            kind: ActorKind::User,
            id: "usr_of_the_case".into(),
        },
        action: Cow::Borrowed("application.create"),
        target: Some("Ünï'çødé \" \\ target".to_owned()),
        outcome: AuditOutcome::Done,
        times: 1,
        address: Some([203, 0, 113, 7].into()),
        request_id: Some("req-1".into()),
    }
}

/// Commits the entry, with nothing else.
pub(super) async fn commit<H: Harness>(fixture: &Fixture<'_, H>, tenant: &Tenancy, entry: &AuditEntry) {
    let tx = fixture.store().begin(&tenant.scope).await.unwrap();
    tx.commit(Record::Entry(Box::new(entry.clone()))).await.unwrap();
}

/// Everything in the tenant's log, the newest first.
pub(super) async fn log<H: Harness>(fixture: &Fixture<'_, H>, tenant: &Tenancy) -> Vec<AuditEntry> {
    let (store, all) = (fixture.store(), AuditFilter::default());
    let page = store.audit_entries(&tenant.scope, &all, first()).await.unwrap();
    page.items
}

/// An entry is there when its change is, and not when that is rolled back.
pub async fn an_entry_is_committed_with_its_change<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let (told, untold) = (entry(&fixture, tenant.id), entry(&fixture, tenant.id));
    let mut application = fixture.new_application(&tenant, None);
    let id = application.state().id;

    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    tx.save(&tenant.scope, &mut application.clone()).await.unwrap();
    drop((tx, Record::Entry(Box::new(untold))));
    assert_eq!(log(&fixture, &tenant).await, []);

    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    tx.save(&tenant.scope, &mut application).await.unwrap();
    tx.commit(Record::Entry(Box::new(told.clone()))).await.unwrap();
    assert_eq!(log(&fixture, &tenant).await, std::slice::from_ref(&told));
    let view = fixture.store().application(&tenant.scope, id).await.unwrap();
    assert!(view.is_some());

    // A change whose entry cannot be written is not made either.
    let mut next = fixture.new_application(&tenant, None);
    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    tx.save(&tenant.scope, &mut next).await.unwrap();
    let refused = tx.commit(Record::Entry(Box::new(told))).await;
    assert!(refused.is_err(), "an id that is taken");
    let view = fixture
        .store()
        .application(&tenant.scope, next.state().id)
        .await
        .unwrap();
    assert_eq!(view, None);
    assert_eq!(log(&fixture, &tenant).await.len(), 1);
}

/// What a scope did is written by persons' and operators' transactions too; the operator's own into nobody's log.
pub async fn every_scope_writes_into_its_own_log<H: Census>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (tenant, other) = (fixture.tenant("acme").await, fixture.tenant("other").await);
    let scope = fixture.scope_of(&tenant.caller).await;
    let person = fixture.person_in(tenant.id, tenant.owner).await;
    let operator = fixture.operator().await;
    let store = fixture.store();
    let before = harness
        .rows(None)
        .await
        .get("audit_entries")
        .copied()
        .unwrap_or(0);

    let tx = store.begin(&scope).await.unwrap();
    tx.commit(scope.did("first")).await.unwrap();
    let tx = store.begin_as_person(&person).await.unwrap();
    tx.commit(person.did("second")).await.unwrap();
    let tx = store.begin_as_operator(&operator).await.unwrap();
    tx.commit(operator.did("third")).await.unwrap();
    let in_tenant = fixture.scope_of(&tenant.caller).await;
    let tx = store.begin_as_operator(&operator).await.unwrap();
    tx.commit(in_tenant.did("fourth")).await.unwrap();

    let entries = log(&fixture, &tenant).await;
    let told: Vec<_> = entries
        .iter()
        .map(|entry| entry.target.as_deref().unwrap())
        .collect();
    assert_eq!(told, ["fourth", "second", "first"]);
    assert!(
        entries
            .iter()
            .all(|entry| *entry.actor.id == *tenant.owner.to_string())
    );
    assert_eq!(log(&fixture, &other).await, []);
    let after = harness.rows(None).await["audit_entries"];
    assert_eq!(after, before + 1);
}

/// A transaction that says that the history tells of it leaves no entry.
pub async fn a_commit_in_history_writes_no_entry<H: Census>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    fixture.application(&tenant).await;
    assert_eq!(log(&fixture, &tenant).await, []);
    for of in [None, Some(tenant.id)] {
        assert_eq!(harness.rows(of).await.get("audit_entries"), None);
    }
}

/// A tenant's transaction writes into no other log, and not into the installation's.
pub async fn an_entry_for_another_log_is_refused<H: Census>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
    let theirs_entry = entry(&fixture, theirs.id);
    let global = AuditEntry {
        tenant: None,
        ..entry(&fixture, ours.id)
    };
    for planted in [theirs_entry, global] {
        let mut application = fixture.new_application(&ours, None);
        let mut tx = fixture.store().begin(&ours.scope).await.unwrap();
        tx.save(&ours.scope, &mut application).await.unwrap();
        let refused = tx.commit(Record::Entry(Box::new(planted))).await;
        assert!(refused.is_err());
        let id = application.state().id;
        let view = fixture.store().application(&ours.scope, id).await.unwrap();
        assert_eq!(view, None);
    }
    for of in [None, Some(ours.id), Some(theirs.id)] {
        assert_eq!(harness.rows(of).await.get("audit_entries"), None);
    }
}

/// An entry survives whole: every kind of actor and address, and without what it need not have.
pub async fn every_entry_survives<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let mut entries: Vec<AuditEntry> = ActorKind::ALL
        .into_iter()
        .map(|kind| AuditEntry {
            actor: Actor {
                kind,
                id: "somebody".into(),
            },
            ..entry(&fixture, tenant.id)
        })
        .collect();
    let id: std::net::Ipv6Addr = "2001:db8::7".parse().unwrap();
    entries.push(AuditEntry {
        address: Some(id.into()),
        outcome: AuditOutcome::Denied,
        ..entry(&fixture, tenant.id)
    });
    entries.push(AuditEntry {
        actor: Actor {
            kind: ActorKind::Anonymous,
            id: "".into(),
        },
        target: None,
        address: None,
        request_id: None,
        ..entry(&fixture, tenant.id)
    });
    for entry in &entries {
        commit(&fixture, &tenant, entry).await;
    }
    entries.reverse();
    assert_eq!(log(&fixture, &tenant).await, entries);
}

/// Denials are appended in batches, with how often; among entries they stand where their ids put them.
pub async fn denials_are_appended_with_their_times<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (tenant, other) = (fixture.tenant("acme").await, fixture.tenant("other").await);
    let denial = |of: &Tenancy, times| AuditEntry {
        outcome: AuditOutcome::Denied,
        times,
        ..entry(&fixture, of.id)
    };
    let earlier = denial(&tenant, 1_000_000);
    let done = entry(&fixture, tenant.id);
    let later = AuditEntry {
        at: fixture.now().plus(Duration::from_secs(1)),
        target: None,
        address: None,
        request_id: None,
        ..denial(&tenant, 1)
    };
    commit(&fixture, &tenant, &done).await;
    let batch = [later.clone(), denial(&other, 7), earlier.clone()];
    let housekeeping = &fixture.ports().housekeeping;
    housekeeping.append_audit(&[]).await.unwrap();
    housekeeping.append_audit(&batch).await.unwrap();
    assert_eq!(log(&fixture, &tenant).await, [later, done, earlier]);
    assert_eq!(log(&fixture, &other).await, [batch[1].clone()]);
}

/// A batch whose answer was lost is appended again, with whatever came in meanwhile: each entry is there once, as it was
/// first written.
pub async fn a_batch_of_denials_may_be_repeated<H: Census>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let of_nobody = AuditEntry {
        tenant: None,
        ..entry(&fixture, tenant.id)
    };
    let batch = [entry(&fixture, tenant.id), of_nobody, entry(&fixture, tenant.id)];
    let housekeeping = &fixture.ports().housekeeping;
    housekeeping.append_audit(&batch).await.unwrap();
    let retold = AuditEntry {
        times: 7,
        target: Some("another".to_owned()),
        ..batch[0].clone()
    };
    let new = entry(&fixture, tenant.id);
    let again = [
        retold,
        batch[1].clone(),
        new.clone(),
        batch[2].clone(),
        new.clone(),
    ];
    for _ in 0..2 {
        housekeeping.append_audit(&again).await.unwrap();
        let [first, _, second] = batch.clone();
        assert_eq!(log(&fixture, &tenant).await, [new.clone(), second, first]);
        assert_eq!(harness.rows(None).await["audit_entries"], 1);
    }
}

/// Denials of tenants that are not there are dropped, and take none of the others with them.
pub async fn denials_of_tenants_that_are_gone_are_dropped<H: Census>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (tenant, going) = (fixture.tenant("acme").await, fixture.tenant("going").await);
    fixture.order_deletion(&going, fixture.now()).await;
    let gone = TenantId::from_uuid(fixture.uuid());
    let kept = entry(&fixture, tenant.id);
    let batch = [entry(&fixture, gone), kept.clone(), entry(&fixture, going.id)];
    let housekeeping = &fixture.ports().housekeeping;
    housekeeping.append_audit(&batch).await.unwrap();
    assert_eq!(log(&fixture, &tenant).await, [kept]);
    for of in [gone, going.id] {
        assert_eq!(harness.rows(Some(of)).await.get("audit_entries"), None);
    }
}
