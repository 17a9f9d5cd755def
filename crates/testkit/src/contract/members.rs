//! The people of a tenant: who they are, who owns it, and how they go.

use std::{sync::Arc, time::Duration};

use postrider_application::{
    audit::Record,
    ports::{
        InvitationView, MemberRepository as _, MemberView, PrincipalViews as _, Repository, Store as _,
        StoreError, UnitOfWork as _,
    },
};
use postrider_domain::{
    Aggregate as _, MembershipId, Name, Version,
    access::{Grant, Role},
    users::{Email, Invitation, InvitationState, Membership, SessionEnd},
};
use tokio::{sync::Barrier, task::JoinSet};

use super::{
    Fixture, Harness, Tenancy,
    deleting::logged,
    paging::{first, pieces},
};

/// Members and invitations are found by address, in their own tenant.
pub async fn members_and_invitations_are_found_by_address<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
    let bob = Email::parse("bob@example.com").unwrap();
    let mine = fixture.invitation(&ours, "Bob@Example.com").await;
    let other = fixture.invitation(&theirs, "bob@example.com").await;

    for (tenant, invited) in [(&ours, mine), (&theirs, other)] {
        let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
        let found = tx.find_member(&tenant.scope, &tenant.email).await.unwrap();
        assert_eq!(found, Some(tenant.membership));
        assert_eq!(tx.find_member(&tenant.scope, &bob).await.unwrap(), None);
        let found = tx.find_invitation(&tenant.scope, &bob).await.unwrap().unwrap();
        assert_eq!((found.state().id, found.state().tenant), (invited, tenant.id));
        let found = tx.find_invitation(&tenant.scope, &tenant.email).await.unwrap();
        assert!(found.is_none());
    }
    let mut tx = fixture.store().begin(&ours.scope).await.unwrap();
    let found = tx.find_member(&ours.scope, &theirs.email).await.unwrap();
    assert_eq!(found, None, "a member of another tenant");
}

/// An invitation that has expired is found as well: it stands in the way of the next.
pub async fn an_expired_invitation_is_found_by_address<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let long_ago = fixture.ago(Duration::from_hours(48));
    let mut expired = fixture.new_invitation(tenant.id, "bob@example.com", long_ago);
    fixture.save(&tenant.scope, &mut expired).await.unwrap();
    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    let email = &expired.state().email;
    let found = tx.find_invitation(&tenant.scope, email).await.unwrap().unwrap();
    assert_eq!(found.state(), expired.state());
    assert!(found.has_expired(fixture.now()));
}

/// The invitations that somebody issued are found, expired ones too: of this tenant, and of nobody else.
pub async fn invitations_are_found_by_who_issued_them<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
    let (ada, bob) = (ours.owner.to_string(), "operator".to_owned());
    let long_ago = fixture.ago(Duration::from_hours(48));
    let mut expected = Vec::new();
    for (nth, (tenant, inviter, at)) in [
        (&ours, &ada, fixture.now()),
        (&ours, &bob, fixture.now()),
        (&theirs, &ada, fixture.now()),
        (&ours, &ada, long_ago),
    ]
    .into_iter()
    .enumerate()
    {
        let issued = fixture.new_invitation(tenant.id, &format!("guest-{nth}@example.com"), at);
        let state = InvitationState {
            invited_by: inviter.clone(),
            ..issued.state().clone()
        };
        let mut invitation = Invitation::restore(state, Version::default());
        fixture.save(&tenant.scope, &mut invitation).await.unwrap();
        if (tenant.id, inviter) == (ours.id, &ada) {
            expected.push(invitation.state().clone());
        }
    }
    let mut tx = fixture.store().begin(&ours.scope).await.unwrap();
    let found = tx.invitations_by(&ours.scope, &ada).await.unwrap();
    assert!(found.iter().all(|invitation| invitation.version() == Version(1)));
    let mut found: Vec<_> = found
        .iter()
        .map(|invitation| invitation.state().clone())
        .collect();
    found.sort_by_key(|state| state.id);
    assert_eq!(found, expected);
    let others = tx.invitations_by(&ours.scope, &theirs.owner.to_string()).await;
    assert!(others.unwrap().is_empty());
}

