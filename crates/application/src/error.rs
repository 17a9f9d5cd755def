//! The error catalogue: every code that the product answers with, and its kind.
//!
//! Only the api crate knows HTTP; here an error is a stable code, a sentence for the caller and, for our own
//! eyes, a cause that goes to the trace and never to the caller.

use std::{borrow::Cow, time::Duration};

use postrider_domain::InvalidValue;

use crate::ports::{StoreError, UniqueRule};

/// What all use cases answer with.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Closed set of kinds; transports map kinds, never single codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request cannot be read.
    Malformed,
    /// The request can be read, but breaks a rule.
    Invalid,
    /// Nobody, or nobody known.
    Unauthenticated,
    /// Somebody known who may not.
    Forbidden,
    /// There is no such thing for this caller.
    NotFound,
    /// The route exists, its method does not.
    MethodNotAllowed,
    /// It was there, and will not be again.
    Gone,
    /// It contradicts what is stored.
    Conflict,
    /// What the caller presumed of the resource is not so.
    PreconditionFailed,
    /// More bytes than we take.
    TooLarge,
    /// A media type that we do not take.
    UnsupportedMediaType,
    /// Not now; the same request may succeed later.
    Unavailable,
    /// Too often; the same request may succeed later.
    TooMany,
    /// Our fault.
    Internal,
}

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $kind:ident, $title:literal;)+) => {
        /// The stable code of an error: a public promise. Each has a page, `docs/problems/<code>.md`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)+
        }

        impl ErrorCode {
            /// Every code there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The public name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// Its kind.
            pub const fn kind(self) -> ErrorKind {
                match self { $(Self::$name => ErrorKind::$kind,)+ }
            }

            /// A short title, the same for every occurrence.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }
        }
    };
}

