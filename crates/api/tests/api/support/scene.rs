//! A tenant in which every operation of the API has something to be done to, and everybody who could ask.

use std::collections::HashMap;

use postrider_domain::{access::Role, deliveries::Outcome};
use serde_json::{Value, json};

use super::{Api, Operation, PASSWORD, Segments, Tenancy, owner_of};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// A person with a role on the tenant.
    OnTenant(Role),
    /// A person with a role on the application that is asked about.
    OnApplication(Role),
    /// A machine: a publisher.
    ApiKey,
    /// One of the tenant's customers, with some permissions.
    Portal,
    /// Whoever runs the installation.
    Operator,
    /// Nobody known.
    Anonymous,
    /// The owner of another tenant.
    Stranger,
    /// The owner, after the tenant was suspended.
    Suspended,
}

impl Who {
    /// Everybody, with a short name each.
    pub(crate) fn everybody() -> Vec<(Self, String)> {
        let on_tenant = Role::ALL.map(|role| (Self::OnTenant(role), role.as_str().to_owned()));
        let on_application =
            Role::ALL.map(|role| (Self::OnApplication(role), format!("app.{}", role.as_str())));
        let others = [
            (Self::ApiKey, "key"),
            (Self::Portal, "portal"),
            (Self::Operator, "operator"),
            (Self::Anonymous, "nobody"),
            (Self::Stranger, "stranger"),
            (Self::Suspended, "suspended"),
        ];
        on_tenant
            .into_iter()
            .chain(on_application)
            .chain(others.map(|(who, name)| (who, name.to_owned())))
            .collect()
    }
}

/// What the portal token of a scene may do.
pub(crate) const PORTAL: [&str; 2] = ["endpoints:read", "messages:read"];

/// The tenant.
pub(crate) struct Scene {
    name: String,
    pub(crate) tenancy: Tenancy,
    pub(crate) segments: Segments,
    invitation_token: String,
    refresh_token: String,
    password_reset: String,
    credentials: HashMap<Who, String>,
}

impl Scene {
    /// A new tenant of that name, with everything.
    pub(crate) async fn set(api: &Api, name: &str) -> Self {
        let tenancy = api.tenancy(name).await;
        let owner = &tenancy.owner;
        api.deliver(
            &tenancy.message,
            &tenancy.endpoint,
            &[(Outcome::of_status(200), b"thanks")],
        )
        .await;
        let event_type = json!({"name": "order.shipped", "schema": {"type": "object"}});
        api.post(owner, "/v1/event-types", event_type).await.expect(201);
        let viewer = || json!([{"role": "viewer"}]);
        let member = api
            .member(owner, &format!("member@{name}.example"), viewer())
            .await;
        let invited = format!("invited@{name}.example");
        let invited = api.invite(owner, &invited, viewer()).await.expect(201);
        let key = json!({"name": "spare", "grants": viewer()});
        let key = api.post(owner, "/v1/api-keys", key).await.expect(201);
        let replays = format!("/v1/applications/app-1/endpoints/{}/replays", tenancy.endpoint);
        let replay = json!({"mode": "failed", "from": "2020-01-01T00:00:00Z"});
        let replay = api.post(owner, &replays, replay).await.expect(202);
        let body = json!({"event_type": "invoice.paid", "payload": {}, "deliver_at": "2090-01-01T00:00:00Z"});
        let path = "/v1/applications/app-1/messages";
        let scheduled = api.post(owner, path, body).await.expect(202);
        let segments = Segments {
            replay: replay.text("id"),
            application: tenancy.application.clone(),
            endpoint: tenancy.endpoint.clone(),
            message: tenancy.message.clone(),
            member: member.member,
            invitation: invited.text("id"),
            api_key: key.text("id"),
            tenant: tenancy.id.clone(),
            event_type: "order.shipped".to_owned(),
            scheduled: scheduled.text("id"),
            event: api.dead_letter(&tenancy.endpoint).await,
        };
        Self {
            name: name.to_owned(),
            segments,
            invitation_token: invited.text("token"),
            refresh_token: member.refresh_token,
            password_reset: api.password_reset(&member.email).await,
            credentials: HashMap::new(),
            tenancy,
        }
    }

    /// The credential of `who`, made when it is first asked for.
    pub(crate) async fn credential(&mut self, api: &Api, who: Who) -> String {
        if let Some(known) = self.credentials.get(&who) {
            return known.clone();
        }
        let owner = &self.tenancy.owner;
        let role_of = |role: Role, prefix: &str| format!("{prefix}{}@{}.example", role.as_str(), self.name);
        let made = match who {
            Who::OnTenant(role) => {
                let grants = json!([{"role": role.as_str()}]);
                api.member(owner, &role_of(role, "a-"), grants).await.token
            }
            Who::OnApplication(role) => {
                let grants = json!([{"role": role.as_str(), "application": "app-1"}]);
                api.member(owner, &role_of(role, "app-"), grants).await.token
            }
            Who::ApiKey => api.key(owner, json!([{"role": "publisher"}])).await,
            Who::Portal => {
                let body = json!({"permissions": PORTAL, "expires_in": 600});
                let path = "/v1/applications/app-1/portal-tokens";
                api.post(owner, path, body).await.expect(201).text("token")
            }
            Who::Operator => api.operator.clone(),
            Who::Anonymous => String::new(),
            Who::Stranger => api.owner(&format!("not-{}", self.name)).await.1,
            Who::Suspended => {
                let path = format!("/v1/operator/tenants/{}/suspend", self.tenancy.id);
                api.act(&api.operator, &path).await.expect(200);
                owner.clone()
            }
        };
        self.credentials.insert(who, made.clone());
        made
    }

    /// A body that the operation takes here: the document's example, but where it must hold what only this tenant has.
    pub(crate) fn body(&self, operation: &Operation) -> Option<Value> {
        let mut body = operation.example.clone()?;
        let own: &[(&str, &str)] = match operation.id.as_str() {
            "logIn" => &[("email", &owner_of(&self.name)), ("password", PASSWORD)],
            "refreshSession" | "logOut" => &[("refresh_token", &self.refresh_token)],
            "resetPassword" => &[("token", &self.password_reset)],
            "acceptInvitation" => &[("token", &self.invitation_token)],
            "changePassword" => &[("current_password", PASSWORD)],
            _ => &[],
        };
        for (field, value) in own {
            assert!(body[*field].is_string(), "{} has a {field}", operation.id);
            body[*field] = (*value).into();
        }
        Some(body)
    }
}
