//! What the log says of people, machines and tenants: the same everywhere, word for word.

use postrider_application::{
    audit::Record,
    ports::{PersonRepository as _, Repository as _, Store as _, UnitOfWork as _},
};
use postrider_domain::{
    Aggregate as _, Timestamp, UserId,
    access::{Grant, Role},
    api_keys::ApiKey,
    applications::Application,
    tokens::SecretHash,
    users::{Invitation, Membership, PasswordHash, SessionEnd},
};

use super::{Fixture, Harness, Tenancy};

/// The kinds and bodies of what was logged after `position`.
async fn told<H: Harness>(fixture: &Fixture<'_, H>, position: i64) -> Vec<(String, String)> {
    let events = fixture.ports().events.after(position, 100).await.unwrap();
    events.into_iter().map(|event| (event.kind, event.body)).collect()
}

fn said(kind: &str, body: impl Into<String>) -> (String, String) {
    (kind.to_owned(), body.into())
}

/// A tenant is suspended, resumed and to be deleted.
pub async fn the_log_tells_of_a_tenants_life<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let head = fixture.ports().events.head().await.unwrap();
    let at = Timestamp::from_micros;
    fixture.suspend(&tenant, at(1_700_000_000_000_001)).await;
    fixture.resume(&tenant, at(1_700_000_000_000_002)).await;
    fixture.order_deletion(&tenant, at(1_700_000_000_000_003)).await;
    assert_eq!(
        told(&fixture, head).await,
        [
            said("tenant.suspended", r#"{"v":1,"at":1700000000000001}"#),
            said("tenant.resumed", r#"{"v":1,"at":1700000000000002}"#),
            said("tenant.deletion_ordered", r#"{"v":1,"at":1700000000000003}"#),
        ]
    );
}

/// Joins as the person, by the invitation.
async fn accept<H: Harness>(
    fixture: &Fixture<'_, H>,
    tenant: &Tenancy,
    mut invitation: Invitation,
    user: UserId,
) -> Membership {
    let scope = fixture.person_in(tenant.id, user).await;
    let email = invitation.state().email.clone();
    invitation.accept(SecretHash([3; 32]), fixture.now()).unwrap();
    let mut place = fixture.new_membership(tenant, user, Role::Viewer);
    let mut tx = fixture.store().begin_as_person(&scope).await.unwrap();
    tx.save_me(&scope, &mut fixture.user(user, &email)).await.unwrap();
    tx.delete(&tenant.scope, invitation).await.unwrap();
    tx.save(&tenant.scope, &mut place).await.unwrap();
    tx.commit(Record::InHistory).await.unwrap();
    place
}

/// A person is invited, comes, is promoted and goes; no address is told.
pub async fn the_log_tells_of_a_member<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await.id;
    let user = UserId::from_uuid(fixture.uuid());
    let head = fixture.ports().events.head().await.unwrap();
    let mut invitation = fixture.new_invitation(tenant.id, "bob@example.com", fixture.now());
    fixture.save(&tenant.scope, &mut invitation).await.unwrap();
    let invitation: Invitation = fixture.find(&tenant.scope, &invitation.state().id).await.unwrap();
    let until = invitation.state().expires_at.as_micros();
    let place = accept(&fixture, &tenant, invitation, user).await.state().id;
    let mut member: Membership = fixture.find(&tenant.scope, &place).await.unwrap();
    let grants = vec![Grant::application(Role::Developer, customer)];
    let _ = member.change_grants(grants, 1).unwrap();
    fixture.save(&tenant.scope, &mut member).await.unwrap();
    let mut member: Membership = fixture.find(&tenant.scope, &place).await.unwrap();
    member.remove(1).unwrap();
    fixture.delete(&tenant.scope, member).await.unwrap();

    let viewer = r#"[{"role":"viewer","application":null}]"#;
    let developer = format!(r#"[{{"role":"developer","application":"{customer}"}}]"#);
    let told = told(&fixture, head).await;
    assert_eq!(
        told,
        [
            said(
                "invitation.issued",
                format!(r#"{{"v":1,"grants":{viewer},"expires_at":{until}}}"#)
            ),
            said("user.registered", r#"{"v":1}"#),
            said("invitation.accepted", r#"{"v":1}"#),
            said(
                "membership.joined",
                format!(r#"{{"v":1,"user":"{user}","grants":{viewer}}}"#)
            ),
            said(
                "membership.grants_changed",
                format!(r#"{{"v":1,"user":"{user}","grants":{developer}}}"#)
            ),
            said("membership.removed", format!(r#"{{"v":1,"user":"{user}"}}"#)),
        ]
    );
    assert!(told.iter().all(|(_, body)| !body.contains("example.com")));
}

/// A person logs in, has another password, and their session ends, for each of the reasons.
pub async fn the_log_tells_of_a_session<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let scope = fixture.person_in(tenant.id, tenant.owner).await;
    let user = tenant.owner;
    for (why, word) in [
        (SessionEnd::LoggedOut, "logged_out"),
        (SessionEnd::RefreshTokenReused, "refresh_token_reused"),
        (SessionEnd::PasswordChanged, "password_changed"),
        (SessionEnd::MemberRemoved, "member_removed"),
    ] {
        let head = fixture.ports().events.head().await.unwrap();
        fixture.session(&tenant, user).await;
        let mut tx = fixture.store().begin_as_person(&scope).await.unwrap();
        let mut me = tx.find_me(&scope).await.unwrap().unwrap();
        me.change_password(PasswordHash::from_phc(format!("$test${word}")));
        tx.save_me(&scope, &mut me).await.unwrap();
        assert_eq!(tx.end_my_sessions(&scope, None, why).await.unwrap(), 1);
        tx.commit(Record::InHistory).await.unwrap();
        assert_eq!(
            told(&fixture, head).await,
            [
                said("session.opened", format!(r#"{{"v":1,"user":"{user}"}}"#)),
                said("user.password_changed", r#"{"v":1}"#),
                said(
                    "session.ended",
                    format!(r#"{{"v":1,"user":"{user}","why":"{word}"}}"#)
                ),
            ]
        );
    }
}

/// Portal tokens are revoked, and an API key is.
pub async fn the_log_tells_of_what_was_revoked<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await.id;
    let key = fixture.api_key(&tenant).await;
    let head = fixture.ports().events.head().await.unwrap();
    let mut application: Application = fixture.find(&tenant.scope, &customer).await.unwrap();
    application.revoke_portal_tokens(Timestamp::from_micros(1_700_000_000_000_001));
    fixture.save(&tenant.scope, &mut application).await.unwrap();
    let mut key: ApiKey = fixture.find(&tenant.scope, &key).await.unwrap();
    key.revoke();
    fixture.delete(&tenant.scope, key).await.unwrap();
    assert_eq!(
        told(&fixture, head).await,
        [
            said(
                "application.portal_tokens_revoked",
                r#"{"v":1,"valid_after":1700000000000001}"#
            ),
            said("api_key.revoked", r#"{"v":1}"#),
        ]
    );
}
