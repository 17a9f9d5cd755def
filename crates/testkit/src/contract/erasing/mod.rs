//! Erasing a tenant: all of its rows, none of another's, in bounded steps.

mod full;

use std::{collections::BTreeMap, time::Duration};

use postrider_application::ports::{ErasureStep, TenantViews as _};
use postrider_domain::{
    Description, TenantId,
    access::Role,
    event_types::{EventType, EventTypeName},
};
use tokio::task::JoinSet;

use self::full::{TABLES, full};
use super::{Census, Fixture, Harness, people::assert_fault, people_steps::HOUR};

type Rows = BTreeMap<String, u64>;

/// How long erasing waits in the cases: half an hour.
const GRACE: Duration = Duration::from_mins(30);

/// One step with a bound that every table exceeds with its neighbours.
async fn step<H: Harness>(fixture: &Fixture<'_, H>) -> ErasureStep {
    const LIMIT: u32 = 2;
    let erased = fixture.ports().housekeeping.erase(LIMIT, GRACE).await;
    let step = erased.unwrap();
    if let ErasureStep::Removed { rows, .. } = &step {
        assert!(*rows <= u64::from(LIMIT), "{rows} rows in one step");
    }
    step
}

/// Steps until a tenant is erased; which, and what went.
async fn erase<H: Harness>(fixture: &Fixture<'_, H>) -> (TenantId, Rows) {
    for _ in 0..1_000 {
        match step(fixture).await {
            ErasureStep::Erased { tenant, rows } => return (tenant, rows.into_iter().collect()),
            ErasureStep::Removed { .. } | ErasureStep::Busy => {}
            ErasureStep::Nothing => panic!("a tenant is left to erase"),
        }
    }
    panic!("the erasure does not end");
}

fn add(rows: &mut Rows, table: &str, more: u64) {
    *rows.entry(table.to_owned()).or_default() += more;
}

/// All rows of the tenant go, and are counted as somebody counts them who looks from outside; no row of another goes.
/// What stays is that it was. Erasing the other then proves that it was whole.
pub async fn a_tenant_is_erased_to_the_last_row<H: Census>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (ours, theirs) = (full(&fixture, "ours").await, full(&fixture, "theirs").await);
    for erased in [&ours.tenant, &theirs.tenant] {
        let other = if erased.id == ours.tenant.id {
            theirs.tenant.id
        } else {
            ours.tenant.id
        };
        fixture.order_deletion(erased, fixture.ago(HOUR)).await;
        let mut expected = harness.rows(Some(erased.id)).await;
        assert_eq!(expected.keys().collect::<Vec<_>>(), TABLES);
        let (untouched, global) = (harness.rows(Some(other)).await, harness.rows(None).await);
        for table in ["users", "password_resets"] {
            add(&mut expected, table, 2);
        }

        let (tenant, rows) = erase(&fixture).await;
        assert_eq!((tenant, &rows), (erased.id, &expected));
        assert_eq!(harness.rows(Some(erased.id)).await, Rows::new());
        assert_eq!(harness.rows(Some(other)).await, untouched);
        let left = harness.rows(None).await;
        for table in ["users", "password_resets"] {
            let count = |rows: &Rows| rows.get(table).copied().unwrap_or(0);
            assert_eq!(count(&left) + 2, count(&global), "{table}");
        }
        assert_eq!(left["outbox_events"], global["outbox_events"]);
    }
    assert_eq!(step(&fixture).await, ErasureStep::Nothing);
}

/// What stays of a tenant is that it was: since when it was to go, when it was gone, and how much that was.
pub async fn an_erasure_is_on_record<H: Census>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (ours, operator) = (full(&fixture, "ours").await.tenant, fixture.operator().await);
    fixture.order_deletion(&ours, fixture.ago(HOUR)).await;
    let store = fixture.store();
    let state = store
        .tenant_for_operator(&operator, ours.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(store.erasure(&operator, ours.id).await.unwrap(), None);
    step(&fixture).await;
    assert_eq!(
        store.erasure(&operator, ours.id).await.unwrap(),
        None,
        "not done yet"
    );

    let (_, rows) = erase(&fixture).await;
    let record = store.erasure(&operator, ours.id).await.unwrap().unwrap();
    assert_eq!((record.tenant, record.ordered_at), (ours.id, state.status_since));
    assert!(record.erased_at > record.ordered_at);
    assert_eq!(record.rows.into_iter().collect::<Rows>(), rows);
    assert_eq!(harness.rows(None).await["erasures"], 1);
    assert_eq!(store.tenant_for_operator(&operator, ours.id).await.unwrap(), None);
    assert_eq!(store.tenant(&ours.scope).await.unwrap(), None);
}

