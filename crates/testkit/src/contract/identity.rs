//! Who is who, read before the tenant is known.

use std::time::Duration;

use postrider_application::ports::{ApiKeyRecord, PortalRecord, SessionRecord, TenantMembership};
use postrider_domain::{
    Aggregate as _, ApiKeyId, InvitationId, MembershipId, Name, SessionId, Uid, UserId, Version,
    access::{Grant, Role},
    api_keys::ApiKey,
    applications::{Application, ApplicationRef},
    tenants::{TenantSettings, TenantStatus},
    tokens::SecretHash,
    users::{Email, Membership},
};

use super::{Fixture, Harness, Tenancy};

/// An API key is known by its id, with what is needed to let it in.
pub async fn an_api_key_is_found_by_its_id<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let id = ApiKeyId::from_uuid(fixture.uuid());
    let name = Name::parse("ci").unwrap();
    let grants = vec![Grant::application(Role::Publisher, customer.id)];
    let expires_at = Some(fixture.now().plus(Duration::from_hours(1)));
    let key = ApiKey::mint(
        id,
        tenant.id,
        name,
        SecretHash([9; 32]),
        grants.clone(),
        expires_at,
        fixture.now(),
    );
    fixture.save(&tenant.scope, &mut key.unwrap()).await.unwrap();

    let credentials = &fixture.ports().credentials;
    let expected = ApiKeyRecord {
        id,
        tenant: tenant.id,
        tenant_status: TenantStatus::Active,
        tenant_settings: TenantSettings::default(),
        secret_hash: SecretHash([9; 32]),
        grants,
        expires_at,
    };
    assert_eq!(credentials.api_key(id).await.unwrap(), Some(expected));
    let unknown = ApiKeyId::from_uuid(fixture.uuid());
    assert_eq!(credentials.api_key(unknown).await.unwrap(), None);
}

/// A session has the grants of its membership as they are now, not as they were at the login, and none of those that
/// the person holds elsewhere.
pub async fn a_session_has_the_grants_that_its_membership_has_now<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let elsewhere = fixture.tenant("elsewhere").await;
    fixture
        .membership(&elsewhere, tenant.owner, Role::Developer)
        .await;
    let session = fixture.session(&tenant, tenant.owner).await;
    let id = session.state().id;
    let (credentials, identities) = (&fixture.ports().credentials, &fixture.ports().identities);
    let record = |grants| SessionRecord {
        id,
        tenant: tenant.id,
        tenant_status: TenantStatus::Active,
        tenant_settings: TenantSettings::default(),
        user: tenant.owner,
        grants,
        expires_at: session.state().expires_at,
    };
    let owner = record(vec![Grant::tenant(Role::Owner)]);
    assert_eq!(credentials.session(id).await.unwrap().as_ref(), Some(&owner));
    assert_eq!(identities.session_now(id).await.unwrap(), Some(owner));

    let member: Membership = fixture.find(&tenant.scope, &tenant.membership).await.unwrap();
    let mut state = member.state().clone();
    state.grants = vec![Grant::tenant(Role::Viewer)];
    let mut demoted = Membership::restore(state, Version(1));
    fixture.save(&tenant.scope, &mut demoted).await.unwrap();
    let viewer = record(vec![Grant::tenant(Role::Viewer)]);
    assert_eq!(credentials.session(id).await.unwrap().as_ref(), Some(&viewer));
    assert_eq!(identities.session_now(id).await.unwrap(), Some(viewer));

    let unknown = SessionId::from_uuid(fixture.uuid());
    assert_eq!(credentials.session(unknown).await.unwrap(), None);
    assert_eq!(identities.session_now(unknown).await.unwrap(), None);
}

