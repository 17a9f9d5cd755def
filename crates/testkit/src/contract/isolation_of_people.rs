//! No tenant reaches another's people, machines and log; no person reaches into a tenant but the one they act in.

use postrider_application::ports::{
    ApplicationViews as _, AuditFilter, AuditViews as _, MemberRepository as _, PersonRepository as _,
    PrincipalViews as _, Repository, Store as _, StoreError, TenantViews as _, UnitOfWork as _,
    UserRepository as _,
};
use postrider_domain::{
    Aggregate, SessionId,
    access::{Role, Visibility},
    api_keys::{ApiKey, ApiKeyState},
    users::{
        Email, Invitation, InvitationState, Membership, MembershipState, PasswordHash, Session, SessionEnd,
        SessionState,
    },
};

use super::{
    Fixture, Harness, Tenancy,
    deleting::{assert_stale, logged},
    fixture::Tx,
    paging::first,
    people::assert_fault,
};

async fn two<H: Harness>(fixture: &Fixture<'_, H>) -> (Tenancy, Tenancy) {
    (fixture.tenant("ours").await, fixture.tenant("theirs").await)
}

/// Every list and view of people, machines, applications and the audit log shows nothing of another tenant.
pub async fn lists_show_nothing_of_another_tenant<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let ((ours, theirs), store) = (two(&fixture).await, fixture.store());
    fixture.api_key(&theirs).await;
    fixture.invitation(&theirs, "bob@example.com").await;
    let application = fixture.application(&theirs).await.id;
    let scope = fixture.scope_of(&theirs.caller).await;
    let tx = store.begin(&scope).await.unwrap();
    tx.commit(scope.did("something")).await.unwrap();
    let audit = AuditFilter::default();
    let theirs_only = Visibility::Only(vec![application]);

    for (tenant, shown) in [(&theirs, 1), (&ours, 0)] {
        let scope = &tenant.scope;
        let members = store.members(scope, first()).await.unwrap().items;
        assert!(members.iter().all(|member| member.user == tenant.owner));
        assert_eq!(members.len(), 1);
        let member = store.member(scope, theirs.membership).await.unwrap();
        assert_eq!(member.is_some(), shown == 1);
        let lengths = [
            store.invitations(scope, first()).await.unwrap().items.len(),
            store.api_keys(scope, first()).await.unwrap().items.len(),
            store
                .audit_entries(scope, &audit, first())
                .await
                .unwrap()
                .items
                .len(),
            store
                .applications(scope, &Visibility::All, first())
                .await
                .unwrap()
                .items
                .len(),
            store
                .applications(scope, &theirs_only, first())
                .await
                .unwrap()
                .items
                .len(),
        ];
        assert_eq!(lengths, [shown; 5]);
        let itself = store.tenant(scope).await.unwrap().unwrap();
        assert_eq!(itself.value.id, tenant.id);
    }
}

/// Nobody finds, counts or ends anything of another tenant by its members' addresses or ids.
pub async fn another_tenants_members_are_out_of_reach<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (ours, theirs) = two(&fixture).await;
    let guest = Email::parse("bob@example.com").unwrap();
    fixture.invitation(&theirs, guest.as_str()).await;
    fixture.membership(&theirs, ours.owner, Role::Owner).await;
    let session = fixture.session(&theirs, theirs.owner).await.state().id;
    let member: Membership = fixture.find(&theirs.scope, &theirs.membership).await.unwrap();
    let store = fixture.store();

    let mut tx = store.begin(&ours.scope).await.unwrap();
    assert_eq!(tx.find_member(&ours.scope, &theirs.email).await.unwrap(), None);
    assert!(tx.find_invitation(&ours.scope, &guest).await.unwrap().is_none());
    assert_eq!(tx.count_owners(&ours.scope).await.unwrap(), 1);
    let ended = tx
        .end_sessions_of(&ours.scope, &member, SessionEnd::MemberRemoved)
        .await;
    // A membership of another tenant ends nothing, whether it is refused or not found.
    assert!(matches!(ended, Ok(0) | Err(StoreError::Internal(_))), "{ended:?}");
    drop(tx);

    // Our transaction, their scope.
    let mut tx = store.begin(&ours.scope).await.unwrap();
    assert!(!matches!(
        tx.find_member(&theirs.scope, &theirs.email).await,
        Ok(Some(_))
    ));
    drop(tx);
    let mut tx = store.begin(&ours.scope).await.unwrap();
    assert!(!matches!(
        tx.find_invitation(&theirs.scope, &guest).await,
        Ok(Some(_))
    ));
    drop(tx);
    let mut tx = store.begin(&ours.scope).await.unwrap();
    assert!(!matches!(tx.count_owners(&theirs.scope).await, Ok(1..)));
    drop(tx);
    let mut tx = store.begin(&ours.scope).await.unwrap();
    let ended = tx
        .end_sessions_of(&theirs.scope, &member, SessionEnd::MemberRemoved)
        .await;
    assert_fault(&ended);
    drop(tx);
    let credentials = &fixture.ports().credentials;
    assert!(credentials.session(session).await.unwrap().is_some());
}

