//! The answer of a command: sent at once, and kept for whoever repeats the command with the same key.

use std::sync::Arc;

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};
use postrider_application::{
    Error, UseCases,
    mediator::{Request, Serves},
    once::Once,
};
use postrider_domain::Version;
use postrider_persistence::SqlStore;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, Value, to_raw_value};

use crate::{
    ApiContext,
    extract::{Repeatable, etag},
    problem::Problem,
};

/// Where a client says that it may send the same request again.
pub(crate) const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
/// Where an answer says that it is one of before.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Stands in place of a secret in the answer of a repeated request.
pub(crate) const ALREADY_SHOWN: &str = "secret_already_shown";

/// What a command is answered.
pub(crate) struct Answer {
    status: StatusCode,
    location: Option<String>,
    etag: Option<String>,
    /// The field of the body that is shown this once.
    secret: Option<&'static str>,
    body: serde_json::Result<Option<Box<RawValue>>>,
}

/// What is kept of it. Rows of before stay readable: fields may be added, if they may be absent.
#[derive(Serialize, Deserialize)]
struct Kept {
    status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(default)]
    no_store: bool,
    #[serde(default)]
    body: Option<Box<RawValue>>,
}

impl Answer {
    fn new(status: StatusCode, body: serde_json::Result<Option<Box<RawValue>>>) -> Self {
        Self {
            status,
            location: None,
            etag: None,
            secret: None,
            body,
        }
    }

    /// 200, with the resource as it is now.
    pub(crate) fn ok(body: &impl Serialize) -> Self {
        Self::new(StatusCode::OK, to_raw_value(body).map(Some))
    }

    /// 201, with what was created.
    pub(crate) fn created(body: &impl Serialize) -> Self {
        Self::new(StatusCode::CREATED, to_raw_value(body).map(Some))
    }

    /// 202: it is on its way.
    pub(crate) fn accepted(body: &impl Serialize) -> Self {
        Self::new(StatusCode::ACCEPTED, to_raw_value(body).map(Some))
    }

    /// 204: done, and nothing to say.
    pub(crate) fn done() -> Self {
        Self::new(StatusCode::NO_CONTENT, Ok(None))
    }

    /// 202: it will be done soon, and there is nothing else to say.
    pub(crate) fn noted() -> Self {
        Self::new(StatusCode::ACCEPTED, Ok(None))
    }

    /// Where what was created is found.
    #[must_use]
    pub(crate) fn at(self, location: impl Into<String>) -> Self {
        Self {
            location: Some(location.into()),
            ..self
        }
    }

    /// The version of the resource, as its `ETag`.
    #[must_use]
    pub(crate) fn tagged(self, version: Version) -> Self {
        Self {
            etag: Some(etag(version)),
            ..self
        }
    }

    /// The body's `field` is a secret: it is shown this once and never kept, neither by us nor on the way.
    #[must_use]
    pub(crate) fn showing_once(self, field: &'static str) -> Self {
        Self {
            secret: Some(field),
            ..self
        }
    }

    /// The bytes that are kept: all but the secret.
    fn kept(self) -> serde_json::Result<Vec<u8>> {
        let body = self.body?;
        let body = match (self.secret, body) {
            (Some(secret), Some(body)) => Some(without(&body, secret)?),
            (_, body) => body,
        };
        serde_json::to_vec(&Kept {
            status: self.status.as_u16(),
            location: self.location,
            etag: self.etag,
            no_store: self.secret.is_some(),
            body,
        })
    }

    fn respond(self) -> Result<HttpResponse, Problem> {
        let body = self.body.map_err(Error::internal)?;
        let (status, no_store) = (self.status, self.secret.is_some());
        Ok(respond(status, self.location, self.etag, no_store, body))
    }
}

fn respond(
    status: StatusCode,
    location: Option<String>,
    etag: Option<String>,
    no_store: bool,
    body: Option<Box<RawValue>>,
) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    for (name, value) in [(header::LOCATION, location), (header::ETAG, etag)] {
        if let Some(value) = value {
            response.insert_header((name, value));
        }
    }
    if no_store {
        response.insert_header((header::CACHE_CONTROL, "no-store"));
    }
    match body {
        Some(body) => response
            .content_type("application/json")
            .body(String::from(Box::<str>::from(body))),
        None => response.finish(),
    }
}

/// The object without its field `secret`, and the word that it was shown.
fn without(body: &RawValue, secret: &str) -> serde_json::Result<Box<RawValue>> {
    let mut body: serde_json::Map<String, Value> = serde_json::from_str(body.get())?;
    body.remove(secret);
    body.insert(ALREADY_SHOWN.to_owned(), Value::Bool(true));
    to_raw_value(&body)
}

