//! What is good once: invitations, password resets, refresh tokens.

use postrider_application::{
    access::PersonScope,
    audit::Record,
    ports::{PersonRepository, PrincipalViews as _, Repository, Store, StoreError, UnitOfWork as _},
};
use postrider_domain::{
    Aggregate as _, InvitationId, MembershipId, PasswordResetId, SessionId, Timestamp,
    access::Role,
    tokens::SecretHash,
    users::{Invitation, Membership, Refresh, Session},
};
use tokio::task::JoinSet;

use super::{
    Fixture, Harness, Tenancy,
    deleting::assert_stale,
    paging::first,
    people_steps::{HOUR, LIFETIME, hashes},
};

/// Accepts the invitation as the person of `scope`; whether it was still there.
async fn accept<S>(
    store: S,
    tenant: Tenancy,
    scope: PersonScope,
    id: InvitationId,
    mut place: Membership,
    at: Timestamp,
) -> Result<bool, StoreError>
where
    S: Store<
        Tx: Repository<Invitation, Key = InvitationId>
                + Repository<Membership, Key = MembershipId>
                + PersonRepository,
    >,
{
    let mut tx = store.begin_as_person(&scope).await?;
    let found = Repository::<Invitation>::find(&mut tx, &tenant.scope, &id).await?;
    let Some(mut invitation) = found else {
        return Ok(false);
    };
    invitation.accept(SecretHash([3; 32]), at).unwrap();
    tokio::task::yield_now().await;
    tx.delete(&tenant.scope, invitation).await?;
    tx.save(&tenant.scope, &mut place).await?;
    tx.commit(Record::InHistory).await?;
    Ok(true)
}

/// Of many people who accept one invitation at the same moment, one comes in.
pub async fn racing_acceptors_of_an_invitation_have_one_winner<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let id = fixture.invitation(&tenant, "bob@example.com").await;
    let mut racers = JoinSet::new();
    for _ in 0..8 {
        let user = fixture.stranger().await;
        let scope = fixture.person_in(tenant.id, user).await;
        let place = fixture.new_membership(&tenant, user, Role::Viewer);
        let store = fixture.store().clone();
        racers.spawn(accept(store, tenant.clone(), scope, id, place, fixture.now()));
    }
    let mut winners = 0;
    for result in racers.join_all().await {
        match result {
            Ok(true) => winners += 1,
            Ok(false) | Err(StoreError::Stale) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(winners, 1);
    let members = fixture.store().members(&tenant.scope, first()).await.unwrap();
    assert_eq!(members.items.len(), 2, "the owner, and the one who was first");
    let identities = &fixture.ports().identities;
    assert!(identities.invitation(id).await.unwrap().is_none());
}

/// Takes the reset as the person of `scope`; whether it was there.
async fn take<S>(store: S, scope: PersonScope, id: PasswordResetId) -> bool
where
    S: Store<Tx: PersonRepository>,
{
    let mut tx = store.begin_as_person(&scope).await.unwrap();
    let taken = tx.take_password_reset(&scope, id).await.unwrap();
    tokio::task::yield_now().await;
    tx.commit(Record::InHistory).await.unwrap();
    taken
}

/// A password reset is found until it is used; of many who use it at the same moment, one does.
pub async fn racing_takers_of_a_password_reset_have_one_winner<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let reset = fixture
        .password_reset(tenant.owner, fixture.now().plus(HOUR))
        .await;
    let identities = &fixture.ports().identities;
    assert_eq!(
        identities.password_reset(reset.id).await.unwrap().as_ref(),
        Some(&reset)
    );
    let scope = fixture.person_in(tenant.id, tenant.owner).await;

    let mut tx = fixture.store().begin_as_person(&scope).await.unwrap();
    assert!(tx.take_password_reset(&scope, reset.id).await.unwrap());
    assert!(!tx.take_password_reset(&scope, reset.id).await.unwrap());
    drop(tx);
    let kept = identities.password_reset(reset.id).await.unwrap();
    assert_eq!(kept, Some(reset.clone()), "rolled back");

    let mut racers = JoinSet::new();
    for _ in 0..8 {
        racers.spawn(take(fixture.store().clone(), scope.clone(), reset.id));
    }
    let taken = racers.join_all().await;
    assert_eq!(taken.iter().filter(|taken| **taken).count(), 1, "{taken:?}");
    assert_eq!(identities.password_reset(reset.id).await.unwrap(), None);
}

/// A newer reset takes the place of an earlier one; others' stay.
pub async fn a_newer_password_reset_replaces_the_earlier<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (tenant, other) = (fixture.tenant("acme").await, fixture.tenant("other").await);
    let good_until = fixture.now().plus(HOUR);
    let earlier = fixture.password_reset(tenant.owner, good_until).await;
    let others = fixture.password_reset(other.owner, good_until).await;
    let newer = fixture.password_reset(tenant.owner, good_until).await;

    let identities = &fixture.ports().identities;
    assert_eq!(identities.password_reset(earlier.id).await.unwrap(), None);
    for reset in [&newer, &others] {
        let found = identities.password_reset(reset.id).await.unwrap();
        assert_eq!(found.as_ref(), Some(reset));
    }
    let scope = fixture.person_in(tenant.id, tenant.owner).await;
    let store = || fixture.store().clone();
    assert!(!take(store(), scope.clone(), earlier.id).await);
    assert!(!take(store(), scope.clone(), others.id).await, "another person's");
    assert!(identities.password_reset(others.id).await.unwrap().is_some());
    assert!(take(store(), scope, newer.id).await);
}