error_codes! {
    /// The body is not JSON, the path or query cannot be read.
    MalformedRequest = "malformed_request", Malformed, "The request cannot be read";
    /// One or more fields break a rule; all of them are listed.
    ValidationFailed = "validation_failed", Invalid, "The request breaks one or more rules";
    /// No credentials, or credentials that are not good (any more).
    Unauthenticated = "unauthenticated", Unauthenticated, "Authentication is required";
    /// E-mail and password do not belong together.
    InvalidCredentials = "invalid_credentials", Unauthenticated, "The credentials are not valid";
    /// A refresh token, invitation or password reset that is not good, or not any more.
    InvalidToken = "invalid_token", Unauthenticated, "The token is not valid";
    /// Too many attempts at a password, from there or at that account.
    TooManyAttempts = "too_many_attempts", TooMany, "Too many attempts";
    /// The person is a member of several tenants and named none.
    TenantRequired = "tenant_required", Invalid, "A tenant must be named";
    /// The caller holds no grant for this.
    Forbidden = "forbidden", Forbidden, "The caller may not do this";
    /// The tenant is suspended: it can be read, not changed.
    TenantSuspended = "tenant_suspended", Forbidden, "The tenant is suspended";
    /// There is no such resource for this caller.
    NotFound = "not_found", NotFound, "There is no such resource";
    /// The path exists, the method does not.
    MethodNotAllowed = "method_not_allowed", MethodNotAllowed, "The method is not allowed here";
    /// The uid is in use.
    UidTaken = "uid_taken", Conflict, "The uid is in use";
    /// The application has as many endpoints as the installation allows.
    EndpointLimitReached = "endpoint_limit_reached", Conflict, "The application has too many endpoints";
    /// As many secrets of the endpoint sign as may.
    SecretLimitReached = "secret_limit_reached", Conflict, "Too many secrets of the endpoint are in use";
    /// The event type is registered already.
    EventTypeExists = "event_type_exists", Conflict, "The event type exists already";
    /// The tenant has as many event types as the installation allows.
    EventTypeLimitReached = "event_type_limit_reached", Conflict, "The tenant has too many event types";
    /// The address of a new tenant's owner belongs to a person who is known already.
    OwnerExists = "owner_exists", Conflict, "The owner is a known person";
    /// The person is a member of the tenant already.
    MemberExists = "member_exists", Conflict, "The person is a member already";
    /// An invitation to that address is pending.
    InvitationPending = "invitation_pending", Conflict, "An invitation is pending";
    /// The tenant would be left without an owner.
    LastOwner = "last_owner", Conflict, "The tenant must keep an owner";
    /// The tenant is being deleted, and there is no way back.
    TenantDeleting = "tenant_deleting", Conflict, "The tenant is being deleted";
    /// The master key cannot be replaced while nodes seal with another.
    KeysInUse = "keys_in_use", Conflict, "Another master key is still in use";
    /// The same event id or idempotency key was used with a different body.
    IdempotencyConflict = "idempotency_conflict", Conflict, "The key was used with a different body";
    /// A resend of a delivery that is still pending.
    DeliveryPending = "delivery_pending", Conflict, "The delivery is still pending";
    /// The message's time has come, or it was never scheduled.
    MessageNotCancellable = "message_not_cancellable", Conflict, "The message cannot be cancelled any more";
    /// The payload was expunged: the message is there, its bytes are not.
    PayloadExpunged = "payload_expunged", Gone, "The payload was expunged";
    /// A resend to an endpoint that is sent nothing.
    EndpointDisabled = "endpoint_disabled", Conflict, "The endpoint is disabled";
    /// As many replays are under way as may be.
    ReplayLimitReached = "replay_limit_reached", Conflict, "Too many replays are under way";
    /// Somebody else changed it in between.
    StaleVersion = "stale_version", Conflict, "The resource changed in between";
    /// `If-Match` names another version than the resource has.
    PreconditionFailed = "precondition_failed", PreconditionFailed, "The resource is not as you presume";
    /// The body is longer than allowed.
    PayloadTooLarge = "payload_too_large", TooLarge, "The body is too large";
    /// The body's media type is not one that the route takes.
    UnsupportedMediaType = "unsupported_media_type", UnsupportedMediaType, "The media type is not supported";
    /// The database cannot be reached, or we are shutting down.
    Unavailable = "unavailable", Unavailable, "The service is unavailable";
    /// As many messages wait to be stored as may.
    IntakeFull = "intake_full", Unavailable, "Too many messages wait to be stored";
    /// More requests than the caller or its tenant may send.
    RateLimited = "rate_limited", TooMany, "Too many requests";
    /// The tenant has its share of the messages that may wait to be stored, and others wait too.
    IntakeShareExceeded = "intake_share_exceeded", TooMany, "Too many messages of this tenant wait to be stored";
    /// The connection was lost at commit: it may or may not have been accepted. Repeat with the same key.
    OutcomeUnknown = "outcome_unknown", Unavailable, "The outcome is unknown";
    /// A fault of ours.
    Internal = "internal", Internal, "Something went wrong on our side";
}

/// One broken rule of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The field, as the caller wrote it: `event_types[2]`, `url`.
    pub field: Cow<'static, str>,
    /// The stable name of the rule.
    pub rule: Cow<'static, str>,
    /// One sentence for people; never the value itself.
    pub message: String,
}

impl Violation {
    /// What `field` did wrong.
    pub fn new(field: impl Into<Cow<'static, str>>, invalid: InvalidValue) -> Self {
        Self {
            field: field.into(),
            rule: invalid.rule.code().into(),
            message: invalid.message,
        }
    }
}

/// Collects the violations of several fields, so that all are answered at once.
#[derive(Debug, Default)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// The value, or its violation noted and nothing.
    pub fn check<T>(
        &mut self,
        field: impl Into<Cow<'static, str>>,
        value: std::result::Result<T, InvalidValue>,
    ) -> Option<T> {
        value
            .map_err(|invalid| self.0.push(Violation::new(field, invalid)))
            .ok()
    }

    /// Notes a violation.
    pub fn push(&mut self, violation: Violation) {
        self.0.push(violation);
    }

    /// Nothing if no rule was broken, else the error with all of them.
    pub fn finish(self) -> Result<()> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Error::invalid(self.0))
        }
    }
}

/// Why a use case did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("{}: {detail}", code.as_str())]
pub struct Error {
    code: ErrorCode,
    detail: Cow<'static, str>,
    violations: Vec<Violation>,
    retry_after: Option<Duration>,
    #[source]
    cause: Option<Cause>,
}

