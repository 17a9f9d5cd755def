//! A tenant with an application, set up over REST.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::{Api, Installation};
use crate::http::{Client, Response};

const TIMEOUT: Duration = Duration::from_secs(30);

/// A tenant of a running installation, with one application.
#[derive(Debug, Clone)]
pub struct Tenant {
    address: SocketAddr,
    key: String,
    application: String,
}

impl Tenant {
    /// Logs its owner in, mints an API key and makes the application.
    pub fn set_up(installation: &Installation, owner: &(String, String)) -> anyhow::Result<Self> {
        let address = installation.address();
        let (email, password) = owner;
        let login =
            Api::new(address, "").post("/v1/auth/login", &json!({ "email": email, "password": password }))?;
        let mut owner = Api::new(address, &text(&login, "access_token")?);
        let key = owner.post(
            "/v1/api-keys",
            &json!({ "name": "xtask", "grants": [{ "role": "developer" }] }),
        )?;
        let application = owner.post("/v1/applications", &json!({ "name": "Octocat" }))?;
        Ok(Self {
            address,
            key: text(&key, "token")?,
            application: text(&application, "id")?,
        })
    }

    /// The same tenant, served from another address: a proxy's.
    #[must_use]
    pub fn through(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// A client with the tenant's API key.
    pub fn api(&self) -> Api {
        Api::new(self.address, &self.key)
    }

    /// Where messages are published.
    pub fn messages(&self) -> String {
        format!("/v1/applications/{}/messages", self.application)
    }

    /// Makes an endpoint that is signed for with this secret, and answers its id.
    pub fn endpoint(&self, url: &str, secret: &str, schedule: Option<&[u64]>) -> anyhow::Result<String> {
        let mut body = json!({ "url": url, "secret": secret });
        if let Some(waits) = schedule {
            body["retry_policy"] = json!({ "schedule_seconds": waits });
        }
        let path = format!("/v1/applications/{}/endpoints", self.application);
        text(&self.api().post(&path, &body)?, "id")
    }

    /// Publishes this text as the payload, byte for byte, and answers the message's id.
    pub fn publish(&self, api: &mut Api, event_type: &str, payload: &str) -> anyhow::Result<String> {
        match api.try_post(&self.messages(), &publish_body(event_type, payload)) {
            crate::http::Outcome::Answered(response) => {
                ensure!(
                    response.status == 202,
                    "publishing {event_type}: {} {}",
                    response.status,
                    String::from_utf8_lossy(&response.body)
                );
                text(&response.json()?, "id")
            }
            outcome => anyhow::bail!("publishing {event_type}: {outcome:?}"),
        }
    }

    /// Publishes a message in a caller's trace and answers its id.
    pub fn publish_in(&self, traceparent: &str, event_type: &str, payload: &str) -> anyhow::Result<String> {
        let body = publish_body(event_type, payload);
        text(&self.post_in(traceparent, &self.messages(), &body)?.json()?, "id")
    }

    /// POST in a caller's trace, answered with success.
    pub fn post_in(&self, traceparent: &str, path: &str, body: &[u8]) -> anyhow::Result<Response> {
        let authorization = format!("Bearer {}", self.key);
        let headers = [
            ("authorization", authorization.as_str()),
            ("traceparent", traceparent),
        ];
        let answer = Client::new(self.address, TIMEOUT).post_json(path, &headers, body)?;
        ensure!(
            (200..300).contains(&answer.status),
            "POST {path}: {}",
            answer.status
        );
        Ok(answer)
    }

    /// Its API key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The message's deliveries, as the API lists them.
    pub fn deliveries(&self, api: &mut Api, message: &str) -> anyhow::Result<Vec<Value>> {
        list(api, &format!("{}/{message}/deliveries", self.messages()))
    }

    /// The attempts of the message at the endpoint, as the API lists them.
    pub fn attempts(&self, api: &mut Api, message: &str, endpoint: &str) -> anyhow::Result<Vec<Value>> {
        list(
            api,
            &format!("{}/{message}/deliveries/{endpoint}/attempts", self.messages()),
        )
    }

    /// The message's payload, as the API gives it back.
    pub fn payload(&self, api: &mut Api, message: &str) -> anyhow::Result<Vec<u8>> {
        Ok(api.get(&format!("{}/{message}/payload", self.messages()))?.body)
    }
}

/// A publish request; the payload stands in it as it is.
pub(crate) fn publish_body(event_type: &str, payload: &str) -> Vec<u8> {
    format!("{{\"event_type\":{},\"payload\":{payload}}}", json!(event_type)).into_bytes()
}

/// A list that fits one page.
fn list(api: &mut Api, path: &str) -> anyhow::Result<Vec<Value>> {
    let mut answer = api.get(path)?.json()?;
    ensure!(answer["next"].is_null(), "{path}: more than one page");
    match answer["data"].take() {
        Value::Array(items) => Ok(items),
        _ => anyhow::bail!("{path}: no `data`"),
    }
}

fn text(answer: &Value, field: &str) -> anyhow::Result<String> {
    answer[field]
        .as_str()
        .map(str::to_owned)
        .with_context(|| format!("the answer has no `{field}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_stands_in_the_request_as_it_is() {
        let body = publish_body("a.b", "{ \"x\" : 1.0 }");
        assert_eq!(body, br#"{"event_type":"a.b","payload":{ "x" : 1.0 }}"#);
    }
}
