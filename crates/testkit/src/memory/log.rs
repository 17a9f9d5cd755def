use std::{collections::BTreeMap, fmt::Write as _};

use async_trait::async_trait;
use postrider_application::ports::{
    EventForm, EventLog, FAILED_DELIVERIES_AT_ONCE, LoggedEvent, StoreError, event_form,
};
use postrider_domain::{
    TenantId, Timestamp, Uid, Version,
    access::{Grant, GrantScope},
    api_keys::ApiKeyEvent,
    applications::{ApplicationEvent, OPERATIONAL_UID},
    endpoints::EndpointEvent,
    event_types::EventTypeEvent,
    events::DomainEvent,
    replays::{ReplayEvent, ReplayStatus},
    tenants::TenantEvent,
    users::{InvitationEvent, MembershipEvent, SessionEvent, UserEvent},
};

use super::{hot::Failed, state::State, store::MemoryStore};

/// An event that enters the log when its transaction commits.
#[derive(Debug, Clone)]
pub(super) struct PendingEvent {
    pub(super) tenant: Option<TenantId>,
    pub(super) version: Version,
    pub(super) event: DomainEvent,
}

impl PendingEvent {
    /// The entry at `position`.
    pub(super) fn at(self, position: i64, now: Timestamp) -> LoggedEvent {
        let known = event_form(self.event.kind());
        LoggedEvent {
            position,
            tenant: self.tenant,
            kind: self.event.kind().to_owned(),
            aggregate: self.event.aggregate(),
            version: self.version.0,
            form: known.map_or(EventForm::Unknown, EventForm::Known),
            body: body(&self.event),
            recorded_at: now,
        }
    }
}

#[async_trait]
impl EventLog for MemoryStore {
    async fn head(&self) -> Result<i64, StoreError> {
        Ok(self.state().events.last().map_or(0, |event| event.position))
    }

    async fn after(&self, position: i64, limit: u32) -> Result<Vec<LoggedEvent>, StoreError> {
        let state = self.state();
        let later = state.events.iter().filter(|event| event.position > position);
        Ok(later.take(limit as usize).cloned().collect())
    }
}

/// Says that deliveries failed for good.
const FAILED: &str = "delivery.failed";

impl State {
    /// A position that was never given.
    pub(super) fn next_position(&mut self) -> i64 {
        self.last_position += 1;
        self.last_position
    }

    /// Logs what the hot path has to tell; whether it was anything.
    pub(super) fn log_failed(&mut self, now: Timestamp) -> bool {
        let mut by_tenant: BTreeMap<TenantId, Vec<Failed>> = BTreeMap::new();
        for failed in std::mem::take(&mut self.hot.failed) {
            let application = self.configuration.application(failed.tenant, failed.application);
            let uid = application
                .and_then(|row| row.state.uid.as_ref())
                .map(Uid::as_str);
            // Of an application that is gone nobody need hear.
            if application.is_some() && uid != Some(OPERATIONAL_UID) {
                by_tenant.entry(failed.tenant).or_default().push(failed);
            }
        }
        let told = !by_tenant.is_empty();
        for (tenant, mut failed) in by_tenant {
            failed.sort_by_key(|one| (one.message, one.endpoint));
            for some in failed.chunks(FAILED_DELIVERIES_AT_ONCE) {
                let event = LoggedEvent {
                    position: self.next_position(),
                    tenant: Some(tenant),
                    kind: FAILED.to_owned(),
                    aggregate: some[0].message.to_string(),
                    version: 1,
                    form: event_form(FAILED).map_or(EventForm::Unknown, EventForm::Known),
                    body: failed_body(some),
                    recorded_at: now,
                };
                self.events.push(event);
            }
        }
        told
    }
}

fn failed_body(failed: &[Failed]) -> String {
    let one = |failed: &Failed| {
        let mut object = Object::default();
        object.text("application", &failed.application.to_string());
        object.text("message", &failed.message.to_string());
        object.text("endpoint", &failed.endpoint.to_string());
        object.text("reason", failed.reason);
        object.finish()
    };
    let deliveries: Vec<String> = failed.iter().map(one).collect();
    let mut object = Object::default();
    object.raw("v", &event_form(FAILED).unwrap_or_default().to_string());
    object.raw("deliveries", &format!("[{}]", deliveries.join(",")));
    object.finish()
}

