//! How aggregates' events are stored: the one place where a private event becomes a public form.
//!
//! A body is a JSON object with `v`, the version of its form, which rises when a field changes its meaning or goes;
//! a field may be added without. Ids are public ids, times microseconds since the Unix epoch.

use postrider_application::ports::{StoreError, event_form};
use postrider_domain::{
    ApplicationId, TenantId, Timestamp, Uid, Version,
    access::{Grant, GrantScope},
    api_keys::ApiKeyEvent,
    applications::ApplicationEvent,
    endpoints::EndpointEvent,
    event_types::EventTypeEvent,
    events::DomainEvent,
    replays::{ReplayEvent, ReplayStatus},
    tenants::TenantEvent,
    users::{InvitationEvent, MembershipEvent, SessionEvent, UserEvent},
};
use sea_orm::{Statement, Value};
use serde::Serialize;

use crate::{
    connection::Dialect,
    error::{corrupt, fault},
    relay::NOTIFY_EVENTS,
};

/// An event that enters the log when its transaction commits.
#[derive(Debug)]
pub(crate) struct PendingEvent {
    pub(crate) tenant: Option<TenantId>,
    pub(crate) version: Version,
    pub(crate) event: DomainEvent,
}

/// What each kind of event says, besides what the log's columns say already.
#[derive(Serialize)]
#[serde(untagged)]
enum Body<'e> {
    Nothing {},
    Named {
        name: &'e str,
    },
    At {
        at: i64,
    },
    Numbered {
        number: u32,
    },
    TenantUpdated {
        name: &'e str,
        schema_validation: &'static str,
        unregistered_event_types: &'static str,
    },
    /// Of a membership: what the person may do now.
    Holds {
        user: String,
        grants: Vec<GrantBody>,
    },
    Of {
        user: String,
    },
    Ended {
        user: String,
        why: &'static str,
    },
    Invited {
        grants: Vec<GrantBody>,
        expires_at: i64,
    },
    TokensRevoked {
        valid_after: i64,
    },
    Minted {
        name: &'e str,
        grants: Vec<GrantBody>,
        expires_at: Option<i64>,
    },
    Application {
        uid: Option<&'e str>,
        name: &'e str,
    },
    Described {
        description: &'e str,
    },
    EndpointCreated {
        application: String,
        uid: Option<&'e str>,
        url: &'e str,
    },
    EndpointDisabled {
        application: String,
        why: &'static str,
        at: i64,
    },
    EndpointEnabled {
        application: String,
    },
    ReplayCreated {
        application: String,
        endpoint: String,
        mode: &'static str,
        from: i64,
        to: i64,
    },
    ReplayFinished {
        application: String,
        endpoint: String,
        status: &'static str,
        /// Why it could not go on, if it failed.
        why: Option<&'static str>,
        considered: u64,
        queued: u64,
        skipped: u64,
        at: i64,
    },
    Changed {
        changed: Vec<&'static str>,
    },
    ApplicationDeleted {
        uid: Option<&'e str>,
    },
    EndpointChanged {
        application: String,
        changed: Vec<&'static str>,
    },
    SecretRotated {
        application: String,
        r#type: &'static str,
        old_until: Option<i64>,
    },
    EndpointDeleted {
        application: String,
        uid: Option<&'e str>,
    },
}

/// A grant as it is shown.
#[derive(Serialize)]
pub(crate) struct GrantBody {
    role: &'static str,
    /// None: in the whole tenant.
    application: Option<String>,
}

#[derive(Serialize)]
struct Versioned<'e> {
    v: u32,
    #[serde(flatten)]
    body: Body<'e>,
}

/// The stored body of an event, JSON.
fn body(event: &DomainEvent) -> Result<String, StoreError> {
    let known = event_form(event.kind()).ok_or_else(|| fault("a kind of event without a form"))?;
    let versioned = Versioned {
        v: known,
        body: form(event),
    };
    serde_json::to_string(&versioned).map_err(|why| corrupt("event", why))
}