/// The answer of before, which says that it is one.
fn replay(bytes: &[u8]) -> Result<HttpResponse, Problem> {
    let kept: Kept = serde_json::from_slice(bytes).map_err(unreadable)?;
    let status = StatusCode::from_u16(kept.status).map_err(Error::internal)?;
    let mut response = respond(status, kept.location, kept.etag, kept.no_store, kept.body);
    let value = HeaderValue::from_static("true");
    response.headers_mut().insert(REPLAYED, value);
    Ok(response)
}

/// serde's errors may repeat what stands there.
#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands on")]
fn unreadable(error: serde_json::Error) -> Error {
    Error::internal(format!(
        "a kept answer cannot be read at line {}, column {}",
        error.line(),
        error.column()
    ))
}

impl ApiContext {
    /// Sends `command`, if it was not done under the caller's `Idempotency-Key` before, and answers as `show` says;
    /// else as it was answered then.
    pub(crate) async fn once<R: Request>(
        &self,
        caller: &Repeatable,
        command: R,
        show: impl Fn(R::Output) -> Answer + Send + Sync + 'static,
    ) -> Result<HttpResponse, Problem>
    where
        UseCases<SqlStore>: Serves<R>,
        R::Output: Clone + Sync + 'static,
    {
        let show = Arc::new(show);
        let render = {
            let show = show.clone();
            // An answer that is no JSON is none at all, and fails when it is sent; an empty one is never read as one.
            move |output: &R::Output| show(output.clone()).kept().unwrap_or_default()
        };
        let key = caller.key();
        let done = self
            .mediator
            .send_once(caller.caller(), key.as_ref(), command, render)
            .await?;
        match done {
            Once::Fresh(output) => show(output).respond(),
            Once::Replayed(bytes) => replay(&bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::body::{MessageBody as _, to_bytes};
    use serde_json::json;

    async fn shown(response: HttpResponse) -> (u16, Vec<(String, String)>, String) {
        let headers = response.headers().iter();
        let mut headers: Vec<_> = headers
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        headers.sort();
        let status = response.status().as_u16();
        let Ok(body) = to_bytes(response.into_body().boxed()).await else {
            panic!("it is there already")
        };
        (status, headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[actix_web::test]
    async fn what_is_replayed_is_what_was_answered() {
        // Not in the order of the alphabet, and with a number that is no float.
        let body = to_raw_value(&json!({"z": 1, "a": 18_446_744_073_709_551_615_u64})).unwrap();
        let answer = || Answer::created(&body).at("/v1/things/1");
        let (status, headers, text) = shown(answer().respond().unwrap()).await;
        let (again, mut same, same_text) = shown(replay(&answer().kept().unwrap()).unwrap()).await;
        let replayed = ("idempotent-replayed".to_owned(), "true".to_owned());
        assert!(same.contains(&replayed));
        same.retain(|header| *header != replayed);
        assert_eq!((status, &headers, &text), (again, &same, &same_text));
        assert!(headers.contains(&("location".to_owned(), "/v1/things/1".to_owned())));
    }

    #[actix_web::test]
    async fn a_secret_is_sent_and_not_kept() {
        let answer = || Answer::created(&json!({"id": "ep_1", "secret": "hunter2"})).showing_once("secret");
        let (_, headers, text) = shown(answer().respond().unwrap()).await;
        assert!(text.contains("hunter2") && !text.contains(ALREADY_SHOWN));
        let kept = answer().kept().unwrap();
        assert!(!String::from_utf8(kept.clone()).unwrap().contains("hunter2"));
        let (_, replayed, text) = shown(replay(&kept).unwrap()).await;
        assert_eq!(
            serde_json::from_str::<Value>(&text).unwrap(),
            json!({"id": "ep_1", "secret_already_shown": true})
        );
        let no_store = ("cache-control".to_owned(), "no-store".to_owned());
        assert!(headers.contains(&no_store) && replayed.contains(&no_store));
    }

    #[actix_web::test]
    async fn a_kept_answer_that_cannot_be_read_is_our_fault_and_not_told() {
        let problem = replay(b"{\"status\":201,\"body\":hunter2}").unwrap_err();
        assert_eq!(problem.to_string(), "internal");
        assert!(!format!("{problem:?}").contains("hunter2"));
        assert!(replay(b"").is_err());
    }
}
