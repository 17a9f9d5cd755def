//! The uniqueness rules, each by its name.

use postrider_application::{
    audit::Record,
    ports::{Repository as _, Store as _, StoreError, UniqueRule, UnitOfWork as _, UserRepository as _},
};
use postrider_domain::{
    Description, MembershipId, UserId,
    access::{Grant, Role},
    event_types::{EventType, EventTypeName},
    users::Membership,
};
use tokio::task::JoinSet;

use super::{Fixture, Harness};

#[track_caller]
fn assert_refused(result: Result<(), StoreError>, rule: UniqueRule) {
    match result {
        Err(StoreError::Conflict(by)) => assert_eq!(by, rule),
        other => panic!("{rule:?} should have refused it: {other:?}"),
    }
}

/// An application's uid is unique in its tenant; several may have none.
pub async fn an_application_uid_is_unique_within_its_tenant<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
    fixture.application_named(&ours, Some("customer")).await;
    fixture.application_named(&theirs, Some("customer")).await;
    fixture.application_named(&ours, Some("Customer")).await;
    for _ in 0..2 {
        fixture.application_named(&ours, None).await;
    }
    let mut again = fixture.new_application(&ours, Some("customer"));
    assert_refused(
        fixture.save(&ours.scope, &mut again).await,
        UniqueRule::ApplicationUid,
    );
}

/// An endpoint's uid is unique in its application; several may have none.
pub async fn an_endpoint_uid_is_unique_within_its_application<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let (customer, other) = (
        fixture.application(&tenant).await,
        fixture.application(&tenant).await,
    );
    for (application, uid) in [
        (customer.id, Some("hook")),
        (other.id, Some("hook")),
        (customer.id, None),
        (customer.id, None),
    ] {
        let mut endpoint = fixture.new_endpoint(&tenant, application, uid);
        fixture.save(&tenant.scope, &mut endpoint).await.unwrap();
    }
    let mut again = fixture.new_endpoint(&tenant, customer.id, Some("hook"));
    assert_refused(
        fixture.save(&tenant.scope, &mut again).await,
        UniqueRule::EndpointUid,
    );
}

/// An event type's name is unique in its tenant.
pub async fn an_event_type_name_is_unique_within_its_tenant<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
    let name = EventTypeName::parse("invoice.paid").unwrap();
    let new = |tenant| EventType::register(tenant, name.clone(), Description::default(), fixture.now());
    fixture.save(&ours.scope, &mut new(ours.id)).await.unwrap();
    fixture.save(&theirs.scope, &mut new(theirs.id)).await.unwrap();
    let again = fixture.save(&ours.scope, &mut new(ours.id)).await;
    assert_refused(again, UniqueRule::EventTypeName);
}

/// A person is a member of a tenant once.
pub async fn a_person_is_a_member_once<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
    let new = |tenant| {
        let (id, grants) = (
            MembershipId::from_uuid(fixture.uuid()),
            vec![Grant::tenant(Role::Viewer)],
        );
        Membership::join(id, tenant, ours.owner, grants, fixture.now())
    };
    fixture.save(&theirs.scope, &mut new(theirs.id)).await.unwrap();
    assert_refused(
        fixture.save(&ours.scope, &mut new(ours.id)).await,
        UniqueRule::Membership,
    );
}

/// An address is invited to a tenant once, and to several tenants.
pub async fn an_address_is_invited_once_within_a_tenant<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
    fixture.invitation(&ours, "bob@example.com").await;
    fixture.invitation(&theirs, "bob@example.com").await;
    fixture.invitation(&ours, "cyd@example.com").await;
    let mut again = fixture.new_invitation(ours.id, "BOB@example.com", fixture.now());
    assert_refused(
        fixture.save(&ours.scope, &mut again).await,
        UniqueRule::Invitation,
    );
}

/// One person an address, in the whole installation.
pub async fn an_email_is_one_persons<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (operator, tenant) = (fixture.operator().await, fixture.tenant("acme").await);
    let mut again = fixture.user(UserId::from_uuid(fixture.uuid()), &tenant.email);
    let mut tx = fixture.store().begin_as_operator(&operator).await.unwrap();
    assert_refused(tx.save_user(&operator, &mut again).await, UniqueRule::UserEmail);
}

/// Of many who create one uid at the same time, one wins; the others are told by the rule's name.
pub async fn racing_creators_of_one_uid_have_one_winner<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let mut racers = JoinSet::new();
    for _ in 0..8 {
        let (store, scope) = (fixture.store().clone(), tenant.scope.clone());
        let mut application = fixture.new_application(&tenant, Some("customer"));
        racers.spawn(async move {
            let mut tx = store.begin(&scope).await?;
            tx.save(&scope, &mut application).await?;
            tokio::task::yield_now().await;
            tx.commit(Record::InHistory).await
        });
    }
    let (won, lost): (Vec<_>, Vec<_>) = racers.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 7));
    for result in lost {
        assert_refused(result, UniqueRule::ApplicationUid);
    }
}
