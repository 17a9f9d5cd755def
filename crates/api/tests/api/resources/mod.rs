//! Applications and endpoints as resources: replaced, changed, deleted, listed; headers, secrets, tests.

mod applications;
mod endpoints;
mod headers;
mod secrets;

use actix_web::{http::Method, test::TestRequest};
use serde_json::Value;

use crate::support::{Answer, Api, Tenancy};

const ENDPOINTS: &str = "/v1/applications/app-1/endpoints";

async fn given() -> (Api, Tenancy) {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    (api, tenancy)
}

impl Api {
    /// Any method, of a resource at that version.
    async fn at(
        &self,
        token: &str,
        method: Method,
        path: &str,
        version: &str,
        body: Option<Value>,
    ) -> Answer {
        let mut request = TestRequest::default()
            .method(method)
            .uri(path)
            .insert_header(("authorization", format!("Bearer {token}")))
            .insert_header(("if-match", version));
        if let Some(body) = body {
            request = request.set_json(body);
        }
        self.send(request).await
    }
}

fn fault(answer: Answer) -> (String, String) {
    let mut all = answer.violations();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn is(field: &str, rule: &str) -> (String, String) {
    (field.to_owned(), rule.to_owned())
}