/// Whom the audit log names holds what they hold now, and there: a person by their membership, a machine by its key.
/// Who is there no more, or never was, holds nothing.
pub async fn actors_hold_what_they_hold_now<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (tenant, other) = (fixture.tenant("acme").await, fixture.tenant("other").await);
    let bob = fixture.stranger().await;
    let place = fixture.membership(&tenant, bob, Role::Developer).await;
    fixture.membership(&other, bob, Role::Viewer).await;
    let key = fixture.api_key(&tenant).await;
    let (person, machine) = (bob.to_string(), key.to_string());
    let identities = &fixture.ports().identities;
    let hold = async |expected: &[(&Tenancy, &str, Option<Role>)]| {
        for (of, actor, role) in expected {
            let held = identities.grants_of(of.id, actor).await.unwrap();
            let expected: Vec<_> = role.iter().map(|role| Grant::tenant(*role)).collect();
            assert_eq!(held, expected, "{actor}");
        }
    };
    hold(&[
        (&tenant, &person, Some(Role::Developer)),
        (&other, &person, Some(Role::Viewer)),
        (&tenant, &machine, Some(Role::Publisher)),
        (&other, &machine, None),
        (&tenant, &other.owner.to_string(), None),
        (&tenant, &place.to_string(), None),
        (&tenant, &ApiKeyId::from_uuid(fixture.uuid()).to_string(), None),
        (&tenant, "operator", None),
        (&tenant, "", None),
    ])
    .await;

    let mut member: Membership = fixture.find(&tenant.scope, &place).await.unwrap();
    member.remove(1).unwrap();
    fixture.delete(&tenant.scope, member).await.unwrap();
    let mut key: ApiKey = fixture.find(&tenant.scope, &key).await.unwrap();
    key.revoke();
    fixture.delete(&tenant.scope, key).await.unwrap();
    hold(&[
        (&tenant, &person, None),
        (&other, &person, Some(Role::Viewer)),
        (&tenant, &machine, None),
    ])
    .await;
}

/// A person's memberships are listed, the oldest first, with the tenants' names.
pub async fn memberships_are_listed_oldest_first<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let first = fixture.tenant("first").await;
    let second = fixture.tenant("second").await;
    let grants = vec![Grant::tenant(Role::Viewer)];
    // Joined the second before the first was founded: by the time of joining, not by id.
    let id = MembershipId::from_uuid(fixture.uuid());
    let earlier = postrider_domain::Timestamp::from_micros(fixture.now().as_micros() - 60_000_000);
    let mut membership = Membership::join(id, second.id, first.owner, grants.clone(), earlier);
    fixture.save(&second.scope, &mut membership).await.unwrap();

    let identities = &fixture.ports().identities;
    let listed = identities.memberships(first.owner).await.unwrap();
    let expected = [
        (second.id, "second", grants),
        (first.id, "first", vec![Grant::tenant(Role::Owner)]),
    ];
    let expected = expected.map(|(tenant, name, grants)| TenantMembership {
        tenant,
        tenant_name: Name::parse(name).unwrap(),
        tenant_status: TenantStatus::Active,
        grants,
    });
    assert_eq!(listed, expected);
    let nobody = UserId::from_uuid(fixture.uuid());
    assert!(identities.memberships(nobody).await.unwrap().is_empty());
    let unknown = Email::parse("nobody@example.com").unwrap();
    assert!(identities.user_by_email(&unknown).await.unwrap().is_none());
}

/// An application is meant by its id and by its uid; by neither once its tenant is being deleted.
pub async fn applications_are_resolved_by_id_and_by_uid<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application_named(&tenant, Some("customer")).await;
    let other = fixture.application(&tenant).await;
    let by_uid = |text| ApplicationRef::Uid(Uid::parse(text).unwrap());
    for (reference, expected) in [
        (customer.id.into(), Some(customer.id)),
        (other.id.into(), Some(other.id)),
        (by_uid("customer"), Some(customer.id)),
        (by_uid("CUSTOMER"), None),
        (by_uid("nobody"), None),
    ] {
        let directory = &fixture.ports().directory;
        let found = directory.resolve(&tenant.scope, &reference).await.unwrap();
        assert_eq!(found, expected, "{reference:?}");
    }
    fixture.suspend(&tenant, fixture.now()).await;
    for (deleting, expected) in [(false, Some(customer.id)), (true, None)] {
        if deleting {
            fixture.order_deletion(&tenant, fixture.now()).await;
        }
        for reference in [customer.id.into(), by_uid("customer")] {
            let directory = &fixture.ports().directory;
            let found = directory.resolve(&tenant.scope, &reference).await.unwrap();
            assert_eq!(found, expected, "{reference:?}");
        }
    }
}