/// All that a person has of password resets goes when they say so, and nobody else's.
pub async fn a_person_forgets_their_password_resets<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (tenant, other) = (fixture.tenant("acme").await, fixture.tenant("other").await);
    let good_until = fixture.now().plus(HOUR);
    let mine = fixture.password_reset(tenant.owner, good_until).await;
    let others = fixture.password_reset(other.owner, good_until).await;
    let scope = fixture.person_in(tenant.id, tenant.owner).await;
    let identities = &fixture.ports().identities;

    let mut tx = fixture.store().begin_as_person(&scope).await.unwrap();
    tx.forget_password_resets(&scope).await.unwrap();
    assert!(!tx.take_password_reset(&scope, mine.id).await.unwrap());
    drop(tx);
    let kept = identities.password_reset(mine.id).await.unwrap();
    assert!(kept.is_some(), "rolled back");

    // Once more, when there is nothing left.
    for _ in 0..2 {
        let mut tx = fixture.store().begin_as_person(&scope).await.unwrap();
        tx.forget_password_resets(&scope).await.unwrap();
        tx.commit(Record::InHistory).await.unwrap();
    }
    assert_eq!(identities.password_reset(mine.id).await.unwrap(), None);
    assert_eq!(
        identities.password_reset(others.id).await.unwrap(),
        Some(others.clone())
    );
    let them = fixture.person_in(other.id, other.owner).await;
    let mut tx = fixture.store().begin_as_person(&scope).await.unwrap();
    assert!(tx.forget_password_resets(&them).await.is_err());
    drop(tx);
    assert!(identities.password_reset(others.id).await.unwrap().is_some());
}

/// Exchanges the session's first refresh token for a second one.
async fn refresh<S>(
    store: S,
    tenant: Tenancy,
    scope: PersonScope,
    read: Session,
    at: Timestamp,
    next: u8,
) -> Result<(), StoreError>
where
    S: Store<Tx: Repository<Session, Key = SessionId>>,
{
    let mut mine = read;
    let rotated = mine.refresh(hashes(1, 1), SecretHash([next; 32]), at, LIFETIME.idle);
    assert_eq!(rotated, Refresh::Rotated);
    let mut tx = store.begin_as_person(&scope).await?;
    tx.save(&tenant.scope, &mut mine).await?;
    tokio::task::yield_now().await;
    tx.commit(Record::InHistory).await
}

/// Of many who exchange one refresh token at the same moment, one does; the stored one is the winner's, and no
/// event tells of it.
pub async fn racing_refreshes_of_one_token_have_one_winner<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let id = fixture.session(&tenant, tenant.owner).await.state().id;
    let read: Session = fixture.find(&tenant.scope, &id).await.unwrap();
    let scope = fixture.person_in(tenant.id, tenant.owner).await;
    let head = fixture.ports().events.head().await.unwrap();

    let mut racers = JoinSet::new();
    for next in 2..10 {
        let (store, read, at) = (fixture.store().clone(), read.clone(), fixture.now());
        let (tenant, scope) = (tenant.clone(), scope.clone());
        racers.spawn(async move { (next, refresh(store, tenant, scope, read, at, next).await) });
    }
    let (won, lost): (Vec<_>, Vec<_>) = racers
        .join_all()
        .await
        .into_iter()
        .partition(|(_, result)| result.is_ok());
    assert_eq!((won.len(), lost.len()), (1, 7));
    for (_, result) in &lost {
        assert_stale(result);
    }
    let stored: Session = fixture.find(&tenant.scope, &id).await.unwrap();
    assert_eq!(stored.state().refresh, hashes(1, won[0].0));
    assert_eq!(stored.version(), read.version().next());
    assert_eq!(fixture.ports().events.head().await.unwrap(), head);
}

/// A rotated refresh token survives with its new time, and the session's end stays.
pub async fn a_refreshed_session_survives<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let opened = fixture.session(&tenant, tenant.owner).await;
    let id = opened.state().id;
    let mut session: Session = fixture.find(&tenant.scope, &id).await.unwrap();
    let later = fixture.now().plus(LIFETIME.idle / 2);
    let rotated = session.refresh(hashes(1, 1), SecretHash([2; 32]), later, LIFETIME.idle);
    assert_eq!(rotated, Refresh::Rotated);
    fixture.save(&tenant.scope, &mut session).await.unwrap();
    let found: Session = fixture.find(&tenant.scope, &id).await.unwrap();
    assert_eq!(found.state(), session.state());
    assert!(found.state().refresh_expires_at > opened.state().refresh_expires_at);
    assert_eq!(found.state().expires_at, opened.state().expires_at);
}