/// Deleting another tenant's aggregate is refused, in our transaction and in theirs; one that pretends to be ours is
/// not there to be deleted or saved.
async fn stays<H, A>(
    fixture: &Fixture<'_, H>,
    ours: &Tenancy,
    theirs: &Tenancy,
    key: &<Tx<H> as Repository<A>>::Key,
    pretend: impl Fn(&A::State) -> A::State,
) where
    H: Harness,
    A: Aggregate + Clone,
    Tx<H>: Repository<A>,
{
    let head = fixture.ports().events.head().await.unwrap();
    let found: A = fixture.find(&theirs.scope, key).await.unwrap();
    assert_fault(&fixture.delete(&ours.scope, found.clone()).await);
    let mut tx = fixture.store().begin(&ours.scope).await.unwrap();
    assert_fault(&tx.delete(&theirs.scope, found.clone()).await);
    drop(tx);
    let mut forged = A::restore(pretend(found.state()), found.version());
    assert_stale(&fixture.delete(&ours.scope, forged.clone()).await);
    assert_stale(&fixture.save(&ours.scope, &mut forged).await);

    assert_eq!(logged(fixture, head).await, []);
    let kept: A = fixture.find(&theirs.scope, key).await.unwrap();
    assert_eq!(kept.version(), found.version());
}

/// No aggregate of another tenant is deleted, nor changed by pretending that it is ours.
pub async fn an_aggregate_of_another_tenant_is_not_deleted<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (ours, theirs) = two(&fixture).await;
    let tenant = ours.id;
    let invitation = fixture.invitation(&theirs, "bob@example.com").await;
    stays::<H, Invitation>(&fixture, &ours, &theirs, &invitation, |state| InvitationState {
        tenant,
        ..state.clone()
    })
    .await;
    stays::<H, Membership>(&fixture, &ours, &theirs, &theirs.membership, |state| {
        MembershipState {
            tenant,
            ..state.clone()
        }
    })
    .await;
    let session = fixture.session(&theirs, theirs.owner).await.state().id;
    stays::<H, Session>(&fixture, &ours, &theirs, &session, |state| SessionState {
        tenant,
        ..state.clone()
    })
    .await;
    let key = fixture.api_key(&theirs).await;
    stays::<H, ApiKey>(&fixture, &ours, &theirs, &key, |state| ApiKeyState {
        tenant,
        ..state.clone()
    })
    .await;
}

