//! What the golden files, one example a kind, do not show of the stored forms: fields that may be null, and every name
//! of those that have names. Word for word: a change here changes a promise.

use postrider_domain::{
    ApiKeyId, EndpointId, Name, ReplayId, SessionId, UserId,
    applications::ApplicationField,
    endpoints::{DisableReason, EndpointField, EndpointUrl, SecretType},
    replays::{Progress, ReplayFailure, ReplayMode},
    tenants::{SchemaValidation, TenantSettings, UnregisteredEventTypes},
    users::SessionEnd,
};
use uuid::Uuid;

use super::*;

const AT: Timestamp = Timestamp::from_micros(9);

fn id<T>(of: fn(Uuid) -> T, n: u128) -> T {
    of(Uuid::from_u128(n))
}

fn app() -> ApplicationId {
    id(ApplicationId::from_uuid, 3)
}

fn name() -> Name {
    Name::parse("Acme").unwrap()
}

fn uid() -> Uid {
    Uid::parse("eu").unwrap()
}

fn endpoint(event: EndpointEvent) -> DomainEvent {
    DomainEvent::Endpoint(app(), id(EndpointId::from_uuid, 8), event)
}

fn replay(event: ReplayEvent) -> DomainEvent {
    DomainEvent::Replay(app(), id(ReplayId::from_uuid, 9), event)
}

/// The field of the stored body, as it is written.
#[track_caller]
fn check(event: &DomainEvent, field: &str, expected: &str) {
    let body = body(event).unwrap();
    let written = format!("\"{field}\":{expected}");
    assert!(body.contains(&written), "{written} in {body}");
}

#[test]
fn what_is_not_there_is_null() {
    for (expires_at, expected) in [(None, "null"), (Some(AT), "9")] {
        let minted = ApiKeyEvent::Minted {
            name: name(),
            grants: Vec::new(),
            expires_at,
        };
        let minted = DomainEvent::ApiKey(id(ApiKeyId::from_uuid, 7), minted);
        check(&minted, "expires_at", expected);
    }
    for (uid, expected) in [(None, "null"), (Some(uid()), r#""eu""#)] {
        let name = name();
        let created = ApplicationEvent::Created {
            uid: uid.clone(),
            name,
        };
        let deleted = ApplicationEvent::Deleted { uid: uid.clone() };
        for event in [created, deleted] {
            check(&DomainEvent::Application(app(), event), "uid", expected);
        }
        let url = EndpointUrl::parse("https://example.com/hooks").unwrap();
        let created = EndpointEvent::Created {
            url,
            uid: uid.clone(),
        };
        for event in [created, EndpointEvent::Deleted { uid }] {
            check(&endpoint(event), "uid", expected);
        }
    }
}

#[test]
fn settings_have_their_names() {
    let updated = |schema_validation, unregistered_event_types| {
        let settings = TenantSettings {
            schema_validation,
            unregistered_event_types,
        };
        let name = name();
        DomainEvent::Tenant(
            id(TenantId::from_uuid, 1),
            TenantEvent::Updated { name, settings },
        )
    };
    for (validation, expected) in [
        (SchemaValidation::Off, r#""off""#),
        (SchemaValidation::Warn, r#""warn""#),
        (SchemaValidation::Enforce, r#""enforce""#),
    ] {
        let updated = updated(validation, UnregisteredEventTypes::Accept);
        check(&updated, "schema_validation", expected);
    }
    for (unregistered, expected) in [
        (UnregisteredEventTypes::Accept, r#""accept""#),
        (UnregisteredEventTypes::Reject, r#""reject""#),
    ] {
        let updated = updated(SchemaValidation::Off, unregistered);
        check(&updated, "unregistered_event_types", expected);
    }
}

#[test]
fn reasons_have_their_names() {
    for (why, expected) in [
        (SessionEnd::LoggedOut, r#""logged_out""#),
        (SessionEnd::RefreshTokenReused, r#""refresh_token_reused""#),
        (SessionEnd::PasswordChanged, r#""password_changed""#),
        (SessionEnd::MemberRemoved, r#""member_removed""#),
    ] {
        let user = id(UserId::from_uuid, 2);
        let ended = SessionEvent::Ended { user, why };
        check(
            &DomainEvent::Session(id(SessionId::from_uuid, 6), ended),
            "why",
            expected,
        );
    }
    for (why, expected) in [
        (DisableReason::Manual, r#""manual""#),
        (DisableReason::Gone, r#""gone""#),
        (DisableReason::Failing, r#""failing""#),
    ] {
        let disabled = EndpointEvent::Disabled { why, at: AT };
        check(&endpoint(disabled), "why", expected);
    }
}

#[test]
fn replays_have_names_for_what_they_do_and_how_they_end() {
    let endpoint = id(EndpointId::from_uuid, 8);
    for (mode, expected) in [
        (ReplayMode::All, r#""all""#),
        (ReplayMode::Failed, r#""failed""#),
        (ReplayMode::Missing, r#""missing""#),
    ] {
        let created = ReplayEvent::Created {
            endpoint,
            mode,
            from: AT,
            to: AT,
        };
        check(&replay(created), "mode", expected);
    }
    let (disabled, gone) = (ReplayFailure::EndpointDisabled, ReplayFailure::EndpointGone);
    for (status, expected, why) in [
        (ReplayStatus::Completed, r#""completed""#, "null"),
        (ReplayStatus::Cancelled, r#""cancelled""#, "null"),
        (
            ReplayStatus::Failed(disabled),
            r#""failed""#,
            r#""endpoint_disabled""#,
        ),
        (ReplayStatus::Failed(gone), r#""failed""#, r#""endpoint_gone""#),
    ] {
        let finished = ReplayEvent::Finished {
            endpoint,
            status,
            progress: Progress::default(),
            at: AT,
        };
        let finished = replay(finished);
        check(&finished, "status", expected);
        check(&finished, "why", why);
    }
}

#[test]
fn secrets_have_a_type_and_old_ones_an_end() {
    for (kind, old_until, expected) in [
        (SecretType::Hmac, None, r#""hmac","old_until":null"#),
        (SecretType::Ed25519, Some(AT), r#""ed25519","old_until":9"#),
    ] {
        let rotated = EndpointEvent::SecretRotated { kind, old_until };
        check(&endpoint(rotated), "type", expected);
    }
}

#[test]
fn what_changed_is_named() {
    let changed = vec![
        ApplicationField::Uid,
        ApplicationField::Name,
        ApplicationField::Metadata,
    ];
    check(
        &DomainEvent::Application(app(), ApplicationEvent::Updated { changed }),
        "changed",
        r#"["uid","name","metadata"]"#,
    );
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
    check(
        &endpoint(EndpointEvent::Updated { changed }),
        "changed",
        r#"["uid","url","description","event_types","channels","headers","retry_policy","timeout_ms","metadata"]"#,
    );
}
