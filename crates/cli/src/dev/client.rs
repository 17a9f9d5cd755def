//! The few REST calls that `dev` makes against its own API, over real HTTP like any consumer's.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
#[expect(
    clippy::disallowed_types,
    reason = "it talks to our own API on loopback, not to endpoints"
)]
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::Value;

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The API answered with a problem.
    #[error("{method} {path} was answered with {status}: {detail}")]
    Refused {
        method: &'static str,
        path: String,
        status: u16,
        detail: String,
    },
    /// No answer.
    #[error("{method} {path} was not answered")]
    Transport {
        method: &'static str,
        path: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ClientError {
    /// The HTTP status, if the API answered.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Transport { .. } => None,
        }
    }
}

/// A client of one API, with one credential.
#[expect(
    clippy::disallowed_types,
    reason = "it talks to our own API on loopback, not to endpoints"
)]
pub(crate) struct ApiClient {
    base: String,
    bearer: Option<String>,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl ApiClient {
    /// A client without credential.
    pub(crate) fn new(base: String) -> Self {
        Self {
            base,
            bearer: None,
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// The same client with a credential.
    pub(crate) fn with_bearer(&self, bearer: String) -> Self {
        Self {
            base: self.base.clone(),
            bearer: Some(bearer),
            client: self.client.clone(),
        }
    }

    /// GET, answered with JSON.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, ClientError> {
        self.call("GET", path, None).await
    }

    /// POST of JSON, answered with JSON (or null, where there is nothing to say).
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        self.call("POST", path, Some(body)).await
    }

    async fn call(
        &self,
        method: &'static str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ClientError> {
        let transport = |source| ClientError::Transport {
            method,
            path: path.to_owned(),
            source,
        };
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        if let Some(bearer) = &self.bearer {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(|e| transport(e.into()))?;
        let response = self
            .client
            .request(request)
            .await
            .map_err(|e| transport(e.into()))?;
        let status = response.status();
        let bytes = response
            .into_body()
            .collect()
            .await
            .map_err(|e| transport(e.into()))?
            .to_bytes();
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.is_success() {
            return Ok(value);
        }
        let detail = value["detail"].as_str().unwrap_or_default().to_owned();
        Err(ClientError::Refused {
            method,
            path: path.to_owned(),
            status: status.as_u16(),
            detail,
        })
    }
}
