//! How aggregates' events are stored: the one place where a private event becomes a public form.
//!
//! A body is a JSON object with `v`, the version of its form, which rises when a field changes its meaning or goes;
//! a field may be added without. Ids are public ids, times microseconds since the Unix epoch.

use postrider_application::ports::StoreError;
use postrider_domain::{
    TenantId, Timestamp, Uid, Version,
    access::{Grant, GrantScope},
    api_keys::ApiKeyEvent,
    applications::ApplicationEvent,
    endpoints::EndpointEvent,
    event_types::EventTypeEvent,
    events::DomainEvent,
    tenants::TenantEvent,
    users::{MembershipEvent, SessionEvent, UserEvent},
};
use sea_orm::{Statement, Value};
use serde::Serialize;

use crate::{connection::Dialect, error::corrupt};

/// An event that enters the log when its transaction commits.
#[derive(Debug)]
pub(crate) struct PendingEvent {
    pub(crate) tenant: Option<TenantId>,
    pub(crate) version: Version,
    pub(crate) event: DomainEvent,
}

/// The version of all forms so far.
const FORM: u32 = 1;

/// What each kind of event says, besides what the log's columns say already.
#[derive(Serialize)]
#[serde(untagged)]
enum Body<'e> {
    Nothing {},
    Named {
        name: &'e str,
    },
    Joined {
        user: String,
        grants: Vec<GrantBody>,
    },
    Opened {
        user: String,
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
}

#[derive(Serialize)]
struct GrantBody {
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
    let versioned = Versioned {
        v: FORM,
        body: form(event),
    };
    serde_json::to_string(&versioned).map_err(|why| corrupt("event", why))
}

fn form(event: &DomainEvent) -> Body<'_> {
    match event {
        DomainEvent::Tenant(_, TenantEvent::Created { name }) => Body::Named { name: name.as_str() },
        DomainEvent::User(_, UserEvent::Registered) => Body::Nothing {},
        DomainEvent::Membership(_, MembershipEvent::Joined { user, grants: held }) => Body::Joined {
            user: user.to_string(),
            grants: grants(held),
        },
        DomainEvent::Session(_, SessionEvent::Opened { user }) => Body::Opened {
            user: user.to_string(),
        },
        DomainEvent::ApiKey(
            _,
            ApiKeyEvent::Minted {
                name,
                grants: held,
                expires_at,
            },
        ) => Body::Minted {
            name: name.as_str(),
            grants: grants(held),
            expires_at: expires_at.map(Timestamp::as_micros),
        },
        DomainEvent::Application(_, ApplicationEvent::Created { uid, name }) => Body::Application {
            uid: uid.as_ref().map(Uid::as_str),
            name: name.as_str(),
        },
        DomainEvent::EventType(_, EventTypeEvent::Registered { description }) => Body::Described {
            description: description.as_str(),
        },
        DomainEvent::Endpoint(application, _, event) => {
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
            }
        }
    }
}

fn grants(grants: &[Grant]) -> Vec<GrantBody> {
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
    let sql = format!(
        "INSERT INTO outbox_events (tenant, aggregate, version, kind, body, recorded_at) VALUES {}",
        rows.join(", ")
    );
    Ok(dialect.statement(&sql, values))
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
