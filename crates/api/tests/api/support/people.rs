//! People, as they come into a tenant and log in.

use actix_web::test::TestRequest;
use postrider_application::{access::Caller, users::IssuePasswordReset};
use postrider_domain::users::Email;
use serde_json::{Value, json};

use super::{Answer, Api, PASSWORD};

/// Somebody who is a member of a tenant, and logged in.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) email: String,
    /// The id of the membership.
    pub(crate) member: String,
    pub(crate) token: String,
    pub(crate) refresh_token: String,
}

impl Api {
    /// Logs in with everybody's password.
    pub(crate) async fn log_in(&self, email: &str) -> Answer {
        self.log_in_with(email, PASSWORD, "203.0.113.1:1000").await
    }

    /// Logs in from that address.
    pub(crate) async fn log_in_with(&self, email: &str, password: &str, from: &str) -> Answer {
        let request = TestRequest::post()
            .uri("/v1/auth/login")
            .peer_addr(from.parse().unwrap())
            .set_json(json!({"email": email, "password": password}));
        self.send(request).await
    }

    /// Invites, accepts and logs in.
    pub(crate) async fn member(&self, inviter: &str, email: &str, grants: Value) -> Person {
        let token = self
            .invite(inviter, email, grants)
            .await
            .expect(201)
            .text("token");
        let joined = self.accept(&token, PASSWORD).await.expect(201);
        let login = self.log_in(email).await.expect(200);
        Person {
            email: email.to_owned(),
            member: joined.text("member"),
            token: login.text("access_token"),
            refresh_token: login.text("refresh_token"),
        }
    }

    pub(crate) async fn invite(&self, inviter: &str, email: &str, grants: Value) -> Answer {
        let body = json!({"email": email, "grants": grants});
        self.post(inviter, "/v1/invitations", body).await
    }

    pub(crate) async fn accept(&self, token: &str, password: &str) -> Answer {
        let body = json!({"token": token, "password": password, "name": "Grace"});
        self.post("", "/v1/invitations/accept", body).await
    }

    pub(crate) async fn refresh(&self, token: &str) -> Answer {
        let body = json!({"refresh_token": token});
        self.post("", "/v1/auth/refresh", body).await
    }

    /// The token that the operator's command line prints.
    pub(crate) async fn password_reset(&self, email: &str) -> String {
        let email = Email::parse(email).unwrap();
        let issued = self
            .context
            .mediator
            .send(&Caller::operator("command-line"), IssuePasswordReset { email })
            .await
            .unwrap();
        issued.token.reveal()
    }
}