impl Error {
    /// An error that the caller may read.
    pub fn new(code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            violations: Vec::new(),
            retry_after: None,
            cause: None,
        }
    }

    /// Several broken rules.
    pub fn invalid(violations: Vec<Violation>) -> Self {
        let detail = match &violations[..] {
            [one] => format!("{} {}", one.field, one.message),
            many => format!("{} rules are broken", many.len()),
        };
        Self {
            violations,
            ..Self::new(ErrorCode::ValidationFailed, detail)
        }
    }

    /// One broken rule of one field.
    pub fn invalid_field(field: impl Into<Cow<'static, str>>, invalid: InvalidValue) -> Self {
        Self::invalid(vec![Violation::new(field, invalid)])
    }

    /// The same error, of the item at `index` of the field `list`.
    #[must_use]
    pub fn of_item(mut self, list: &str, index: usize) -> Self {
        for violation in &mut self.violations {
            violation.field = match &*violation.field {
                // The item itself.
                "body" => format!("{list}[{index}]"),
                field => format!("{list}[{index}].{field}"),
            }
            .into();
        }
        self.detail = format!("{list}[{index}]: {}", self.detail).into();
        self
    }

    /// The broken rules, if that is what it is.
    pub fn into_violations(self) -> Vec<Violation> {
        self.violations
    }

    /// There is no such thing for this caller.
    pub fn not_found(what: &'static str) -> Self {
        Self::new(ErrorCode::NotFound, format!("there is no such {what}"))
    }

    /// A fault of ours, with its cause for the trace.
    pub fn internal(cause: impl Into<Cause>) -> Self {
        Self::new(ErrorCode::Internal, "an internal error occurred").caused_by(cause)
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// How long to wait before trying again, if that is known.
    pub const fn wait(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Adds the cause, for the trace only.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Cause>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The stable code.
    pub const fn code(&self) -> ErrorCode {
        self.code
    }

    /// The sentence for the caller.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The broken rules, if that is what it is.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// The error and its causes in one line, for the trace.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(next) = cause {
            text.push_str(": ");
            text.push_str(&next.to_string());
            cause = next.source();
        }
        text
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Stale => Self::new(ErrorCode::StaleVersion, "read it again and repeat the change"),
            StoreError::Conflict(UniqueRule::ApplicationUid | UniqueRule::EndpointUid) => {
                Self::new(ErrorCode::UidTaken, "another resource has this uid")
            }
            StoreError::Conflict(UniqueRule::EventTypeName) => Self::new(
                ErrorCode::EventTypeExists,
                "an event type of this name is registered",
            ),
            StoreError::Conflict(UniqueRule::Membership) => {
                Self::new(ErrorCode::MemberExists, "the person is a member of this tenant")
            }
            StoreError::Conflict(UniqueRule::Invitation) => Self::new(
                ErrorCode::InvitationPending,
                "withdraw the pending invitation to this address first",
            ),
            StoreError::Conflict(UniqueRule::PendingDelivery) => {
                Self::new(ErrorCode::DeliveryPending, "an attempt is to come anyway")
            }
            // The other request of that key is found when the key is looked up again; if it is gone by then, so is what
            // it kept from being done.
            StoreError::Conflict(UniqueRule::IdempotencyKey) => Self::new(
                ErrorCode::StaleVersion,
                "a request with the same key was under way; repeat the request",
            ),
            // Two registrations of one address at the same time: the loser finds the person when it repeats.
            StoreError::Conflict(UniqueRule::UserEmail) => Self::new(
                ErrorCode::StaleVersion,
                "the person was registered in between; repeat the request",
            ),
            StoreError::Unavailable(cause) => {
                Self::new(ErrorCode::Unavailable, "the database cannot be reached").caused_by(cause)
            }
            StoreError::Internal(cause) => Self::internal(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_unique_and_snake_case() {
        let codes: HashSet<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes.len(), ErrorCode::ALL.len());
        assert!(
            codes
                .iter()
                .all(|c| c.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        );
    }

    #[test]
    fn display_does_not_repeat_the_cause_and_the_chain_does() {
        let error = Error::internal("disk on fire");
        assert!(!error.to_string().contains("fire"));
        assert_eq!(
            error.chain(),
            "internal: an internal error occurred: disk on fire"
        );
    }
}