/// The stored body, in the form of the databases' adapters: a JSON object with `v`, the version of its form; ids
/// are public ids, times microseconds since the Unix epoch.
fn body(event: &DomainEvent) -> String {
    let mut object = Object::default();
    object.raw("v", &event_form(event.kind()).unwrap_or_default().to_string());
    match event {
        DomainEvent::Tenant(_, event) => of_tenant(&mut object, event),
        DomainEvent::User(_, UserEvent::Registered | UserEvent::PasswordChanged) => {}
        DomainEvent::Membership(_, event) => of_membership(&mut object, event),
        DomainEvent::Invitation(_, event) => of_invitation(&mut object, event),
        DomainEvent::Session(_, event) => of_session(&mut object, event),
        DomainEvent::ApiKey(_, event) => of_api_key(&mut object, event),
        DomainEvent::EventType(_, event) => of_event_type(&mut object, event),
        DomainEvent::Application(_, event) => of_application(&mut object, event),
        DomainEvent::Endpoint(application, _, event) => {
            object.text("application", &application.to_string());
            of_endpoint(&mut object, event);
        }
        DomainEvent::Replay(application, _, event) => {
            object.text("application", &application.to_string());
            of_replay(&mut object, event);
        }
    }
    object.finish()
}

fn of_tenant(object: &mut Object, event: &TenantEvent) {
    match event {
        TenantEvent::Created { name } => object.text("name", name.as_str()),
        TenantEvent::Updated { name, settings } => {
            object.text("name", name.as_str());
            object.text("schema_validation", settings.schema_validation.as_str());
            object.text(
                "unregistered_event_types",
                settings.unregistered_event_types.as_str(),
            );
        }
        TenantEvent::Suspended { at } | TenantEvent::Resumed { at } | TenantEvent::DeletionOrdered { at } => {
            object.raw("at", &micros(*at));
        }
    }
}

fn of_event_type(object: &mut Object, event: &EventTypeEvent) {
    match event {
        EventTypeEvent::Registered { description } | EventTypeEvent::Described { description } => {
            object.text("description", description.as_str());
        }
        EventTypeEvent::SchemaAdded { number } => object.raw("number", &number.to_string()),
        EventTypeEvent::Archived { at } => object.raw("at", &micros(*at)),
    }
}

fn of_membership(object: &mut Object, event: &MembershipEvent) {
    match event {
        MembershipEvent::Joined { user, grants } | MembershipEvent::GrantsChanged { user, grants } => {
            object.text("user", &user.to_string());
            object.raw("grants", &grants_array(grants));
        }
        MembershipEvent::Removed { user } => object.text("user", &user.to_string()),
    }
}

fn of_invitation(object: &mut Object, event: &InvitationEvent) {
    match event {
        InvitationEvent::Issued { grants, expires_at } => {
            object.raw("grants", &grants_array(grants));
            object.raw("expires_at", &micros(*expires_at));
        }
        InvitationEvent::Accepted | InvitationEvent::Withdrawn | InvitationEvent::Replaced => {}
    }
}

fn of_session(object: &mut Object, event: &SessionEvent) {
    match event {
        SessionEvent::Opened { user } => object.text("user", &user.to_string()),
        SessionEvent::Ended { user, why } => {
            object.text("user", &user.to_string());
            object.text("why", why.as_str());
        }
    }
}

fn of_api_key(object: &mut Object, event: &ApiKeyEvent) {
    match event {
        ApiKeyEvent::Minted {
            name,
            grants,
            expires_at,
        } => {
            object.text("name", name.as_str());
            object.raw("grants", &grants_array(grants));
            object.raw("expires_at", &expires_at.map_or("null".to_owned(), micros));
        }
        ApiKeyEvent::Revoked => {}
    }
}