fn form(event: &DomainEvent) -> Body<'_> {
    match event {
        DomainEvent::Tenant(_, event) => of_tenant(event),
        DomainEvent::User(_, UserEvent::Registered | UserEvent::PasswordChanged) => Body::Nothing {},
        DomainEvent::Membership(_, event) => of_membership(event),
        DomainEvent::Invitation(_, event) => of_invitation(event),
        DomainEvent::Session(_, SessionEvent::Opened { user }) => Body::Of {
            user: user.to_string(),
        },
        DomainEvent::Session(_, SessionEvent::Ended { user, why }) => Body::Ended {
            user: user.to_string(),
            why: why.as_str(),
        },
        DomainEvent::ApiKey(_, event) => of_api_key(event),
        DomainEvent::Application(_, event) => of_application(event),
        DomainEvent::EventType(_, event) => of_event_type(event),
        DomainEvent::Endpoint(application, _, event) => of_endpoint(*application, event),
        DomainEvent::Replay(application, _, event) => of_replay(*application, event),
    }
}

fn of_tenant(event: &TenantEvent) -> Body<'_> {
    match event {
        TenantEvent::Created { name } => Body::Named { name: name.as_str() },
        TenantEvent::Updated { name, settings } => Body::TenantUpdated {
            name: name.as_str(),
            schema_validation: settings.schema_validation.as_str(),
            unregistered_event_types: settings.unregistered_event_types.as_str(),
        },
        TenantEvent::Suspended { at } | TenantEvent::Resumed { at } | TenantEvent::DeletionOrdered { at } => {
            Body::At { at: at.as_micros() }
        }
    }
}

fn of_event_type(event: &EventTypeEvent) -> Body<'_> {
    match event {
        EventTypeEvent::Registered { description } | EventTypeEvent::Described { description } => {
            Body::Described {
                description: description.as_str(),
            }
        }
        EventTypeEvent::SchemaAdded { number } => Body::Numbered { number: *number },
        EventTypeEvent::Archived { at } => Body::At { at: at.as_micros() },
    }
}

fn of_membership(event: &MembershipEvent) -> Body<'_> {
    match event {
        MembershipEvent::Joined { user, grants: held }
        | MembershipEvent::GrantsChanged { user, grants: held } => Body::Holds {
            user: user.to_string(),
            grants: grants(held),
        },
        MembershipEvent::Removed { user } => Body::Of {
            user: user.to_string(),
        },
    }
}

fn of_invitation(event: &InvitationEvent) -> Body<'_> {
    match event {
        InvitationEvent::Issued {
            grants: promised,
            expires_at,
        } => Body::Invited {
            grants: grants(promised),
            expires_at: expires_at.as_micros(),
        },
        InvitationEvent::Accepted | InvitationEvent::Withdrawn | InvitationEvent::Replaced => {
            Body::Nothing {}
        }
    }
}

fn of_api_key(event: &ApiKeyEvent) -> Body<'_> {
    match event {
        ApiKeyEvent::Minted {
            name,
            grants: held,
            expires_at,
        } => Body::Minted {
            name: name.as_str(),
            grants: grants(held),
            expires_at: expires_at.map(Timestamp::as_micros),
        },
        ApiKeyEvent::Revoked => Body::Nothing {},
    }
}

fn of_application(event: &ApplicationEvent) -> Body<'_> {
    match event {
        ApplicationEvent::Created { uid, name } => Body::Application {
            uid: uid.as_ref().map(Uid::as_str),
            name: name.as_str(),
        },
        ApplicationEvent::PortalTokensRevoked { valid_after } => Body::TokensRevoked {
            valid_after: valid_after.as_micros(),
        },
        ApplicationEvent::Updated { changed } => Body::Changed {
            changed: changed.iter().map(|field| field.as_str()).collect(),
        },
        ApplicationEvent::Deleted { uid } => Body::ApplicationDeleted {
            uid: uid.as_ref().map(Uid::as_str),
        },
    }
}