/// The status of a tenant is seen with every credential, and with memberships and invitations.
pub async fn credentials_carry_what_their_tenant_may_do<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (tenant, other) = (fixture.tenant("acme").await, fixture.tenant("other").await);
    let customer = fixture.application(&tenant).await;
    let key = fixture.api_key(&tenant).await;
    let session = fixture.session(&tenant, tenant.owner).await.state().id;
    let invitation = fixture.invitation(&tenant, "bob@example.com").await;
    fixture.membership(&other, tenant.owner, Role::Viewer).await;
    let (credentials, identities) = (&fixture.ports().credentials, &fixture.ports().identities);

    for status in TenantStatus::ALL {
        match status {
            TenantStatus::Active => {}
            TenantStatus::Suspended => fixture.suspend(&tenant, fixture.now()).await,
            TenantStatus::Deleting => fixture.order_deletion(&tenant, fixture.now()).await,
        }
        let portal = credentials.portal(tenant.id, customer.id).await.unwrap().unwrap();
        let seen = [
            credentials.api_key(key).await.unwrap().unwrap().tenant_status,
            credentials.session(session).await.unwrap().unwrap().tenant_status,
            portal.tenant_status,
            identities
                .session_now(session)
                .await
                .unwrap()
                .unwrap()
                .tenant_status,
            identities
                .invitation(invitation)
                .await
                .unwrap()
                .unwrap()
                .tenant_status,
        ];
        assert_eq!(seen, [status; 5]);
        let memberships = identities.memberships(tenant.owner).await.unwrap();
        let seen: Vec<_> = memberships.iter().map(|m| (m.tenant, m.tenant_status)).collect();
        assert_eq!(seen, [(tenant.id, status), (other.id, TenantStatus::Active)]);
    }
}

/// Portal tokens are known by their tenant and application, and void up to a time once they are revoked.
pub async fn portal_tokens_are_void_up_to_a_time<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (tenant, other) = (fixture.tenant("acme").await, fixture.tenant("other").await);
    let customer = fixture.application(&tenant).await;
    let sibling = fixture.application(&tenant).await;
    let credentials = &fixture.ports().credentials;
    let good = PortalRecord {
        tenant_status: TenantStatus::Active,
        tenant_settings: TenantSettings::default(),
        tokens_valid_after: None,
    };
    assert_eq!(
        credentials.portal(tenant.id, customer.id).await.unwrap(),
        Some(good)
    );

    let mut application: Application = fixture.find(&tenant.scope, &customer.id).await.unwrap();
    application.revoke_portal_tokens(fixture.now());
    fixture.save(&tenant.scope, &mut application).await.unwrap();
    let revoked = PortalRecord {
        tokens_valid_after: application.state().tokens_valid_after,
        ..good
    };
    assert!(revoked.tokens_valid_after.is_some());
    assert_eq!(
        credentials.portal(tenant.id, customer.id).await.unwrap(),
        Some(revoked)
    );
    assert_eq!(
        credentials.portal(tenant.id, sibling.id).await.unwrap(),
        Some(good)
    );
    assert_eq!(credentials.portal(other.id, customer.id).await.unwrap(), None);
    let found: Application = fixture.find(&tenant.scope, &customer.id).await.unwrap();
    assert_eq!(found.state(), application.state());
}

/// An invitation is found by its id, whole, by whoever does not know the tenant yet.
pub async fn an_invitation_is_found_by_its_id<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let mut invitation = fixture.new_invitation(tenant.id, "bob@example.com", fixture.now());
    fixture.save(&tenant.scope, &mut invitation).await.unwrap();
    let identities = &fixture.ports().identities;
    let found = identities
        .invitation(invitation.state().id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.invitation.state(), invitation.state());
    assert_eq!(found.invitation.version(), Version(1));
    assert_eq!(found.tenant_status, TenantStatus::Active);
    let unknown = InvitationId::from_uuid(fixture.uuid());
    assert!(identities.invitation(unknown).await.unwrap().is_none());
}
