//! A world of tenants, of whom everything bears a marker.

use std::cell::Cell;

use postrider_domain::deliveries::Outcome;
use serde_json::{Value, json};

use super::{APPLICATIONS, PORTAL, ROLES, TENANTS, Way, Who};
use crate::support::Api;

/// Whoever asks, and what they may be shown.
pub(super) struct Asker {
    pub(super) token: String,
    pub(super) tenant: Option<usize>,
    /// The applications of the tenant; none: all.
    pub(super) sees: Option<Vec<usize>>,
}

/// Ids of everything, of all tenants together.
#[derive(Default)]
pub(super) struct Ids {
    pub(super) tenants: Vec<String>,
    pub(super) applications: Vec<String>,
    pub(super) endpoints: Vec<String>,
    pub(super) messages: Vec<String>,
    pub(super) members: Vec<String>,
    pub(super) invitations: Vec<String>,
    pub(super) keys: Vec<String>,
    pub(super) event_types: Vec<String>,
}

pub(super) fn tenant_marker(tenant: usize) -> String {
    format!("mark-t{tenant}-")
}

pub(super) fn application_marker(tenant: usize, application: usize) -> String {
    format!("{}a{application}-", tenant_marker(tenant))
}

pub(super) struct World {
    pub(super) api: Api,
    pub(super) ids: Ids,
    pub(super) askers: Vec<Asker>,
    /// For addresses and names that must differ.
    pub(super) count: Cell<usize>,
}

impl World {
    pub(super) async fn new(people: &[Who]) -> Self {
        let api = Api::start().await;
        let operator = api.operator.clone();
        let mut world = Self {
            api,
            ids: Ids::default(),
            askers: Vec::new(),
            count: Cell::new(0),
        };
        let mut owners = Vec::new();
        for tenant in 0..TENANTS {
            owners.push(world.found(tenant).await);
        }
        for who in people {
            let asker = world.enter(who, &owners[who.tenant]).await;
            world.askers.push(asker);
        }
        for (tenant, token) in owners.into_iter().enumerate() {
            world.askers.push(Asker {
                token,
                tenant: Some(tenant),
                sees: None,
            });
        }
        for token in [operator, String::new()] {
            world.askers.push(Asker {
                token,
                tenant: None,
                sees: Some(Vec::new()),
            });
        }
        world
    }

    pub(super) fn next(&self) -> usize {
        self.count.set(self.count.get() + 1);
        self.count.get()
    }

    /// A tenant with its applications, and something in each; its owner's token.
    async fn found(&mut self, tenant: usize) -> String {
        let mark = tenant_marker(tenant);
        let (id, owner) = self.api.owner(&format!("{mark}name")).await;
        self.ids.tenants.push(id);
        let event_type = json!({"name": format!("happened.t{tenant}"), "description": format!("{mark}type")});
        let answer = self.api.post(&owner, "/v1/event-types", event_type).await;
        self.ids.event_types.push(answer.expect(201).text("name"));
        for application in 0..APPLICATIONS {
            let mark = application_marker(tenant, application);
            let uid = format!("app-{application}");
            let body = json!({"name": format!("{mark}name"), "uid": uid, "metadata": {"note": mark}});
            let answer = self.api.post(&owner, "/v1/applications", body).await;
            self.ids.applications.push(answer.expect(201).text("id"));
            let body = json!({"url": format!("https://hooks.example/{mark}url"), "uid": "hook"});
            let path = format!("/v1/applications/{uid}/endpoints");
            let answer = self.api.post(&owner, &path, body).await;
            self.ids.endpoints.push(answer.expect(201).text("id"));
            let body = json!({"event_type": "invoice.paid", "payload": {"secret": format!("{mark}payload")}});
            let path = format!("/v1/applications/{uid}/messages");
            let answer = self.api.post(&owner, &path, body).await;
            self.ids.messages.push(answer.expect(202).text("id"));
            // Delivered once, in vain: what the receiver said stands with the attempt.
            let (message, endpoint) = (self.ids.messages.last(), self.ids.endpoints.last());
            let said = format!("{mark}answer");
            let outcomes = [(Outcome::of_status(503), said.as_bytes())];
            self.api
                .deliver(message.unwrap(), endpoint.unwrap(), &outcomes)
                .await;
        }
        let members = self.api.get(&owner, "/v1/members").await.expect(200).json();
        let first = members["data"][0]["id"].as_str().unwrap().to_owned();
        self.ids.members.push(first);
        owner
    }

