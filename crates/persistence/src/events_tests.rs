//! The stored forms, word for word: a change here changes a promise.

use postrider_domain::{
    ApiKeyId, Description, EndpointId, InvitationId, MembershipId, Name, SessionId, UserId,
    access::Role,
    applications::ApplicationField,
    endpoints::{DisableReason, EndpointField, EndpointUrl, SecretType},
    event_types::EventTypeName,
    tenants::{SchemaValidation, TenantSettings, UnregisteredEventTypes},
    users::SessionEnd,
};
use uuid::Uuid;

use super::*;

const USER: &str = "usr_00000000000000000000000002";
const APP: &str = "app_00000000000000000000000003";

fn uuid(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn name() -> Name {
    Name::parse("Acme \"EU\"").unwrap()
}

fn check(event: &DomainEvent, kind: &str, expected: &str) {
    assert_eq!(event.kind(), kind);
    assert_eq!(body(event).unwrap(), expected, "{kind}");
}

#[test]
fn of_tenants_and_people() {
    let user = UserId::from_uuid(uuid(2));
    let app = ApplicationId::from_uuid(uuid(3));
    let created = TenantEvent::Created { name: name() };
    let created = DomainEvent::Tenant(TenantId::from_uuid(uuid(1)), created);
    check(&created, "tenant.created", r#"{"v":1,"name":"Acme \"EU\""}"#);
    let updated = TenantEvent::Updated {
        name: name(),
        settings: TenantSettings {
            schema_validation: SchemaValidation::Warn,
            unregistered_event_types: UnregisteredEventTypes::Reject,
        },
    };
    check(
        &DomainEvent::Tenant(TenantId::from_uuid(uuid(1)), updated),
        "tenant.updated",
        r#"{"v":1,"name":"Acme \"EU\"","schema_validation":"warn","unregistered_event_types":"reject"}"#,
    );
    check(
        &DomainEvent::User(user, UserEvent::Registered),
        "user.registered",
        r#"{"v":1}"#,
    );
    let grants = vec![Grant::tenant(Role::Owner), Grant::application(Role::Viewer, app)];
    let held =
        format!(r#"[{{"role":"owner","application":null}},{{"role":"viewer","application":"{APP}"}}]"#);
    let joined = MembershipEvent::Joined {
        user,
        grants: grants.clone(),
    };
    check(
        &DomainEvent::Membership(MembershipId::from_uuid(uuid(4)), joined),
        "membership.joined",
        &format!(r#"{{"v":1,"user":"{USER}","grants":{held}}}"#),
    );
    check(
        &DomainEvent::Session(SessionId::from_uuid(uuid(5)), SessionEvent::Opened { user }),
        "session.opened",
        &format!(r#"{{"v":1,"user":"{USER}"}}"#),
    );
    let key = ApiKeyId::from_uuid(uuid(6));
    for (expires_at, expected) in [(None, "null"), (Some(Timestamp::from_micros(7)), "7")] {
        let minted = ApiKeyEvent::Minted {
            name: name(),
            grants: grants.clone(),
            expires_at,
        };
        check(
            &DomainEvent::ApiKey(key, minted),
            "api_key.minted",
            &format!(r#"{{"v":1,"name":"Acme \"EU\"","grants":{held},"expires_at":{expected}}}"#),
        );
    }
}

#[test]
fn of_what_ends_or_changes() {
    let (user, at) = (UserId::from_uuid(uuid(2)), Timestamp::from_micros(9));
    let tenant = |event| DomainEvent::Tenant(TenantId::from_uuid(uuid(1)), event);
    for (event, kind) in [
        (TenantEvent::Suspended { at }, "tenant.suspended"),
        (TenantEvent::Resumed { at }, "tenant.resumed"),
        (TenantEvent::DeletionOrdered { at }, "tenant.deletion_ordered"),
    ] {
        check(&tenant(event), kind, r#"{"v":1,"at":9}"#);
    }
    let changed = DomainEvent::User(user, UserEvent::PasswordChanged);
    check(&changed, "user.password_changed", r#"{"v":1}"#);
    let membership = |event| DomainEvent::Membership(MembershipId::from_uuid(uuid(4)), event);
    let grants = vec![Grant::tenant(Role::Viewer)];
    let held = r#"[{"role":"viewer","application":null}]"#;
    let changed = MembershipEvent::GrantsChanged {
        user,
        grants: grants.clone(),
    };
    check(
        &membership(changed),
        "membership.grants_changed",
        &format!(r#"{{"v":1,"user":"{USER}","grants":{held}}}"#),
    );
    let of_user = format!(r#"{{"v":1,"user":"{USER}"}}"#);
    check(
        &membership(MembershipEvent::Removed { user }),
        "membership.removed",
        &of_user,
    );
    let invitation = |event| DomainEvent::Invitation(InvitationId::from_uuid(uuid(7)), event);
    let issued = InvitationEvent::Issued {
        grants,
        expires_at: at,
    };
    check(
        &invitation(issued),
        "invitation.issued",
        &format!(r#"{{"v":1,"grants":{held},"expires_at":9}}"#),
    );
    for (event, kind) in [
        (InvitationEvent::Accepted, "invitation.accepted"),
        (InvitationEvent::Withdrawn, "invitation.withdrawn"),
        (InvitationEvent::Replaced, "invitation.replaced"),
    ] {
        check(&invitation(event), kind, r#"{"v":1}"#);
    }
    let ended = SessionEvent::Ended {
        user,
        why: SessionEnd::RefreshTokenReused,
    };
    check(
        &DomainEvent::Session(SessionId::from_uuid(uuid(5)), ended),
        "session.ended",
        &format!(r#"{{"v":1,"user":"{USER}","why":"refresh_token_reused"}}"#),
    );
    let revoked = DomainEvent::ApiKey(ApiKeyId::from_uuid(uuid(6)), ApiKeyEvent::Revoked);
    check(&revoked, "api_key.revoked", r#"{"v":1}"#);
    let revoked = ApplicationEvent::PortalTokensRevoked { valid_after: at };
    check(
        &DomainEvent::Application(ApplicationId::from_uuid(uuid(3)), revoked),
        "application.portal_tokens_revoked",
        r#"{"v":1,"valid_after":9}"#,
    );
}

#[test]
fn of_applications_and_endpoints() {
    let app = ApplicationId::from_uuid(uuid(3));
    for (uid, expected) in [(None, "null"), (Some(Uid::parse("eu").unwrap()), r#""eu""#)] {
        let created = ApplicationEvent::Created { uid, name: name() };
        check(
            &DomainEvent::Application(app, created),
            "application.created",
            &format!(r#"{{"v":1,"uid":{expected},"name":"Acme \"EU\""}}"#),
        );
    }
    let registered = EventTypeEvent::Registered {
        description: Description::parse("it was paid").unwrap(),
    };
    check(
        &DomainEvent::EventType(EventTypeName::parse("invoice.paid").unwrap(), registered),
        "event_type.registered",
        r#"{"v":1,"description":"it was paid"}"#,
    );
    let endpoint = |event| DomainEvent::Endpoint(app, EndpointId::from_uuid(uuid(8)), event);
    let url = EndpointUrl::parse("https://example.com/hooks").unwrap();
    check(
        &endpoint(EndpointEvent::Created { url, uid: None }),
        "endpoint.created",
        &format!(r#"{{"v":1,"application":"{APP}","uid":null,"url":"https://example.com/hooks"}}"#),
    );
    for why in DisableReason::ALL {
        let name = why.as_str();
        let at = Timestamp::from_micros(9);
        check(
            &endpoint(EndpointEvent::Disabled { why, at }),
            "endpoint.disabled",
            &format!(r#"{{"v":1,"application":"{APP}","why":"{name}","at":9}}"#),
        );
    }
    check(
        &endpoint(EndpointEvent::Enabled),
        "endpoint.enabled",
        &format!(r#"{{"v":1,"application":"{APP}"}}"#),
    );
}

#[test]
fn of_event_types() {
    let name = || EventTypeName::parse("invoice.paid").unwrap();
    for (event, kind, expected) in [
        (
            EventTypeEvent::Described {
                description: Description::parse("Paid").unwrap(),
            },
            "event_type.described",
            r#"{"v":1,"description":"Paid"}"#,
        ),
        (
            EventTypeEvent::SchemaAdded { number: 2 },
            "event_type.schema_added",
            r#"{"v":1,"number":2}"#,
        ),
        (
            EventTypeEvent::Archived {
                at: Timestamp::from_micros(7),
            },
            "event_type.archived",
            r#"{"v":1,"at":7}"#,
        ),
    ] {
        check(&DomainEvent::EventType(name(), event), kind, expected);
    }
}

#[test]
fn of_what_changes_and_goes() {
    let app = ApplicationId::from_uuid(uuid(3));
    let application = |event| DomainEvent::Application(app, event);
    let uid = || Some(Uid::parse("eu").unwrap());
    let changed = vec![
        ApplicationField::Uid,
        ApplicationField::Name,
        ApplicationField::Metadata,
    ];
    check(
        &application(ApplicationEvent::Updated { changed }),
        "application.updated",
        r#"{"v":1,"changed":["uid","name","metadata"]}"#,
    );
    for (uid, expected) in [(None, "null"), (uid(), r#""eu""#)] {
        check(
            &application(ApplicationEvent::Deleted { uid }),
            "application.deleted",
            &format!(r#"{{"v":1,"uid":{expected}}}"#),
        );
    }
    let endpoint = |event| DomainEvent::Endpoint(app, EndpointId::from_uuid(uuid(8)), event);
    let changed = vec![
        EndpointField::Uid,
        EndpointField::Url,
        EndpointField::Description,
        EndpointField::EventTypes,
        EndpointField::Channels,
        EndpointField::Headers,
        EndpointField::RetryPolicy,
        EndpointField::TimeoutMs,
        EndpointField::Metadata,
    ];
    let names = r#"["uid","url","description","event_types","channels","headers","retry_policy","timeout_ms","metadata"]"#;
    check(
        &endpoint(EndpointEvent::Updated { changed }),
        "endpoint.updated",
        &format!(r#"{{"v":1,"application":"{APP}","changed":{names}}}"#),
    );
    for (kind, old_until, expected) in [
        (SecretType::Hmac, None, r#""type":"hmac","old_until":null"#),
        (
            SecretType::Ed25519,
            Some(Timestamp::from_micros(9)),
            r#""type":"ed25519","old_until":9"#,
        ),
    ] {
        check(
            &endpoint(EndpointEvent::SecretRotated { kind, old_until }),
            "endpoint.secret_rotated",
            &format!(r#"{{"v":1,"application":"{APP}",{expected}}}"#),
        );
    }
    check(
        &endpoint(EndpointEvent::Deleted { uid: uid() }),
        "endpoint.deleted",
        &format!(r#"{{"v":1,"application":"{APP}","uid":"eu"}}"#),
    );
}
