//! A person's own affairs: themselves and their sessions in any tenant, and nobody else's.

use std::sync::Arc;

use postrider_application::{
    access::PersonScope,
    audit::Record,
    ports::{PersonRepository, Repository as _, Store, StoreError, UnitOfWork as _},
};
use postrider_domain::{
    Aggregate as _, UserId, Version,
    access::Role,
    users::{Email, PasswordHash, SessionEnd},
};

use tokio::{sync::Barrier, task::JoinSet};

use super::{
    Fixture, Harness,
    deleting::{assert_stale, logged},
    members::OTHERS_TURN,
};

#[track_caller]
pub(super) fn assert_fault<T: std::fmt::Debug>(result: &Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::Internal(_))), "{result:?}");
}

fn password(text: &str) -> PasswordHash {
    PasswordHash::from_phc(text.to_owned())
}

/// A person finds themselves and changes their password; a new hash of the same one is no event.
pub async fn a_person_changes_their_password<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let scope = fixture.person_in(tenant.id, tenant.owner).await;
    let head = fixture.ports().events.head().await.unwrap();

    let mut tx = fixture.store().begin_as_person(&scope).await.unwrap();
    let mut me = tx.find_me(&scope).await.unwrap().unwrap();
    assert_eq!((me.state().id, &me.state().email), (tenant.owner, &tenant.email));
    me.change_password(password("$test$new"));
    tx.save_me(&scope, &mut me).await.unwrap();
    tx.commit(Record::InHistory).await.unwrap();
    let changed = ("user.password_changed".to_owned(), tenant.owner.to_string(), 2);
    assert_eq!(logged(&fixture, head).await, [changed]);

    let mut tx = fixture.store().begin_as_person(&scope).await.unwrap();
    let mut me = tx.find_me(&scope).await.unwrap().unwrap();
    me.rehash_password(password("$test$stronger"));
    tx.save_me(&scope, &mut me).await.unwrap();
    tx.commit(Record::InHistory).await.unwrap();
    assert_eq!(logged(&fixture, head).await.len(), 1);
    let found = fixture.ports().identities.user_by_email(&tenant.email).await;
    let found = found.unwrap().unwrap();
    assert_eq!(
        (&found.state().password, found.version()),
        (&password("$test$stronger"), Version(3))
    );
}

/// A person who was changed since they were read is not overwritten.
pub async fn a_person_is_guarded_by_their_version<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let scope = fixture.person_in(tenant.id, tenant.owner).await;
    let mut tx = fixture.store().begin_as_person(&scope).await.unwrap();
    let mut early = tx.find_me(&scope).await.unwrap().unwrap();
    drop(tx);
    let mut late = early.clone();
    early.change_password(password("$test$early"));
    late.change_password(password("$test$late"));

    let mut tx = fixture.store().begin_as_person(&scope).await.unwrap();
    tx.save_me(&scope, &mut early).await.unwrap();
    tx.commit(Record::InHistory).await.unwrap();
    let mut tx = fixture.store().begin_as_person(&scope).await.unwrap();
    assert_stale(&tx.save_me(&scope, &mut late).await);
    drop(tx);
    let found = fixture.ports().identities.user_by_email(&tenant.email).await;
    assert_eq!(found.unwrap().unwrap().state().password, password("$test$early"));
}

/// Reads the person, and then writes what was read with another password.
async fn change<S>(store: S, scope: PersonScope, read: Arc<Barrier>) -> Result<(), StoreError>
where
    S: Store<Tx: PersonRepository>,
{
    let mut tx = store.begin_as_person(&scope).await?;
    let mut me = tx.find_me(&scope).await?.unwrap();
    // The other must not be able to read as well. Whoever lets it lets both go on from here.
    let _ = tokio::time::timeout(OTHERS_TURN, read.wait()).await;
    me.change_password(password("$test$changed"));
    tx.save_me(&scope, &mut me).await?;
    tx.commit(Record::InHistory).await
}

/// Who reads themselves to change something waits for whoever did so before: neither is stale.
pub async fn changes_of_one_person_wait_for_each_other<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let scope = fixture.person_in(tenant.id, tenant.owner).await;
    let (mut racers, read) = (JoinSet::new(), Arc::new(Barrier::new(2)));
    for _ in 0..2 {
        racers.spawn(change(fixture.store().clone(), scope.clone(), read.clone()));
    }
    for result in racers.join_all().await {
        result.unwrap();
    }
    let found = fixture.ports().identities.user_by_email(&tenant.email).await;
    assert_eq!(found.unwrap().unwrap().version(), Version(3));
}

/// A new person is written by the scope that was made for them, and joins in the same transaction.
pub async fn a_new_person_writes_themselves<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let (id, email) = (
        UserId::from_uuid(fixture.uuid()),
        Email::parse("bob@example.com").unwrap(),
    );
    let scope = fixture.person_in(tenant.id, id).await;
    let mut tx = fixture.store().begin_as_person(&scope).await.unwrap();
    assert!(tx.find_me(&scope).await.unwrap().is_none());
    assert!(!tx.am_member(&scope).await.unwrap());
    tx.save_me(&scope, &mut fixture.user(id, &email)).await.unwrap();
    let mut place = fixture.new_membership(&tenant, id, Role::Viewer);
    tx.save(&tenant.scope, &mut place).await.unwrap();
    assert!(tx.am_member(&scope).await.unwrap());
    tx.commit(Record::InHistory).await.unwrap();

    let identities = &fixture.ports().identities;
    let found = identities.user_by_email(&email).await.unwrap().unwrap();
    assert_eq!(found.state().id, id);
    let memberships = identities.memberships(id).await.unwrap();
    assert_eq!(
        memberships.iter().map(|m| m.tenant).collect::<Vec<_>>(),
        [tenant.id]
    );
}

