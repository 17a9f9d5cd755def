use std::{
    future::{Ready, ready},
    sync::Arc,
};

use actix_web::{FromRequest, HttpMessage as _, HttpRequest, dev::Payload, web::Data};
use postrider_application::{Error, Violation, access::Caller, once::OnceKey};
use postrider_crypto::AskedKeys;
use postrider_domain::{InvalidValue, Rule, messages::DedupKey};
use sha2::{Digest as _, Sha256};

use super::Authenticated;
use crate::{ApiContext, answer::IDEMPOTENCY_KEY, problem::Problem};

/// Whom authentication let in, with a command that they may repeat: by its `Idempotency-Key`.
pub(crate) struct Repeatable {
    caller: Caller,
    key: Option<DedupKey>,
    request: HttpRequest,
    asked: Arc<AskedKeys>,
}

impl Repeatable {
    /// Who.
    pub(crate) const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The key, and what is asked under it: method, path and body. To be asked when the body has been read.
    pub(crate) fn key(&self) -> Option<OnceKey> {
        let key = self.key.clone()?;
        // Neither holds a space.
        let mut asked = Vec::new();
        asked.extend_from_slice(self.request.method().as_str().as_bytes());
        asked.push(b' ');
        asked.extend_from_slice(self.request.uri().to_string().as_bytes());
        asked.push(b' ');
        asked.extend_from_slice(&BodyHash::left(&self.request));
        let (asked, also) = self.asked.hashes(&asked);
        Some(OnceKey { key, asked, also })
    }
}

impl FromRequest for Repeatable {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let caller = Authenticated::from_request(request, payload).into_inner();
        ready(caller.and_then(|Authenticated(caller)| {
            Ok(Self {
                caller,
                key: key(request)?,
                request: request.clone(),
                asked: asked_keys(request)?,
            })
        }))
    }
}

/// `pipeline::app` puts the context.
fn asked_keys(request: &HttpRequest) -> Result<Arc<AskedKeys>, Error> {
    let context = request.app_data::<Data<ApiContext>>();
    let context = context.ok_or_else(|| Error::internal("no context"))?;
    Ok(Arc::clone(&context.asked))
}

/// SHA-256 of a body that an extractor has read, left for [`Repeatable::key`].
#[derive(Clone)]
pub(crate) struct BodyHash([u8; 32]);

impl BodyHash {
    fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// What was left with a request that came with a key.
    pub(crate) fn left(request: &HttpRequest) -> [u8; 32] {
        let left = request.extensions().get::<Self>().cloned();
        left.unwrap_or_else(|| Self::of(&[])).0
    }

    /// Leaves the body's hash with the request, if it comes with a key.
    pub(crate) fn leave(request: &HttpRequest, bytes: &[u8]) {
        if request.headers().contains_key(IDEMPOTENCY_KEY) {
            request.extensions_mut().insert(Self::of(bytes));
        }
    }
}

fn key(request: &HttpRequest) -> Result<Option<DedupKey>, Error> {
    let mut values = request.headers().get_all(IDEMPOTENCY_KEY);
    let Some(first) = values.next() else {
        return Ok(None);
    };
    let key = match (first.to_str(), values.next()) {
        (Ok(text), None) => DedupKey::idempotency_key(text),
        _ => Err(malformed()),
    };
    key.map(Some)
        .map_err(|invalid| Error::invalid(vec![Violation::new(IDEMPOTENCY_KEY, invalid)]))
}

/// The violation of a header that is no text, or stands twice.
fn malformed() -> InvalidValue {
    InvalidValue::new(Rule::Charset, "must stand once and be visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::{http::Method, test::TestRequest};
    use postrider_crypto::MasterKey;

    async fn asked(method: Method, uri: &str, body: &[u8]) -> OnceKey {
        let request = TestRequest::default()
            .method(method)
            .uri(uri)
            .insert_header((IDEMPOTENCY_KEY, "k"))
            .to_http_request();
        BodyHash::leave(&request, body);
        let repeatable = Repeatable {
            caller: Caller::anonymous(),
            key: key(&request).unwrap(),
            request,
            asked: Arc::new(AskedKeys::new(&MasterKey::from_bytes([1; 32]), &[])),
        };
        repeatable.key().unwrap()
    }

    #[actix_web::test]
    async fn what_is_asked_is_method_path_and_body() {
        let first = asked(Method::POST, "/v1/a", b"{}").await;
        assert_eq!(asked(Method::POST, "/v1/a", b"{}").await, first);
        for other in [
            asked(Method::PUT, "/v1/a", b"{}").await,
            asked(Method::POST, "/v1/b", b"{}").await,
            asked(Method::POST, "/v1/a?x", b"{}").await,
            asked(Method::POST, "/v1/a", b"{ }").await,
        ] {
            assert_ne!(other, first);
        }
    }

    #[test]
    fn a_key_is_one_short_text() {
        let of = |values: &[&[u8]]| {
            let mut request = TestRequest::default();
            for value in values {
                let value = actix_web::http::header::HeaderValue::from_bytes(value).unwrap();
                request = request.append_header((IDEMPOTENCY_KEY, value));
            }
            key(&request.to_http_request()).map_err(|error| error.violations()[0].field.to_string())
        };
        assert_eq!(of(&[]).unwrap(), None);
        assert!(of(&[b"k"]).unwrap().is_some());
        let long = [b'x'; 257];
        for bad in [&[&b""[..]][..], &[b"a", b"b"], &[b"\xc3\xa9"], &[&long]] {
            assert_eq!(of(bad).unwrap_err(), IDEMPOTENCY_KEY);
        }
    }
}