/// Owners of the tenant are counted, those of one application not, with what the transaction itself has changed.
pub async fn owners_are_counted_within_their_tenant<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (tenant, other) = (fixture.tenant("acme").await, fixture.tenant("other").await);
    let customer = fixture.application(&tenant).await;
    let many = vec![
        Grant::tenant(Role::Viewer),
        Grant::application(Role::Owner, customer.id),
        Grant::tenant(Role::Owner),
    ];
    for grants in [many, vec![Grant::application(Role::Owner, customer.id)]] {
        let id = MembershipId::from_uuid(fixture.uuid());
        let user = fixture.stranger().await;
        let mut membership = Membership::join(id, tenant.id, user, grants, fixture.now());
        fixture.save(&tenant.scope, &mut membership).await.unwrap();
    }
    let user = fixture.stranger().await;
    fixture.membership(&tenant, user, Role::Admin).await;

    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    assert_eq!(tx.count_owners(&tenant.scope).await.unwrap(), 2);
    let found = Repository::<Membership>::find(&mut tx, &tenant.scope, &tenant.membership).await;
    let mut owner = found.unwrap().unwrap();
    owner.remove(2).unwrap();
    tx.delete(&tenant.scope, owner).await.unwrap();
    assert_eq!(tx.count_owners(&tenant.scope).await.unwrap(), 1);
    drop(tx);
    let mut tx = fixture.store().begin(&other.scope).await.unwrap();
    assert_eq!(tx.count_owners(&other.scope).await.unwrap(), 1);
}

/// How long somebody who holds something gives the other to take it as well: 300 ms. Too short, and a store that does
/// not serialise them may go undetected; never the other way round.
pub(super) const OTHERS_TURN: Duration = Duration::from_millis(300);

/// How somebody stops being an owner.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fall {
    Removed,
    Demoted,
}

/// Takes the ownership from `victim`, unless that leaves none; whether it did.
async fn topple<S>(
    store: S,
    tenant: Tenancy,
    victim: MembershipId,
    fall: Fall,
    counted: Arc<Barrier>,
) -> Result<bool, StoreError>
where
    S: postrider_application::ports::Store<
            Tx: Repository<Membership, Key = MembershipId> + postrider_application::ports::MemberRepository,
        >,
{
    let scope = &tenant.scope;
    let mut tx = store.begin(scope).await?;
    let owners = tx.count_owners(scope).await?;
    // The other must not be able to count as well. Whoever lets it lets both go on from here.
    let _ = tokio::time::timeout(OTHERS_TURN, counted.wait()).await;
    let Some(mut member) = tx.find(scope, &victim).await? else {
        return Ok(false);
    };
    let viewer = vec![Grant::tenant(Role::Viewer)];
    let allowed = match fall {
        Fall::Removed => member.remove(owners).is_ok(),
        Fall::Demoted => member.change_grants(viewer, owners).is_ok(),
    };
    if !allowed {
        return Ok(false);
    }
    match fall {
        Fall::Removed => tx.delete(scope, member).await?,
        Fall::Demoted => tx.save(scope, &mut member).await?,
    }
    tx.commit(Record::InHistory).await?;
    Ok(true)
}

/// Of two owners who take each other's place at the same moment one stays: who counts owners waits for whoever
/// counted before.
pub async fn owners_who_remove_each_other_leave_one<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    for round in 0..3 {
        let tenant = fixture.tenant(&format!("acme-{round}")).await;
        let user = fixture.stranger().await;
        let second = fixture.membership(&tenant, user, Role::Owner).await;
        let (first_fall, second_fall) = match round {
            0 => (Fall::Removed, Fall::Removed),
            1 => (Fall::Demoted, Fall::Removed),
            _ => (Fall::Demoted, Fall::Demoted),
        };
        let (mut racers, counted) = (JoinSet::new(), Arc::new(Barrier::new(2)));
        for (victim, fall) in [(tenant.membership, first_fall), (second, second_fall)] {
            let (store, tenant) = (fixture.store().clone(), tenant.clone());
            racers.spawn(topple(store, tenant, victim, fall, counted.clone()));
        }
        let fell: Vec<bool> = racers.join_all().await.into_iter().map(Result::unwrap).collect();
        assert_eq!(fell.iter().filter(|fell| **fell).count(), 1, "round {round}");
        let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
        assert_eq!(tx.count_owners(&tenant.scope).await.unwrap(), 1, "round {round}");
    }
}