/// Nobody writes another person, in their own transaction or in the other's; nor finds one there.
pub async fn a_person_writes_nobody_else<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (ada, bob) = (fixture.tenant("ada").await, fixture.tenant("bob").await);
    let (as_ada, as_bob) = (
        fixture.person_in(ada.id, ada.owner).await,
        fixture.person_in(ada.id, bob.owner).await,
    );
    let head = fixture.ports().events.head().await.unwrap();
    let mut tx = fixture.store().begin_as_person(&as_bob).await.unwrap();
    let mut victim = tx.find_me(&as_bob).await.unwrap().unwrap();
    drop(tx);
    victim.change_password(password("$test$thief"));

    let mut tx = fixture.store().begin_as_person(&as_ada).await.unwrap();
    assert_fault(&tx.save_me(&as_ada, &mut victim.clone()).await);
    drop(tx);
    let mut tx = fixture.store().begin_as_person(&as_ada).await.unwrap();
    assert_fault(&tx.save_me(&as_bob, &mut victim).await);
    drop(tx);
    let mut tx = fixture.store().begin_as_person(&as_ada).await.unwrap();
    assert_fault(&tx.find_me(&as_bob).await);
    drop(tx);
    let mut tx = fixture.store().begin_as_person(&as_ada).await.unwrap();
    assert_fault(&tx.end_my_sessions(&as_bob, None, SessionEnd::LoggedOut).await);
    drop(tx);

    assert_eq!(logged(&fixture, head).await, []);
    let found = fixture.ports().identities.user_by_email(&bob.email).await;
    assert_eq!(found.unwrap().unwrap().version(), Version(1));
}

/// A person's sessions end in all tenants but for the one that is named, with an event each in its own tenant's
/// name; other people's go on.
pub async fn a_persons_sessions_end_in_all_tenants_but_one<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (here, there) = (fixture.tenant("here").await, fixture.tenant("there").await);
    let bob = fixture.stranger().await;
    for tenant in [&here, &there] {
        fixture.membership(tenant, bob, Role::Viewer).await;
    }
    let kept = fixture.session(&here, bob).await.state().id;
    let ended = [
        fixture.session(&here, bob).await.state().clone(),
        fixture.session(&there, bob).await.state().clone(),
    ];
    let others = [
        fixture.session(&here, here.owner).await.state().id,
        fixture.session(&there, there.owner).await.state().id,
    ];
    let (scope, why) = (fixture.person_in(here.id, bob).await, SessionEnd::PasswordChanged);
    let head = fixture.ports().events.head().await.unwrap();
    let credentials = &fixture.ports().credentials;

    let mut tx = fixture.store().begin_as_person(&scope).await.unwrap();
    assert_eq!(tx.end_my_sessions(&scope, None, why).await.unwrap(), 3);
    drop(tx);
    assert!(credentials.session(kept).await.unwrap().is_some(), "rolled back");

    let mut tx = fixture.store().begin_as_person(&scope).await.unwrap();
    assert_eq!(tx.end_my_sessions(&scope, Some(kept), why).await.unwrap(), 2);
    tx.commit(Record::InHistory).await.unwrap();
    for session in &ended {
        assert_eq!(credentials.session(session.id).await.unwrap(), None);
    }
    for id in [kept, others[0], others[1]] {
        assert!(credentials.session(id).await.unwrap().is_some());
    }
    let events = fixture.ports().events.after(head, 10).await.unwrap();
    assert!(events.iter().all(|event| event.kind == "session.ended"));
    let mut told: Vec<_> = events
        .into_iter()
        .map(|event| (event.aggregate, event.tenant))
        .collect();
    told.sort();
    let mut expected = ended.map(|session| (session.id.to_string(), Some(session.tenant)));
    expected.sort();
    assert_eq!(told, expected);
}

/// What a person ends of another's is nothing, though they name that session.
pub async fn a_person_ends_nobody_elses_sessions<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let bob = fixture.stranger().await;
    fixture.membership(&tenant, bob, Role::Viewer).await;
    let theirs = fixture.session(&tenant, tenant.owner).await.state().id;
    let scope = fixture.person_in(tenant.id, bob).await;
    let mut tx = fixture.store().begin_as_person(&scope).await.unwrap();
    let ended = tx
        .end_my_sessions(&scope, Some(theirs), SessionEnd::LoggedOut)
        .await
        .unwrap();
    tx.commit(Record::InHistory).await.unwrap();
    assert_eq!(ended, 0);
    let credentials = &fixture.ports().credentials;
    assert!(credentials.session(theirs).await.unwrap().is_some());
}