/// People who are members elsewhere stay, with their places there; those who were nowhere else go, and their
/// address is free. Strangers are nobody's to erase.
pub async fn people_who_are_members_elsewhere_stay<H: Census>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (ours, theirs) = (full(&fixture, "ours").await, full(&fixture, "theirs").await);
    let (shared, stranger) = (fixture.stranger().await, fixture.stranger().await);
    for tenant in [&ours.tenant, &theirs.tenant] {
        fixture.membership(tenant, shared, Role::Developer).await;
        fixture.session(tenant, shared).await;
    }
    fixture.membership(&theirs.tenant, ours.bob, Role::Viewer).await;
    let resets = [
        fixture.password_reset(shared, fixture.now().plus(HOUR)).await,
        fixture.password_reset(stranger, fixture.now().plus(HOUR)).await,
    ];
    fixture.order_deletion(&ours.tenant, fixture.ago(HOUR)).await;
    let before = harness.rows(None).await["users"];
    let (_, rows) = erase(&fixture).await;
    assert_eq!((rows["users"], rows["memberships"]), (1, 3));
    assert_eq!(harness.rows(None).await["users"], before - 1);

    let identities = &fixture.ports().identities;
    for user in [shared, ours.bob] {
        let memberships = identities.memberships(user).await.unwrap();
        let tenants: Vec<_> = memberships.iter().map(|membership| membership.tenant).collect();
        assert_eq!(tenants, [theirs.tenant.id]);
    }
    for reset in resets {
        assert!(identities.password_reset(reset.id).await.unwrap().is_some());
    }
    let email = &ours.tenant.email;
    assert!(identities.user_by_email(email).await.unwrap().is_none());
    fixture.person(email).await;
}

/// Until the grace is over only the queue goes; then the rest.
pub async fn until_the_grace_is_over_only_the_queue_goes<H: Census>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (ours, theirs) = (
        full(&fixture, "ours").await.tenant,
        full(&fixture, "theirs").await.tenant,
    );
    fixture.order_deletion(&ours, fixture.ago(GRACE / 2)).await;
    let (mut expected, global) = (harness.rows(Some(ours.id)).await, harness.rows(None).await);
    let untouched = harness.rows(Some(theirs.id)).await;
    let mut gone = 0;
    for _ in 0..1_000 {
        match step(&fixture).await {
            ErasureStep::Nothing => break,
            ErasureStep::Removed { tenant, rows } => {
                assert_eq!(tenant, ours.id);
                gone += rows;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(step(&fixture).await, ErasureStep::Nothing);
    assert_eq!(expected.remove("outbox_work"), Some(gone));
    assert_eq!(harness.rows(Some(ours.id)).await, expected);
    let left = harness.rows(None).await;
    for table in ["users", "password_resets", "outbox_events"] {
        assert_eq!(left[table], global[table]);
    }
    assert_eq!(harness.rows(Some(theirs.id)).await, untouched);

    let housekeeping = &fixture.ports().housekeeping;
    for _ in 0..1_000 {
        let erased = housekeeping.erase(2, Duration::ZERO).await;
        if let ErasureStep::Erased { .. } = erased.unwrap() {
            break;
        }
    }
    assert_eq!(harness.rows(Some(ours.id)).await, Rows::new());
    assert_eq!(harness.rows(Some(theirs.id)).await, untouched);
}

/// A tenant that is active or suspended is not touched.
pub async fn only_tenants_to_be_deleted_are_erased<H: Census>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (active, suspended) = (
        full(&fixture, "active").await.tenant,
        full(&fixture, "suspended").await.tenant,
    );
    fixture.suspend(&suspended, fixture.ago(HOUR)).await;
    let before = [
        harness.rows(Some(active.id)).await,
        harness.rows(Some(suspended.id)).await,
    ];
    assert_eq!(step(&fixture).await, ErasureStep::Nothing);
    let after = [
        harness.rows(Some(active.id)).await,
        harness.rows(Some(suspended.id)).await,
    ];
    assert_eq!(after, before);
}

/// Of several nodes that erase at the same time each row is removed once, and one finishes.
pub async fn racing_erasers_erase_once<H: Census>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (ours, theirs) = (
        full(&fixture, "ours").await.tenant,
        full(&fixture, "theirs").await.tenant,
    );
    fixture.order_deletion(&ours, fixture.ago(HOUR)).await;
    let mut expected = harness.rows(Some(ours.id)).await;
    for table in ["users", "password_resets"] {
        add(&mut expected, table, 2);
    }
    let untouched = harness.rows(Some(theirs.id)).await;
    let mut racers = JoinSet::new();
    for _ in 0..3 {
        let housekeeping = fixture.ports().housekeeping.clone();
        racers.spawn(async move {
            let mut finished = Vec::new();
            loop {
                match housekeeping.erase(2, GRACE).await.unwrap() {
                    ErasureStep::Nothing => return finished,
                    ErasureStep::Erased { rows, .. } => finished.push(rows),
                    ErasureStep::Removed { .. } | ErasureStep::Busy => tokio::task::yield_now().await,
                }
            }
        });
    }
    let racers = racers.join_all();
    let finished = tokio::time::timeout(Duration::from_mins(2), racers)
        .await
        .expect("it ends")
        .concat();
    assert_eq!(finished.len(), 1);
    assert_eq!(finished.into_iter().flatten().collect::<Rows>(), expected);
    assert_eq!(harness.rows(Some(ours.id)).await, Rows::new());
    assert_eq!(harness.rows(Some(theirs.id)).await, untouched);
}