/// A member's sessions end in this tenant, with an event each; other members' go on, and the person's elsewhere.
pub async fn a_members_sessions_end_in_this_tenant_only<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (tenant, elsewhere) = (fixture.tenant("acme").await, fixture.tenant("elsewhere").await);
    let bob = fixture.stranger().await;
    let mut ended = Vec::new();
    let id = fixture.membership(&tenant, bob, Role::Viewer).await;
    fixture.membership(&elsewhere, bob, Role::Viewer).await;
    for _ in 0..3 {
        ended.push(fixture.session(&tenant, bob).await.state().id);
    }
    let going_on = [
        fixture.session(&elsewhere, bob).await.state().id,
        fixture.session(&tenant, tenant.owner).await.state().id,
    ];
    let member: Membership = fixture.find(&tenant.scope, &id).await.unwrap();
    let head = fixture.ports().events.head().await.unwrap();

    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    let why = SessionEnd::MemberRemoved;
    assert_eq!(tx.end_sessions_of(&tenant.scope, &member, why).await.unwrap(), 3);
    drop(tx);
    let credentials = &fixture.ports().credentials;
    assert!(
        credentials.session(ended[0]).await.unwrap().is_some(),
        "rolled back"
    );

    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    assert_eq!(tx.end_sessions_of(&tenant.scope, &member, why).await.unwrap(), 3);
    assert_eq!(tx.end_sessions_of(&tenant.scope, &member, why).await.unwrap(), 0);
    tx.commit(Record::InHistory).await.unwrap();
    for id in &ended {
        assert_eq!(credentials.session(*id).await.unwrap(), None);
    }
    for id in going_on {
        assert!(credentials.session(id).await.unwrap().is_some());
    }
    let mut told = logged(&fixture, head).await;
    told.sort();
    let mut expected: Vec<_> = ended
        .iter()
        .map(|id| ("session.ended".to_owned(), id.to_string(), 2))
        .collect();
    expected.sort();
    assert_eq!(told, expected);
}

/// Members are listed by id, with the person's name and address, in pages and within their tenant; one is shown alone.
pub async fn members_are_listed_in_pages<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (tenant, other) = (fixture.tenant("acme").await, fixture.tenant("other").await);
    let view = |id, user, email: &Email, role, created_at| MemberView {
        id,
        user,
        email: email.clone(),
        name: Name::parse("Ada").unwrap(),
        grants: vec![Grant::tenant(role)],
        created_at,
    };
    let owner: Membership = fixture.find(&tenant.scope, &tenant.membership).await.unwrap();
    let joined = owner.state().created_at;
    let mut expected = vec![view(
        tenant.membership,
        tenant.owner,
        &tenant.email,
        Role::Owner,
        joined,
    )];
    for nth in 0..4 {
        let email = Email::parse(&format!("member-{nth}@example.com")).unwrap();
        let user = fixture.person(&email).await;
        let mut member = fixture.new_membership(&tenant, user, Role::Viewer);
        fixture.save(&tenant.scope, &mut member).await.unwrap();
        let state = member.state();
        expected.push(view(state.id, user, &email, Role::Viewer, state.created_at));
        fixture.membership(&other, user, Role::Admin).await;
    }
    let store = fixture.store();
    let listed = pieces(2, async |page| store.members(&tenant.scope, page).await.unwrap()).await;
    assert_eq!(listed.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    assert_eq!(listed.concat(), expected);
    let whole = store.members(&other.scope, first()).await.unwrap();
    assert_eq!((whole.items.len(), whole.next), (5, None));

    let last = expected.pop().unwrap();
    assert_eq!(
        store.member(&tenant.scope, last.id).await.unwrap(),
        Some(last.clone())
    );
    assert_eq!(store.member(&other.scope, last.id).await.unwrap(), None);
    let unknown = MembershipId::from_uuid(fixture.uuid());
    assert_eq!(store.member(&tenant.scope, unknown).await.unwrap(), None);
}

/// Invitations are listed by id, expired ones too, in pages and within their tenant.
pub async fn invitations_are_listed_in_pages<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (tenant, other) = (fixture.tenant("acme").await, fixture.tenant("other").await);
    let long_ago = fixture.ago(Duration::from_hours(48));
    let mut expected = Vec::new();
    for (nth, at) in [fixture.now(), long_ago, fixture.now(), long_ago]
        .into_iter()
        .enumerate()
    {
        let email = format!("guest-{nth}@example.com");
        let mut invitation = fixture.new_invitation(tenant.id, &email, at);
        fixture.save(&tenant.scope, &mut invitation).await.unwrap();
        fixture.invitation(&other, &email).await;
        let state = invitation.state().clone();
        expected.push(InvitationView {
            id: state.id,
            email: state.email,
            grants: state.grants,
            invited_by: state.invited_by,
            created_at: state.created_at,
            expires_at: state.expires_at,
        });
    }
    let store = fixture.store();
    let listed = pieces(2, async |page| {
        store.invitations(&tenant.scope, page).await.unwrap()
    })
    .await;
    assert_eq!(
        listed.iter().map(Vec::len).collect::<Vec<_>>(),
        [2, 2],
        "no empty page at the end"
    );
    assert_eq!(listed.concat(), expected);
}
