//! Every form that was ever written, pinned: one golden file a kind and version. A form that changes without a new
//! version fails here; with one, the old file stays, and must still be readable.
//!
//! New files are written with `POSTRIDER_GOLDEN=write`; those that are there are never written over.

use std::{collections::BTreeSet, fs, path::PathBuf};

use postrider_application::ports::{EVENT_FORMS, EventForm};
use postrider_domain::{
    ApiKeyId, Description, EndpointId, InvitationId, MembershipId, Name, ReplayId, SessionId, UserId,
    access::Role,
    applications::ApplicationField,
    endpoints::{DisableReason, EndpointField, EndpointUrl, SecretType},
    event_types::EventTypeName,
    replays::{Progress, ReplayFailure, ReplayMode},
    tenants::{SchemaValidation, TenantSettings, UnregisteredEventTypes},
    users::SessionEnd,
};
use uuid::Uuid;

use super::*;
use crate::{deliveries::failed_example, event_forms};

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/events")
}

fn id<T>(of: fn(Uuid) -> T, n: u128) -> T {
    of(Uuid::from_u128(n))
}

/// One event of each kind, as this release writes it.
fn examples() -> Vec<DomainEvent> {
    let at = Timestamp::from_micros(1_700_000_000_000_000);
    let (user, app) = (id(UserId::from_uuid, 2), id(ApplicationId::from_uuid, 3));
    let name = || Name::parse("Acme \"EU\"").unwrap();
    let grants = || vec![Grant::tenant(Role::Owner), Grant::application(Role::Viewer, app)];
    let tenant = |event| DomainEvent::Tenant(id(TenantId::from_uuid, 1), event);
    let member = |event| DomainEvent::Membership(id(MembershipId::from_uuid, 4), event);
    let invitation = |event| DomainEvent::Invitation(id(InvitationId::from_uuid, 5), event);
    let session = |event| DomainEvent::Session(id(SessionId::from_uuid, 6), event);
    let key = |event| DomainEvent::ApiKey(id(ApiKeyId::from_uuid, 7), event);
    let endpoint = |event| DomainEvent::Endpoint(app, id(EndpointId::from_uuid, 8), event);
    let expires_at = at;
    let why = SessionEnd::RefreshTokenReused;
    vec![
        tenant(TenantEvent::Created { name: name() }),
        tenant(TenantEvent::Suspended { at }),
        tenant(TenantEvent::Resumed { at }),
        tenant(TenantEvent::DeletionOrdered { at }),
        DomainEvent::User(user, UserEvent::Registered),
        DomainEvent::User(user, UserEvent::PasswordChanged),
        member(MembershipEvent::Joined {
            user,
            grants: grants(),
        }),
        member(MembershipEvent::GrantsChanged {
            user,
            grants: grants(),
        }),
        member(MembershipEvent::Removed { user }),
        invitation(InvitationEvent::Issued {
            grants: grants(),
            expires_at,
        }),
        invitation(InvitationEvent::Accepted),
        invitation(InvitationEvent::Withdrawn),
        invitation(InvitationEvent::Replaced),
        session(SessionEvent::Opened { user }),
        session(SessionEvent::Ended { user, why }),
        key(ApiKeyEvent::Minted {
            name: name(),
            grants: grants(),
            expires_at: Some(expires_at),
        }),
        key(ApiKeyEvent::Revoked),
        DomainEvent::Application(
            app,
            ApplicationEvent::Created {
                uid: Some(Uid::parse("eu").unwrap()),
                name: name(),
            },
        ),
        DomainEvent::Application(app, ApplicationEvent::PortalTokensRevoked { valid_after: at }),
        DomainEvent::EventType(
            EventTypeName::parse("invoice.paid").unwrap(),
            EventTypeEvent::Registered {
                description: Description::parse("it was paid").unwrap(),
            },
        ),
        endpoint(EndpointEvent::Created {
            url: EndpointUrl::parse("https://example.com/hooks").unwrap(),
            uid: Some(Uid::parse("billing").unwrap()),
        }),
        endpoint(EndpointEvent::Disabled {
            why: DisableReason::Manual,
            at,
        }),
        endpoint(EndpointEvent::Enabled),
    ]
    .into_iter()
    .chain(of_tenants_and_event_types(at))
    .chain(of_applications_and_endpoints(app, at))
    .chain(of_replays(app, at))
    .collect()
}

fn of_tenants_and_event_types(at: Timestamp) -> Vec<DomainEvent> {
    let updated = TenantEvent::Updated {
        name: Name::parse("Acme \"EU\"").unwrap(),
        settings: TenantSettings {
            schema_validation: SchemaValidation::Warn,
            unregistered_event_types: UnregisteredEventTypes::Reject,
        },
    };
    let event_type = |event| DomainEvent::EventType(EventTypeName::parse("invoice.paid").unwrap(), event);
    vec![
        DomainEvent::Tenant(id(TenantId::from_uuid, 1), updated),
        event_type(EventTypeEvent::Described {
            description: Description::parse("it was paid").unwrap(),
        }),
        event_type(EventTypeEvent::SchemaAdded { number: 2 }),
        event_type(EventTypeEvent::Archived { at }),
    ]
}