fn of_endpoint(application: ApplicationId, event: &EndpointEvent) -> Body<'_> {
    let application = application.to_string();
    match event {
        EndpointEvent::Created { url, uid } => Body::EndpointCreated {
            application,
            uid: uid.as_ref().map(Uid::as_str),
            url: url.as_str(),
        },
        EndpointEvent::Disabled { why, at } => Body::EndpointDisabled {
            application,
            why: why.as_str(),
            at: at.as_micros(),
        },
        EndpointEvent::Enabled => Body::EndpointEnabled { application },
        EndpointEvent::Updated { changed } => Body::EndpointChanged {
            application,
            changed: changed.iter().map(|field| field.as_str()).collect(),
        },
        EndpointEvent::SecretRotated { kind, old_until } => Body::SecretRotated {
            application,
            r#type: kind.as_str(),
            old_until: old_until.map(Timestamp::as_micros),
        },
        EndpointEvent::Deleted { uid } => Body::EndpointDeleted {
            application,
            uid: uid.as_ref().map(Uid::as_str),
        },
    }
}

fn of_replay(application: ApplicationId, event: &ReplayEvent) -> Body<'_> {
    let application = application.to_string();
    match event {
        ReplayEvent::Created {
            endpoint,
            mode,
            from,
            to,
        } => Body::ReplayCreated {
            application,
            endpoint: endpoint.to_string(),
            mode: mode.as_str(),
            from: from.as_micros(),
            to: to.as_micros(),
        },
        ReplayEvent::Finished {
            endpoint,
            status,
            progress,
            at,
        } => Body::ReplayFinished {
            application,
            endpoint: endpoint.to_string(),
            status: status.as_str(),
            why: match status {
                ReplayStatus::Failed(why) => Some(why.as_str()),
                _ => None,
            },
            considered: progress.considered,
            queued: progress.queued,
            skipped: progress.skipped,
            at: at.as_micros(),
        },
    }
}

/// Grants as they are shown.
pub(crate) fn grants(grants: &[Grant]) -> Vec<GrantBody> {
    let body = |grant: &Grant| GrantBody {
        role: grant.role.as_str(),
        application: match grant.scope {
            GrantScope::Tenant => None,
            GrantScope::Application(id) => Some(id.to_string()),
        },
    };
    grants.iter().map(body).collect()
}

/// One statement that appends the events in their order. A transaction records a handful.
pub(crate) fn append(dialect: Dialect, events: &[PendingEvent]) -> Result<Statement, StoreError> {
    const COLUMNS: usize = 5;
    let mut values: Vec<Value> = Vec::with_capacity(events.len() * COLUMNS);
    let mut rows = Vec::with_capacity(events.len());
    let json = dialect.choose("::json", "");
    for pending in events {
        let first = values.len() + 1;
        rows.push(format!(
            "(${}, ${}, ${}, ${}, ${}{json}, {{now}})",
            first,
            first + 1,
            first + 2,
            first + 3,
            first + 4
        ));
        values.extend([
            pending.tenant.map(|tenant| tenant.as_uuid()).into(),
            pending.event.aggregate().into(),
            crate::codec::stored_count("version", pending.version.0)?.into(),
            pending.event.kind().into(),
            body(&pending.event)?.into(),
        ]);
    }
    let sql = appending(dialect, &rows.join(", "));
    Ok(dialect.statement(&sql, values))
}

/// The statement that appends rows, written as `VALUES` has them. On PostgreSQL it tells the relays of all nodes, at the
/// commit: commits of events take turns anyway, so that the lock that NOTIFY takes there costs nobody else anything.
fn appending(dialect: Dialect, rows: &str) -> String {
    let insert = format!(
        "INSERT INTO outbox_events (tenant, aggregate, version, kind, body, recorded_at) VALUES {rows}"
    );
    match dialect {
        Dialect::Postgres => format!("WITH appended AS ({insert}) {NOTIFY_EVENTS}"),
        Dialect::Sqlite => insert,
    }
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "events_golden_tests.rs"]
mod golden;