/// A person's transaction writes nothing of a tenant that they do not act in: no membership, no session, and takes
/// no invitation.
pub async fn a_person_writes_nothing_in_another_tenant<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (ours, theirs) = two(&fixture).await;
    let invitation = fixture.invitation(&theirs, "bob@example.com").await;
    let stored: Invitation = fixture.find(&theirs.scope, &invitation).await.unwrap();
    let head = fixture.ports().events.head().await.unwrap();
    let me = fixture.person_in(ours.id, ours.owner).await;
    let store = fixture.store();

    let mut planted = fixture.new_membership(&theirs, ours.owner, Role::Owner);
    let mut tx = store.begin_as_person(&me).await.unwrap();
    assert_fault(&tx.save(&theirs.scope, &mut planted).await);
    drop(tx);
    let mut planted = fixture.new_session(theirs.id, ours.owner, fixture.now());
    let mut tx = store.begin_as_person(&me).await.unwrap();
    assert_fault(&tx.save(&theirs.scope, &mut planted).await);
    drop(tx);
    let mut tx = store.begin_as_person(&me).await.unwrap();
    assert_fault(&tx.save(&ours.scope, &mut planted).await);
    drop(tx);
    let mut tx = store.begin_as_person(&me).await.unwrap();
    let found = Repository::<Invitation>::find(&mut tx, &theirs.scope, &invitation).await;
    assert!(found.unwrap().is_none());
    assert_fault(&tx.delete(&theirs.scope, stored.clone()).await);
    drop(tx);
    let mut tx = store.begin_as_person(&me).await.unwrap();
    assert_fault(&tx.delete(&ours.scope, stored).await);
    drop(tx);

    assert_eq!(logged(&fixture, head).await, []);
    let identities = &fixture.ports().identities;
    assert!(identities.invitation(invitation).await.unwrap().is_some());
    let memberships = identities.memberships(ours.owner).await.unwrap();
    let tenants: Vec<_> = memberships.iter().map(|membership| membership.tenant).collect();
    assert_eq!(tenants, [ours.id]);
}

/// Where a person acts they find what the scope's tenant has, and nothing elsewhere: not even their own session.
pub async fn a_person_finds_nothing_in_another_tenant<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (ours, theirs) = two(&fixture).await;
    fixture.membership(&theirs, ours.owner, Role::Viewer).await;
    let sessions: [SessionId; 2] = [
        fixture.session(&ours, ours.owner).await.state().id,
        fixture.session(&theirs, ours.owner).await.state().id,
    ];
    let me = fixture.person_in(ours.id, ours.owner).await;
    let mut tx = fixture.store().begin_as_person(&me).await.unwrap();
    for (tenant, id, found) in [
        (&ours, sessions[0], true),
        (&theirs, sessions[1], false),
        (&ours, sessions[1], false),
        (&theirs, sessions[0], false),
    ] {
        let session = Repository::<Session>::find(&mut tx, &tenant.scope, &id)
            .await
            .unwrap();
        assert_eq!(session.is_some(), found);
    }
    assert!(tx.am_member(&me).await.unwrap());
    drop(tx);
    let stranger = fixture.stranger().await;
    let them = fixture.person_in(ours.id, stranger).await;
    let mut tx = fixture.store().begin_as_person(&them).await.unwrap();
    assert!(!tx.am_member(&them).await.unwrap());
}

/// What only the operator does is not done in anybody else's transaction: looking people up, writing them, and
/// password resets.
pub async fn people_are_the_operators_only<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (ours, theirs) = two(&fixture).await;
    let operator = fixture.operator().await;
    let reset = fixture.password_reset(theirs.owner, fixture.now()).await;
    let me = fixture.person_in(ours.id, ours.owner).await;
    let found = fixture.ports().identities.user_by_email(&theirs.email).await;
    let mut victim = found.unwrap().unwrap();
    victim.change_password(PasswordHash::from_phc("$test$thief".to_owned()));
    let store = fixture.store();
    for as_person in [true, false] {
        let begin = async || {
            if as_person {
                store.begin_as_person(&me).await.unwrap()
            } else {
                store.begin(&ours.scope).await.unwrap()
            }
        };
        assert_fault(&begin().await.find_user(&operator, &theirs.email).await);
        assert_fault(&begin().await.save_user(&operator, &mut victim.clone()).await);
        assert_fault(&begin().await.put_password_reset(&operator, &reset).await);
    }
    let mut tx = store.begin(&ours.scope).await.unwrap();
    assert_fault(&tx.find_me(&me).await);
    drop(tx);
    let mut tx = store.begin(&ours.scope).await.unwrap();
    assert_fault(&tx.end_my_sessions(&me, None, SessionEnd::LoggedOut).await);
    drop(tx);
    let found = fixture.ports().identities.user_by_email(&theirs.email).await;
    assert_eq!(found.unwrap().unwrap().version(), victim.version());
}