    async fn enter(&mut self, who: &Who, owner: &str) -> Asker {
        let mark = tenant_marker(who.tenant);
        let n = self.next();
        let mut grants: Vec<Value> = Vec::new();
        for (role, application) in &who.grants {
            let grant = application.map_or_else(
                || json!({"role": ROLES[*role]}),
                |a| json!({"role": ROLES[*role], "application": format!("app-{a}")}),
            );
            if !grants.contains(&grant) {
                grants.push(grant);
            }
        }
        let on_tenant = who.grants.iter().any(|(_, application)| application.is_none());
        let mut sees: Option<Vec<usize>> =
            (!on_tenant).then(|| who.grants.iter().filter_map(|(_, a)| *a).collect());
        let token = match who.way {
            Way::Member => {
                let (email, password) = (format!("p{n}@{mark}people.example"), "a good long password");
                let body = json!({"email": email, "grants": grants});
                let invited = self.api.post(owner, "/v1/invitations", body).await.expect(201);
                let body = json!({"token": invited.text("token"), "password": password, "name": format!("{mark}person")});
                let joined = self
                    .api
                    .post("", "/v1/invitations/accept", body)
                    .await
                    .expect(201);
                self.ids.members.push(joined.text("member"));
                let body = json!({"email": format!("left{n}@{mark}people.example"), "grants": grants});
                let pending = self.api.post(owner, "/v1/invitations", body).await.expect(201);
                self.ids.invitations.push(pending.text("id"));
                let login = json!({"email": email, "password": password});
                self.api
                    .post("", "/v1/auth/login", login)
                    .await
                    .expect(200)
                    .text("access_token")
            }
            Way::Key => {
                let body = json!({"name": format!("{mark}key"), "grants": grants});
                let minted = self.api.post(owner, "/v1/api-keys", body).await.expect(201);
                self.ids.keys.push(minted.text("id"));
                minted.text("token")
            }
            Way::Portal => {
                let application = who.grants[0].1.unwrap_or(0);
                sees = Some(vec![application]);
                let mut permissions: Vec<&str> = who.grants.iter().map(|(role, _)| PORTAL[*role]).collect();
                permissions.dedup();
                let body = json!({"permissions": permissions, "expires_in": 3600});
                let path = format!("/v1/applications/app-{application}/portal-tokens");
                self.api.post(owner, &path, body).await.expect(201).text("token")
            }
        };
        Asker {
            token,
            tenant: Some(who.tenant),
            sees,
        }
    }

    /// What must not be shown to the asker.
    pub(super) fn forbidden(&self, asker: &Asker) -> Vec<String> {
        let mut forbidden = Vec::new();
        for tenant in 0..TENANTS {
            if asker.token == self.api.operator {
                // Names of tenants are the operator's business; what they own is not.
                forbidden.extend((0..APPLICATIONS).map(|a| application_marker(tenant, a)));
            } else if asker.tenant != Some(tenant) {
                forbidden.push(tenant_marker(tenant));
            } else if let Some(sees) = &asker.sees {
                let hidden = (0..APPLICATIONS).filter(|a| !sees.contains(a));
                forbidden.extend(hidden.map(|a| application_marker(tenant, a)));
            }
        }
        forbidden
    }

    /// The ids of everything that the asker must not be shown.
    pub(super) fn hidden(&self, asker: &Asker) -> Vec<String> {
        let ids = &self.ids;
        let mut hidden = Vec::new();
        for nth in 0..TENANTS * APPLICATIONS {
            let (tenant, application) = (nth / APPLICATIONS, nth % APPLICATIONS);
            let sees = asker.sees.as_ref().is_none_or(|sees| sees.contains(&application));
            if asker.tenant != Some(tenant) || !sees {
                let of = [&ids.applications, &ids.endpoints, &ids.messages];
                hidden.extend(of.map(|list| list[nth].clone()));
            }
        }
        hidden
    }
}