/// What is saved behind the eraser, by whoever was let in just before, is found and goes as well.
pub async fn what_comes_in_behind_the_eraser_goes_as_well<H: Census>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = full(&fixture, "acme").await.tenant;
    fixture.order_deletion(&tenant, fixture.ago(HOUR)).await;
    let mut late = Vec::new();
    for nth in 0..1_000 {
        if let ErasureStep::Erased { .. } = step(&fixture).await {
            break;
        }
        // Now and then, as long as the tenant's own row is there.
        if nth % 4 == 0 && late.len() < 5 {
            let mut application = fixture.new_application(&tenant, None);
            late.push(fixture.save(&tenant.scope, &mut application).await.is_ok());
        }
    }
    assert!(late.contains(&true), "something came in late");
    assert_eq!(harness.rows(Some(tenant.id)).await, Rows::new());
}

/// Once it is gone nothing of it is saved any more, by whoever was let in long before; nor of a person who went with it.
pub async fn nothing_is_saved_of_a_tenant_that_is_gone<H: Census>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (gone, other) = (full(&fixture, "gone").await, fixture.tenant("other").await);
    fixture.order_deletion(&gone.tenant, fixture.ago(HOUR)).await;
    let (bob, gone) = (gone.bob, gone.tenant);
    erase(&fixture).await;
    let head = fixture.ports().events.head().await.unwrap();

    let scope = &gone.scope;
    let mut application = fixture.new_application(&gone, None);
    assert_fault(&fixture.save(scope, &mut application).await);
    let mut membership = fixture.new_membership(&gone, other.owner, Role::Viewer);
    assert_fault(&fixture.save(scope, &mut membership).await);
    let mut session = fixture.new_session(gone.id, other.owner, fixture.now());
    assert_fault(&fixture.save(scope, &mut session).await);
    let mut invitation = fixture.new_invitation(gone.id, "late@example.com", fixture.now());
    assert_fault(&fixture.save(scope, &mut invitation).await);
    let name = EventTypeName::parse("invoice.paid").unwrap();
    let mut event_type = EventType::register(gone.id, name, Description::default(), fixture.now());
    assert_fault(&fixture.save(scope, &mut event_type).await);
    let mut membership = fixture.new_membership(&other, bob, Role::Viewer);
    assert_fault(&fixture.save(&other.scope, &mut membership).await);
    let mut session = fixture.new_session(other.id, bob, fixture.now());
    assert_fault(&fixture.save(&other.scope, &mut session).await);

    assert_eq!(harness.rows(Some(gone.id)).await, Rows::new());
    assert_eq!(fixture.ports().events.head().await.unwrap(), head);
}

/// What the queue held becomes history while the eraser is at it: attempts, and new rows of the queue in their place.
/// Nothing of it is left.
pub async fn what_settles_behind_the_eraser_goes_as_well<H: Census>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = full(&fixture, "acme").await.tenant;
    let customer = fixture.application(&tenant).await;
    let endpoint = fixture.endpoint(&tenant, &customer).await;
    let node = fixture.node().await;
    let mut held = Vec::new();
    for _ in 0..12 {
        held.push(fixture.delivery(node, &customer, endpoint).await);
    }
    fixture.order_deletion(&tenant, fixture.ago(HOUR)).await;
    let mut settled = 0;
    for _ in 0..1_000 {
        // The youngest first: the eraser begins with the oldest.
        if let Some((message, work)) = held.pop() {
            let (failed, _) = fixture.failed(message, endpoint);
            settled += u32::from(fixture.settle(node, work, failed).await);
        }
        if let ErasureStep::Erased { .. } = step(&fixture).await {
            break;
        }
    }
    assert!(settled > 1 && held.is_empty(), "{settled} settled");
    assert_eq!(harness.rows(Some(tenant.id)).await, Rows::new());
}