fn of_application(object: &mut Object, event: &ApplicationEvent) {
    match event {
        ApplicationEvent::Created { uid, name } => {
            object.optional("uid", uid.as_ref().map(Uid::as_str));
            object.text("name", name.as_str());
        }
        ApplicationEvent::PortalTokensRevoked { valid_after } => {
            object.raw("valid_after", &micros(*valid_after));
        }
        ApplicationEvent::Updated { changed } => object.names("changed", changed, |field| field.as_str()),
        ApplicationEvent::Deleted { uid } => object.optional("uid", uid.as_ref().map(Uid::as_str)),
    }
}

fn of_endpoint(object: &mut Object, event: &EndpointEvent) {
    match event {
        EndpointEvent::Created { url, uid } => {
            object.optional("uid", uid.as_ref().map(Uid::as_str));
            object.text("url", url.as_str());
        }
        EndpointEvent::Disabled { why, at } => {
            object.text("why", why.as_str());
            object.raw("at", &micros(*at));
        }
        EndpointEvent::Enabled => {}
        EndpointEvent::Updated { changed } => object.names("changed", changed, |field| field.as_str()),
        EndpointEvent::SecretRotated { kind, old_until } => {
            object.text("type", kind.as_str());
            object.raw("old_until", &old_until.map_or("null".to_owned(), micros));
        }
        EndpointEvent::Deleted { uid } => object.optional("uid", uid.as_ref().map(Uid::as_str)),
    }
}

fn of_replay(object: &mut Object, event: &ReplayEvent) {
    match event {
        ReplayEvent::Created {
            endpoint,
            mode,
            from,
            to,
        } => {
            object.text("endpoint", &endpoint.to_string());
            object.text("mode", mode.as_str());
            object.raw("from", &micros(*from));
            object.raw("to", &micros(*to));
        }
        ReplayEvent::Finished {
            endpoint,
            status,
            progress,
            at,
        } => {
            let why = match status {
                ReplayStatus::Failed(why) => Some(why.as_str()),
                _ => None,
            };
            object.text("endpoint", &endpoint.to_string());
            object.text("status", status.as_str());
            object.optional("why", why);
            object.raw("considered", &progress.considered.to_string());
            object.raw("queued", &progress.queued.to_string());
            object.raw("skipped", &progress.skipped.to_string());
            object.raw("at", &micros(*at));
        }
    }
}

fn micros(at: Timestamp) -> String {
    at.as_micros().to_string()
}

fn grants_array(grants: &[Grant]) -> String {
    let objects: Vec<String> = grants
        .iter()
        .map(|grant| {
            let mut object = Object::default();
            object.text("role", grant.role.as_str());
            match grant.scope {
                GrantScope::Tenant => object.raw("application", "null"),
                GrantScope::Application(id) => object.text("application", &id.to_string()),
            }
            object.finish()
        })
        .collect();
    format!("[{}]", objects.join(","))
}

/// A JSON object, written by hand: the application's tests, which compile this file too, have no JSON crate.
#[derive(Default)]
struct Object(String);

impl Object {
    fn raw(&mut self, name: &str, value: &str) {
        let comma = if self.0.is_empty() { "" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(self.0, "{comma}\"{name}\":{value}");
    }

    fn text(&mut self, name: &str, value: &str) {
        let mut quoted = String::from('"');
        for c in value.chars() {
            match c {
                '"' | '\\' => quoted.extend(['\\', c]),
                c if c.is_control() => {
                    let _ = write!(quoted, "\\u{:04x}", u32::from(c));
                }
                c => quoted.push(c),
            }
        }
        quoted.push('"');
        self.raw(name, &quoted);
    }

    fn optional(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.text(name, value),
            None => self.raw(name, "null"),
        }
    }

    /// Names hold nothing that would have to be escaped.
    fn names<T>(&mut self, name: &str, values: &[T], of: impl Fn(&T) -> &'static str) {
        let names: Vec<String> = values.iter().map(|value| format!("\"{}\"", of(value))).collect();
        self.raw(name, &format!("[{}]", names.join(",")));
    }

    fn finish(self) -> String {
        format!("{{{}}}", self.0)
    }
}
