//! Deleting aggregates: guarded like a save, logged like a save, and felt at once.

use postrider_application::{
    audit::Record,
    ports::{LoggedEvent, Repository, Store as _, StoreError, UnitOfWork as _},
};
use postrider_domain::{
    Aggregate as _, Version,
    access::Role,
    api_keys::ApiKey,
    users::{Invitation, Membership, Session, SessionEnd},
};
use tokio::task::JoinSet;

use super::{Fixture, Harness};

/// What was logged after `position`: kind, aggregate and version of each.
pub(super) async fn logged<H: Harness>(
    fixture: &Fixture<'_, H>,
    position: i64,
) -> Vec<(String, String, u32)> {
    let events = fixture.ports().events.after(position, 1_000).await.unwrap();
    let told = |event: LoggedEvent| (event.kind, event.aggregate, event.version);
    events.into_iter().map(told).collect()
}

#[track_caller]
pub(super) fn assert_stale(result: &Result<(), StoreError>) {
    assert!(matches!(result, Err(StoreError::Stale)), "{result:?}");
}

/// What was saved by somebody else since it was read is not deleted, and nothing is logged of it.
pub async fn a_delete_is_guarded_by_the_version<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let session = fixture.session(&tenant, tenant.owner).await;
    let id = session.state().id;
    let read: Session = fixture.find(&tenant.scope, &id).await.unwrap();
    fixture.save(&tenant.scope, &mut read.clone()).await.unwrap();
    let head = fixture.ports().events.head().await.unwrap();

    for version in [Version(0), Version(1), Version(3)] {
        let mut stale = Session::restore(read.state().clone(), version);
        stale.end(SessionEnd::LoggedOut);
        assert_stale(&fixture.delete(&tenant.scope, stale).await);
    }
    assert_eq!(logged(&fixture, head).await, []);
    let mut found: Session = fixture.find(&tenant.scope, &id).await.unwrap();
    assert_eq!(found.version(), Version(2));

    found.end(SessionEnd::LoggedOut);
    fixture.delete(&tenant.scope, found.clone()).await.unwrap();
    assert!(fixture.find::<Session>(&tenant.scope, &id).await.is_none());
    assert_stale(&fixture.delete(&tenant.scope, found).await);
}

/// A deletion says in the log why the aggregate went, under the version after the last.
pub async fn a_delete_is_logged_with_its_change<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let invitation = fixture.invitation(&tenant, "bob@example.com").await;
    let mut withdrawn: Invitation = fixture.find(&tenant.scope, &invitation).await.unwrap();
    withdrawn.withdraw();
    let head = fixture.ports().events.head().await.unwrap();

    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    tx.delete(&tenant.scope, withdrawn.clone()).await.unwrap();
    let within = Repository::<Invitation>::find(&mut tx, &tenant.scope, &invitation).await;
    assert!(within.unwrap().is_none(), "the transaction itself sees it gone");
    drop(tx);
    assert_eq!(logged(&fixture, head).await, []);
    let kept = fixture.find::<Invitation>(&tenant.scope, &invitation).await;
    assert!(kept.is_some(), "rolled back");

    fixture.delete(&tenant.scope, withdrawn).await.unwrap();
    let events = fixture.ports().events.after(head, 10).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(
        (events[0].kind.as_str(), events[0].version),
        ("invitation.withdrawn", 2)
    );
    assert_eq!(
        (&events[0].aggregate, events[0].tenant),
        (&invitation.to_string(), Some(tenant.id))
    );
}

/// Of many who delete one version at the same time, one does; the others are told.
pub async fn racing_deleters_of_one_version_have_one_winner<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let key = fixture.api_key(&tenant).await;
    let mut read: ApiKey = fixture.find(&tenant.scope, &key).await.unwrap();
    read.revoke();
    let head = fixture.ports().events.head().await.unwrap();

    let mut racers = JoinSet::new();
    for _ in 0..8 {
        let (store, scope, mine) = (fixture.store().clone(), tenant.scope.clone(), read.clone());
        racers.spawn(async move {
            let mut tx = store.begin(&scope).await?;
            tx.delete(&scope, mine).await?;
            tokio::task::yield_now().await;
            tx.commit(Record::InHistory).await
        });
    }
    let (won, lost): (Vec<_>, Vec<_>) = racers.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 7));
    for result in &lost {
        assert_stale(result);
    }
    let revoked = ("api_key.revoked".to_owned(), key.to_string(), 2);
    assert_eq!(logged(&fixture, head).await, [revoked]);
}

