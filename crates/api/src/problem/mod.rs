//! RFC 9457 problems. The one place that knows which HTTP status a kind of error has.
//!
//! A [`Problem`] is made anywhere below and rendered in one place, the middleware [`problems`], which knows the
//! request's path and id. What the framework answers by itself becomes a problem there too.

mod layer;
mod pages;

use std::fmt;

use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use postrider_application::{Error, ErrorCode, ErrorKind, Violation};
use serde::Serialize;
use utoipa::ToSchema;

pub(crate) use layer::problems;
pub(crate) use pages::page;

/// The media type of a problem.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// Where the page of each code is served.
pub(crate) const PAGES: &str = "/problems";

/// After how many seconds it is worth trying again, where nobody knows better.
pub(crate) const RETRY_AFTER_SECONDS: u64 = 1;

/// An error on its way out.
#[derive(Debug)]
pub(crate) struct Problem {
    error: Error,
    allow: Vec<&'static str>,
}

impl Problem {
    /// The path exists, with these methods.
    pub(crate) fn method_not_allowed(allow: Vec<&'static str>) -> Self {
        Self {
            error: Error::new(ErrorCode::MethodNotAllowed, "see the Allow header"),
            allow,
        }
    }

    /// There is no such path.
    pub(crate) fn no_such_path() -> Self {
        Error::new(ErrorCode::NotFound, "there is no such path").into()
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self {
            error,
            allow: Vec::new(),
        }
    }
}

impl fmt::Display for Problem {
    /// The code only: sentences and causes are for the caller and for the trace.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.error.code().as_str())
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        status_of(self.error.code().kind())
    }

    /// The bare status; [`problems`] renders the rest.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}

/// The HTTP status of a kind of error.
pub(crate) const fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Malformed => StatusCode::BAD_REQUEST,
        ErrorKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorKind::Gone => StatusCode::GONE,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::TooMany => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// After how many whole seconds it is worth trying again; none, if it never is.
fn retry_after(error: &Error) -> Option<u64> {
    match error.code().kind() {
        ErrorKind::Unavailable | ErrorKind::TooMany => {
            let known = error
                .wait()
                .map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
            Some(known.unwrap_or(0).max(RETRY_AFTER_SECONDS))
        }
        _ => None,
    }
}

/// The code of a status that the framework answered by itself.
fn code_of(status: StatusCode) -> ErrorCode {
    match status {
        StatusCode::UNAUTHORIZED => ErrorCode::Unauthenticated,
        StatusCode::FORBIDDEN => ErrorCode::Forbidden,
        StatusCode::NOT_FOUND => ErrorCode::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => ErrorCode::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => ErrorCode::PayloadTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ErrorCode::UnsupportedMediaType,
        StatusCode::SERVICE_UNAVAILABLE => ErrorCode::Unavailable,
        status if status.is_client_error() => ErrorCode::MalformedRequest,
        _ => ErrorCode::Internal,
    }
}

/// What may be said of an error. Of our own faults, never more than this.
pub(crate) fn public_detail(error: &Error) -> &str {
    match error.code() {
        ErrorCode::Internal => "the fault is ours; the request id finds its trace",
        ErrorCode::Unavailable => "not now: try again in a moment",
        ErrorCode::OutcomeUnknown => {
            "the message may or may not have been accepted: repeat it with the same event_id or Idempotency-Key"
        }
        _ => error.detail(),
    }
}

/// A problem (RFC 9457). The `code` is stable; match on it, never on sentences.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody<'a> {
    /// The page that explains the code, relative to the API.
    #[serde(rename = "type")]
    #[schema(examples("/problems/validation_failed"))]
    kind: String,
    /// The same for every occurrence of the code.
    #[schema(examples("The request breaks one or more rules"))]
    title: &'a str,
    /// The HTTP status.
    #[schema(examples(422))]
    status: u16,
    /// What went wrong this time, for people.
    #[schema(examples("name must not be empty"))]
    detail: &'a str,
    /// The stable code.
    #[schema(examples("validation_failed"))]
    code: &'a str,
    /// The path of the request.
    #[schema(examples("/v1/applications"))]
    instance: &'a str,
    /// The id of the request, which finds it in logs and traces.
    #[schema(examples("0193a5d2-7b1c-7a51-9f0e-3c1d5a7e9b20"))]
    request_id: &'a str,
    /// Each broken rule of each field; only with `validation_failed`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError<'a>>,
}

/// One broken rule of one field.
#[derive(Serialize, ToSchema)]
pub(crate) struct FieldError<'a> {
    /// The field as it was written: `event_types[2]`, `owner.email`; for other places the parameter's or header's
    /// name, and `body` for the body as a whole.
    #[schema(examples("name"))]
    field: &'a str,
    /// The stable name of the rule.
    #[schema(examples("required"))]
    rule: &'a str,
    /// One sentence for people.
    #[schema(examples("must not be empty"))]
    message: &'a str,
}

impl<'a> From<&'a Violation> for FieldError<'a> {
    fn from(violation: &'a Violation) -> Self {
        Self {
            field: &violation.field,
            rule: &violation.rule,
            message: &violation.message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_faults_say_nothing_of_their_causes() {
        for code in ErrorCode::ALL {
            let error = Error::new(*code, "host db-1 refused").caused_by("secret");
            // A full queue has no cause that could be told.
            let ours = matches!(code.kind(), ErrorKind::Internal | ErrorKind::Unavailable)
                && *code != ErrorCode::IntakeFull;
            assert_eq!(public_detail(&error).contains("db-1"), !ours, "{}", code.as_str());
        }
    }

    #[test]
    fn whoever_must_wait_is_told_how_long_and_never_too_short() {
        use std::time::Duration;
        let wait =
            |code, millis| retry_after(&Error::new(code, "x").retry_after(Duration::from_millis(millis)));
        assert_eq!(wait(ErrorCode::TooManyAttempts, 1_001), Some(2));
        assert_eq!(wait(ErrorCode::TooManyAttempts, 3_000), Some(3));
        assert_eq!(wait(ErrorCode::TooManyAttempts, 0), Some(1));
        assert_eq!(wait(ErrorCode::Unavailable, 9_999), Some(10));
        assert_eq!(wait(ErrorCode::Forbidden, 9_999), None);
        assert_eq!(retry_after(&Error::new(ErrorCode::OutcomeUnknown, "x")), Some(1));
        assert_eq!(retry_after(&Error::new(ErrorCode::TooManyAttempts, "x")), Some(1));
    }

    #[test]
    fn a_status_of_the_framework_keeps_its_meaning() {
        for code in ErrorCode::ALL {
            let status = status_of(code.kind());
            assert_eq!(
                status_of(code_of(status).kind()).is_server_error(),
                status.is_server_error()
            );
        }
        assert_eq!(code_of(StatusCode::IM_A_TEAPOT), ErrorCode::MalformedRequest);
        assert_eq!(code_of(StatusCode::BAD_GATEWAY), ErrorCode::Internal);
    }
}
