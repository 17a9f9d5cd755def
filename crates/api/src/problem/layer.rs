use std::{fmt, panic::AssertUnwindSafe};

use actix_web::{
    HttpMessage as _, HttpResponse, ResponseError,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{StatusCode, header},
    middleware::Next,
};
use futures_util::FutureExt as _;
use postrider_application::{Error, ErrorCode};

use super::{MEDIA_TYPE, PAGES, Problem, ProblemBody, code_of, public_detail, retry_after, status_of};
use crate::request_id::{self, RequestId};

/// The most characters of a path that a problem repeats.
const MAX_INSTANCE: usize = 1_024;

/// What a problem says of the request that it answers. Taken before the request is handed on: keeping the request
/// itself would forbid the router to change it.
struct Occurrence {
    instance: String,
    request_id: Option<RequestId>,
}

impl Occurrence {
    fn of(request: &ServiceRequest) -> Self {
        Self {
            instance: request.uri().path().chars().take(MAX_INSTANCE).collect(),
            request_id: request.extensions().get().cloned(),
        }
    }

    fn render(&self, problem: &Problem) -> HttpResponse {
        let error = &problem.error;
        let code = error.code();
        let status = status_of(code.kind());
        let request_id = self
            .request_id
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let body = ProblemBody {
            kind: format!("{PAGES}/{}", code.as_str()),
            title: code.title(),
            status: status.as_u16(),
            detail: public_detail(error),
            code: code.as_str(),
            instance: &self.instance,
            request_id: &request_id,
            errors: error.violations().iter().map(Into::into).collect(),
        };
        let mut response = HttpResponse::build(status);
        response
            .content_type(MEDIA_TYPE)
            .insert_header((header::CACHE_CONTROL, "no-store"));
        match status {
            StatusCode::UNAUTHORIZED => {
                response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                response.insert_header((header::ALLOW, problem.allow.join(", ")));
            }
            _ => {}
        }
        if let Some(seconds) = retry_after(error) {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        // Strings and numbers only: serialising cannot fail, and an empty body would still have its status.
        response.body(serde_json::to_vec(&body).unwrap_or_default())
    }
}

/// The middleware that turns every error, and every panic, into a problem.
pub(crate) async fn problems<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let occurrence = Occurrence::of(&request);
    // Unwind safety: whatever the panic left half-done belonged to this request, and is dropped with it.
    match AssertUnwindSafe(next.call(request)).catch_unwind().await {
        Ok(Ok(response)) => Ok(answer(response, &occurrence)),
        Ok(Err(error)) => Err(Unanswered::new(
            occurrence,
            problem_of(&error, error.as_response_error().status_code()),
        )
        .into()),
        Err(_) => {
            tracing::error!("a handler panicked");
            Err(Unanswered::new(occurrence, Error::internal("a handler panicked").into()).into())
        }
    }
}

fn answer<B>(response: ServiceResponse<B>, occurrence: &Occurrence) -> ServiceResponse<EitherBody<B>> {
    if !is_error(response.status()) {
        return response.map_into_left_body();
    }
    let problem = match response.response().error() {
        Some(error) => match error.as_error::<Problem>() {
            Some(problem) => occurrence.render(problem),
            None => occurrence.render(&problem_of(error, response.status())),
        },
        // An answer that was meant: `/health/ready` says in a body of its own what is wrong.
        None if is_json(&response) => {
            return response.map_into_left_body();
        }
        None => occurrence.render(&foreign(response.status())),
    };
    ServiceResponse::new(response.into_parts().0, problem).map_into_right_body()
}

fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

fn is_json<B>(response: &ServiceResponse<B>) -> bool {
    response
        .response()
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/json"))
}

/// The problem of an error that is none of ours; its text goes to the trace.
fn problem_of(error: &actix_web::Error, status: StatusCode) -> Problem {
    tracing::debug!(status = status.as_u16(), "the framework refused: {error}");
    foreign(status)
}

fn foreign(status: StatusCode) -> Problem {
    let code = code_of(status);
    let detail = match code {
        ErrorCode::NotFound => "there is no such path",
        _ => "the request was refused before it was understood",
    };
    Error::new(code, detail).into()
}

/// A problem whose request is gone: it was rendered before, for the framework to answer.
struct Unanswered {
    occurrence: Occurrence,
    problem: Problem,
}

impl Unanswered {
    fn new(occurrence: Occurrence, problem: Problem) -> Self {
        Self { occurrence, problem }
    }
}

impl fmt::Debug for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.problem, f)
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.problem, f)
    }
}

impl ResponseError for Unanswered {
    fn status_code(&self) -> StatusCode {
        self.problem.status_code()
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = self.occurrence.render(&self.problem);
        // The middleware outside of this one never see a response to put it on.
        if let Some(id) = &self.occurrence.request_id {
            response.headers_mut().insert(request_id::HEADER, id.as_header());
        }
        response
    }
}