/// What is deleted makes room for another under the same unique name.
pub async fn what_is_deleted_makes_room_for_another<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let id = fixture.invitation(&tenant, "bob@example.com").await;
    let mut replaced: Invitation = fixture.find(&tenant.scope, &id).await.unwrap();
    replaced.replace();
    let mut next = fixture.new_invitation(tenant.id, "bob@example.com", fixture.now());

    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    tx.delete(&tenant.scope, replaced).await.unwrap();
    tx.save(&tenant.scope, &mut next).await.unwrap();
    tx.commit(Record::InHistory).await.unwrap();

    let identities = &fixture.ports().identities;
    assert!(identities.invitation(id).await.unwrap().is_none());
    assert!(identities.invitation(next.state().id).await.unwrap().is_some());
}

/// A revoked API key is no credential any more.
pub async fn a_deleted_api_key_lets_nobody_in<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let (revoked, other) = (fixture.api_key(&tenant).await, fixture.api_key(&tenant).await);
    let mut key: ApiKey = fixture.find(&tenant.scope, &revoked).await.unwrap();
    key.revoke();
    fixture.delete(&tenant.scope, key).await.unwrap();
    let credentials = &fixture.ports().credentials;
    assert_eq!(credentials.api_key(revoked).await.unwrap(), None);
    assert!(credentials.api_key(other).await.unwrap().is_some());
}

/// An ended session is no credential any more, and cannot be refreshed.
pub async fn a_deleted_session_lets_nobody_in<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let (ended, other) = (
        fixture.session(&tenant, tenant.owner).await.state().id,
        fixture.session(&tenant, tenant.owner).await.state().id,
    );
    let mut session: Session = fixture.find(&tenant.scope, &ended).await.unwrap();
    session.end(SessionEnd::RefreshTokenReused);
    fixture.delete(&tenant.scope, session).await.unwrap();
    let (credentials, identities) = (&fixture.ports().credentials, &fixture.ports().identities);
    assert_eq!(credentials.session(ended).await.unwrap(), None);
    assert_eq!(identities.session_now(ended).await.unwrap(), None);
    assert!(credentials.session(other).await.unwrap().is_some());
}

/// A withdrawn invitation is not found any more.
pub async fn a_deleted_invitation_lets_nobody_in<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let withdrawn = fixture.invitation(&tenant, "bob@example.com").await;
    let other = fixture.invitation(&tenant, "cyd@example.com").await;
    let mut invitation: Invitation = fixture.find(&tenant.scope, &withdrawn).await.unwrap();
    invitation.withdraw();
    fixture.delete(&tenant.scope, invitation).await.unwrap();
    let identities = &fixture.ports().identities;
    assert!(identities.invitation(withdrawn).await.unwrap().is_none());
    assert!(identities.invitation(other).await.unwrap().is_some());
}

/// Who is no member any more is let in by no session, even one that is still stored, and though they own another
/// tenant.
pub async fn a_deleted_membership_lets_nobody_in<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (tenant, elsewhere) = (fixture.tenant("acme").await, fixture.tenant("elsewhere").await);
    let user = elsewhere.owner;
    let id = fixture.membership(&tenant, user, Role::Viewer).await;
    let session = fixture.session(&tenant, user).await.state().id;
    let (credentials, identities) = (&fixture.ports().credentials, &fixture.ports().identities);
    assert!(credentials.session(session).await.unwrap().is_some());

    let mut member: Membership = fixture.find(&tenant.scope, &id).await.unwrap();
    member.remove(1).unwrap();
    fixture.delete(&tenant.scope, member).await.unwrap();
    assert_eq!(credentials.session(session).await.unwrap(), None);
    assert_eq!(identities.session_now(session).await.unwrap(), None);
    let left = identities.memberships(user).await.unwrap();
    let left: Vec<_> = left.iter().map(|membership| membership.tenant).collect();
    assert_eq!(left, [elsewhere.id]);
}
