//! Which forms of stored events this release knows.

/// In which form an entry of the log was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventForm {
    /// The form of this release: of this version, or brought up to it from an older one.
    Known(u32),
    /// Of a kind or version that this release does not know: a newer node wrote it. Nobody can say what it means.
    Unknown,
}

/// How many failed deliveries one event of the log names at most; more become several events.
pub const FAILED_DELIVERIES_AT_ONCE: usize = 500;

/// The kinds of events, and the version of the form that each is written in. A form that changes gets the next
/// version, an upcast from the last one, and a golden file of its own.
pub const EVENT_FORMS: &[(&str, u32)] = &[
    ("api_key.minted", 1),
    ("api_key.revoked", 1),
    ("application.created", 1),
    ("application.deleted", 1),
    ("application.portal_tokens_revoked", 1),
    ("application.updated", 1),
    ("delivery.failed", 1),
    ("endpoint.created", 1),
    ("endpoint.deleted", 1),
    ("endpoint.disabled", 1),
    ("endpoint.enabled", 1),
    ("endpoint.secret_rotated", 1),
    ("endpoint.updated", 1),
    ("event_type.archived", 1),
    ("event_type.described", 1),
    ("event_type.registered", 1),
    ("event_type.schema_added", 1),
    ("invitation.accepted", 1),
    ("invitation.issued", 1),
    ("invitation.replaced", 1),
    ("invitation.withdrawn", 1),
    ("membership.grants_changed", 1),
    ("membership.joined", 1),
    ("membership.removed", 1),
    ("replay.created", 1),
    ("replay.finished", 1),
    ("session.ended", 1),
    ("session.opened", 1),
    ("tenant.created", 1),
    ("tenant.deletion_ordered", 1),
    ("tenant.resumed", 1),
    ("tenant.suspended", 1),
    ("tenant.updated", 1),
    ("user.password_changed", 1),
    ("user.registered", 1),
];

/// The version that events of `kind` are written in; none if this release does not know the kind.
pub fn event_form(kind: &str) -> Option<u32> {
    let known = EVENT_FORMS.iter().find(|(known, _)| *known == kind);
    known.map(|(_, version)| *version)
}
