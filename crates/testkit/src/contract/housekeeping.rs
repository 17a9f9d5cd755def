//! What nobody waits for: forgetting what is over, and noting when keys were used.

use std::time::Duration;

use postrider_application::ports::PrincipalViews as _;
use postrider_domain::{
    Aggregate as _, ApiKeyId, Timestamp,
    api_keys::ApiKey,
    users::{Invitation, Session},
};

use super::{Fixture, Harness, Tenancy, paging::first, people_steps::HOUR};

/// Sessions, invitations and password resets go when their time is over, and not before; nothing is logged of it.
pub async fn only_what_is_over_is_forgotten<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (tenant, other) = (fixture.tenant("acme").await, fixture.tenant("other").await);
    let (long_ago, just_now) = (fixture.ago(HOUR * 2), fixture.ago(Duration::from_secs(1)));
    let mut ids = Vec::new();
    for at in [long_ago, just_now] {
        let mut session = fixture.new_session(tenant.id, tenant.owner, at);
        fixture.save(&tenant.scope, &mut session).await.unwrap();
        let email = format!("guest-{}@example.com", ids.len());
        let mut invitation = fixture.new_invitation(tenant.id, &email, at);
        fixture.save(&tenant.scope, &mut invitation).await.unwrap();
        ids.push((session.state().id, invitation.state().id));
    }
    let over = fixture.password_reset(tenant.owner, just_now).await;
    let good = fixture
        .password_reset(other.owner, fixture.now().plus(HOUR))
        .await;
    let head = fixture.ports().events.head().await.unwrap();

    let housekeeping = &fixture.ports().housekeeping;
    assert_eq!(housekeeping.forget_expired(100).await.unwrap(), 3);
    assert_eq!(housekeeping.forget_expired(100).await.unwrap(), 0);
    for ((session, invitation), kept) in ids.into_iter().zip([false, true]) {
        let session = fixture.find::<Session>(&tenant.scope, &session).await;
        let invitation = fixture.find::<Invitation>(&tenant.scope, &invitation).await;
        assert_eq!((session.is_some(), invitation.is_some()), (kept, kept));
    }
    let identities = &fixture.ports().identities;
    assert_eq!(identities.password_reset(over.id).await.unwrap(), None);
    assert_eq!(identities.password_reset(good.id).await.unwrap(), Some(good));
    assert_eq!(fixture.ports().events.head().await.unwrap(), head);
}

/// A session that was left idle too long is over, though its own end is not there yet.
pub async fn an_idle_session_is_forgotten<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let mut idle = fixture.new_session(tenant.id, tenant.owner, fixture.ago(Duration::from_mins(45)));
    fixture.save(&tenant.scope, &mut idle).await.unwrap();
    assert!(idle.state().expires_at > fixture.now());
    assert_eq!(fixture.ports().housekeeping.forget_expired(100).await.unwrap(), 1);
    let id = idle.state().id;
    assert!(fixture.find::<Session>(&tenant.scope, &id).await.is_none());
}

/// No more go at once than were asked for, of all kinds together.
pub async fn what_is_over_is_forgotten_in_batches<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let long_ago = fixture.ago(HOUR * 2);
    for nth in 0..3 {
        let mut session = fixture.new_session(tenant.id, tenant.owner, long_ago);
        fixture.save(&tenant.scope, &mut session).await.unwrap();
        let email = format!("guest-{nth}@example.com");
        let mut invitation = fixture.new_invitation(tenant.id, &email, long_ago);
        fixture.save(&tenant.scope, &mut invitation).await.unwrap();
    }
    fixture.password_reset(tenant.owner, long_ago).await;
    let mut forgotten = Vec::new();
    for _ in 0..5 {
        forgotten.push(fixture.ports().housekeeping.forget_expired(2).await.unwrap());
    }
    assert_eq!(forgotten, [2, 2, 2, 1, 0]);
}

/// When the tenant's only key was last used.
async fn last_use<H: Harness>(fixture: &Fixture<'_, H>, tenant: &Tenancy) -> Option<Timestamp> {
    let keys = fixture.store().api_keys(&tenant.scope, first()).await.unwrap();
    assert_eq!(keys.items.len(), 1);
    keys.items[0].last_used_at
}

/// The last use of a key only goes forward, in one batch and between batches.
pub async fn the_last_use_of_a_key_only_goes_forward<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (tenant, other) = (fixture.tenant("acme").await, fixture.tenant("other").await);
    let (key, others) = (fixture.api_key(&tenant).await, fixture.api_key(&other).await);
    let at = |minutes| fixture.now().plus(Duration::from_mins(minutes));
    let [first, second, third] = [at(1), at(2), at(3)];
    let housekeeping = &fixture.ports().housekeeping;
    housekeeping.record_key_uses(&[]).await.unwrap();
    for (times, kept) in [
        (vec![second], second),
        (vec![first], second),
        (vec![first, third, second], third),
    ] {
        let uses: Vec<_> = times.into_iter().map(|at| (tenant.id, key, at)).collect();
        housekeeping.record_key_uses(&uses).await.unwrap();
        assert_eq!(last_use(&fixture, &tenant).await, Some(kept));
    }
    assert_eq!(last_use(&fixture, &other).await, None);
    let uses = [(tenant.id, key, first), (other.id, others, first)];
    housekeeping.record_key_uses(&uses).await.unwrap();
    assert_eq!(last_use(&fixture, &tenant).await, Some(third));
    assert_eq!(last_use(&fixture, &other).await, Some(first));
}

/// The use of a key that is gone, or under a tenant that it is not of, is not noted; nor does a note change the key.
pub async fn the_use_of_an_unknown_key_is_not_noted<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (tenant, other) = (fixture.tenant("acme").await, fixture.tenant("other").await);
    let key = fixture.api_key(&tenant).await;
    let read: ApiKey = fixture.find(&tenant.scope, &key).await.unwrap();
    let (unknown, at) = (ApiKeyId::from_uuid(fixture.uuid()), fixture.now());
    let housekeeping = &fixture.ports().housekeeping;
    let uses = [(tenant.id, unknown, at), (other.id, key, at)];
    housekeeping.record_key_uses(&uses).await.unwrap();
    assert_eq!(last_use(&fixture, &tenant).await, None);

    housekeeping
        .record_key_uses(&[(tenant.id, key, at)])
        .await
        .unwrap();
    fixture.save(&tenant.scope, &mut read.clone()).await.unwrap();
    assert_eq!(
        last_use(&fixture, &tenant).await,
        Some(at),
        "saving the key keeps it"
    );
    let found: ApiKey = fixture.find(&tenant.scope, &key).await.unwrap();
    assert_eq!(
        (found.state(), found.version()),
        (read.state(), read.version().next())
    );
}