fn of_applications_and_endpoints(app: ApplicationId, at: Timestamp) -> Vec<DomainEvent> {
    let uid = |uid| Some(Uid::parse(uid).unwrap());
    let endpoint = |event| DomainEvent::Endpoint(app, id(EndpointId::from_uuid, 8), event);
    vec![
        DomainEvent::Application(
            app,
            ApplicationEvent::Updated {
                changed: vec![ApplicationField::Uid, ApplicationField::Name],
            },
        ),
        DomainEvent::Application(app, ApplicationEvent::Deleted { uid: uid("eu") }),
        endpoint(EndpointEvent::Updated {
            changed: vec![EndpointField::Url, EndpointField::Headers],
        }),
        endpoint(EndpointEvent::SecretRotated {
            kind: SecretType::Ed25519,
            old_until: Some(at),
        }),
        endpoint(EndpointEvent::Deleted { uid: uid("billing") }),
    ]
}

fn of_replays(app: ApplicationId, at: Timestamp) -> Vec<DomainEvent> {
    let endpoint = id(EndpointId::from_uuid, 8);
    let replay = |event| DomainEvent::Replay(app, id(ReplayId::from_uuid, 9), event);
    vec![
        replay(ReplayEvent::Created {
            endpoint,
            mode: ReplayMode::Missing,
            from: Timestamp::from_micros(0),
            to: at,
        }),
        replay(ReplayEvent::Finished {
            endpoint,
            status: ReplayStatus::Failed(ReplayFailure::EndpointGone),
            progress: Progress {
                considered: 5,
                queued: 3,
                skipped: 2,
            },
            at,
        }),
    ]
}

/// Kind and body of everything that this release writes.
fn written() -> Vec<(String, String)> {
    let of_aggregates = examples()
        .iter()
        .map(|event| (event.kind().to_owned(), body(event).unwrap()))
        .collect::<Vec<_>>();
    let failed = ("delivery.failed".to_owned(), failed_example().unwrap());
    of_aggregates.into_iter().chain([failed]).collect()
}

/// One test and not three: what is written first is looked at afterwards, in a folder that nobody else changes.
#[test]
fn every_form_is_as_it_was_pinned_and_what_was_ever_pinned_can_be_read() {
    let written = written();
    if std::env::var("POSTRIDER_GOLDEN").is_ok_and(|how| how == "write") {
        pin_what_is_new(&written);
    }
    are_as_they_were_pinned(&written);
    can_all_be_read();
}

fn file(kind: &str) -> PathBuf {
    let version = event_form(kind).unwrap();
    golden().join(format!("{kind}.v{version}.json"))
}

fn pin_what_is_new(written: &[(String, String)]) {
    fs::create_dir_all(golden()).unwrap();
    for (kind, body) in written {
        let file = file(kind);
        if !file.exists() {
            fs::write(&file, format!("{body}\n")).unwrap();
        }
    }
}

fn are_as_they_were_pinned(written: &[(String, String)]) {
    for (kind, body) in written {
        let pinned = fs::read_to_string(file(kind))
            .unwrap_or_else(|_| panic!("{kind} is not pinned: POSTRIDER_GOLDEN=write, and look at it"));
        assert_eq!(
            body,
            pinned.trim_end(),
            "{kind}: its form changed without a new version"
        );
    }
    let kinds: BTreeSet<&str> = written.iter().map(|(kind, _)| kind.as_str()).collect();
    let known: BTreeSet<&str> = EVENT_FORMS.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, known, "every kind has an example here");
}

/// Those of forms that nobody writes any more, too.
fn can_all_be_read() {
    for file in fs::read_dir(golden()).unwrap() {
        let path = file.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let (kind, _) = stem.rsplit_once(".v").unwrap();
        let body = fs::read_to_string(&path).unwrap();
        let current = event_form(kind).unwrap();
        let (form, body) = event_forms::read(kind, body.trim_end().to_owned());
        assert_eq!(form, EventForm::Known(current), "{stem}");
        assert!(body.contains(&format!("\"v\":{current}")), "{stem}");
    }
}

/// The kinds' names as the domain has them, read from where they are defined: one that is added there and forgotten in
/// the list of forms would make every command of its kind fail.
#[test]
fn every_kind_of_the_domain_has_its_form() {
    let defined = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../domain/src/events.rs");
    let source = fs::read_to_string(defined).unwrap();
    // What stands between quotes there and has a dot is a kind.
    let kinds: BTreeSet<&str> = source
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|text| text.contains('.'))
        .collect();
    assert!(examples().iter().all(|event| kinds.contains(event.kind())));
    let mut forms: BTreeSet<&str> = EVENT_FORMS.iter().map(|(kind, _)| *kind).collect();
    assert!(forms.remove("delivery.failed"), "written with the deliveries");
    assert_eq!(kinds, forms);
}
