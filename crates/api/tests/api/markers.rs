//! A property: whoever asks whatever, no answer ever shows what is another tenant's, or what is of an application
//! that the asker may not see.
//!
//! Random tenants, members, grants, keys and portal tokens; everything that they write bears a marker of its tenant and
//! application. Then random requests, with ids that may be anybody's.

use std::cell::Cell;

use actix_web::http::Method;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use postrider_domain::deliveries::Outcome;
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use serde_json::{Value, json};

use crate::support::Api;

/// How many worlds, and how many requests in each.
const CASES: u32 = 10;
const REQUESTS: usize = 150;
const TENANTS: usize = 3;
const APPLICATIONS: usize = 2;
const ROLES: [&str; 5] = ["owner", "admin", "developer", "viewer", "publisher"];
const PORTAL: [&str; 6] = [
    "applications:read",
    "endpoints:read",
    "endpoints:write",
    "messages:read",
    "payloads:read",
    "deliveries:read",
];

/// One principal to make: of which tenant, how it comes in, and what it is granted.
#[derive(Debug, Clone)]
struct Who {
    tenant: usize,
    way: Way,
    grants: Vec<(usize, Option<usize>)>,
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Member,
    Key,
    Portal,
}

/// One request: by whom, which, and how to pick what it names.
#[derive(Debug, Clone, Copy)]
struct Asked {
    who: usize,
    which: usize,
    picks: [usize; 3],
}

fn who() -> impl Strategy<Value = Who> {
    let grant = (0..ROLES.len(), proptest::option::of(0..APPLICATIONS));
    let way = prop_oneof![Just(Way::Member), Just(Way::Key), Just(Way::Portal)];
    (0..TENANTS, way, vec(grant, 1..3)).prop_map(|(tenant, way, grants)| Who { tenant, way, grants })
}

fn asked() -> impl Strategy<Value = Asked> {
    (any::<usize>(), any::<usize>(), any::<[usize; 3]>()).prop_map(|(who, which, picks)| Asked {
        who,
        which,
        picks,
    })
}

/// Whoever asks, and what they may be shown.
struct Asker {
    token: String,
    tenant: Option<usize>,
    /// The applications of the tenant; none: all.
    sees: Option<Vec<usize>>,
}

/// Ids of everything, of all tenants together.
#[derive(Default)]
struct Ids {
    tenants: Vec<String>,
    applications: Vec<String>,
    endpoints: Vec<String>,
    messages: Vec<String>,
    members: Vec<String>,
    invitations: Vec<String>,
    keys: Vec<String>,
    event_types: Vec<String>,
}

fn tenant_marker(tenant: usize) -> String {
    format!("mark-t{tenant}-")
}

fn application_marker(tenant: usize, application: usize) -> String {
    format!("{}a{application}-", tenant_marker(tenant))
}

struct World {
    api: Api,
    ids: Ids,
    askers: Vec<Asker>,
    /// For addresses and names that must differ.
    count: Cell<usize>,
}

impl World {
    async fn new(people: &[Who]) -> Self {
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

    fn next(&self) -> usize {
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
    fn forbidden(&self, asker: &Asker) -> Vec<String> {
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
    fn hidden(&self, asker: &Asker) -> Vec<String> {
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

    /// Whether it was answered with what was asked for; an error, if that is what the asker must not see.
    async fn ask(&self, wish: Asked) -> Result<bool, String> {
        let asker = &self.askers[wish.who % self.askers.len()];
        let (method, path, body) = self.request(wish, asker);
        let token = &asker.token;
        let answer = self.api.call(token, method.clone(), &path, body.as_ref()).await;
        let shown = format!("{:?} {}", answer.headers, legible(&answer.body));
        let mut forbidden = self.forbidden(asker);
        if method == Method::GET {
            // An answer may repeat the path.
            let hidden = self.hidden(asker).into_iter();
            forbidden.extend(hidden.filter(|id| !path.contains(id)));
        }
        match forbidden.iter().find(|mark| shown.contains(*mark)) {
            Some(mark) => Err(format!(
                "{method} {path} showed {mark} to an asker of tenant {:?}, who sees {:?}: {shown}",
                asker.tenant, asker.sees
            )),
            None => Ok(answer.status.is_success()),
        }
    }

    /// The request: what it names may be anybody's, and is never a marker, since an answer may repeat the path.
    fn request(&self, wish: Asked, asker: &Asker) -> (Method, String, Option<Value>) {
        let [a, b, c] = wish.picks;
        let ids = &self.ids;
        let pick = |list: &[String], n: usize| {
            list.get(n % list.len().max(1))
                .cloned()
                .unwrap_or_else(|| "nothing".to_owned())
        };
        let application = match a % 4 {
            0 => format!("app-{}", b % APPLICATIONS),
            _ => pick(&ids.applications, a),
        };
        let app = format!("/v1/applications/{application}");
        let endpoint = format!("{app}/endpoints/{}", pick(&ids.endpoints, b));
        let message = format!("{app}/messages/{}", pick(&ids.messages, b));
        let mark = tenant_marker(asker.tenant.unwrap_or(0));
        let n = self.next();
        let name = format!("{mark}made-{n}");
        let role = ROLES[c % ROLES.len()];
        let grants = json!([{"role": role, "application": application}]);
        let get = |path: String| (Method::GET, path, None);
        match wish.which % 42 {
            0 => get("/v1/me".into()),
            1 => get("/v1/tenant".into()),
            2 => get("/v1/tenant/export".into()),
            3 => get("/v1/members".into()),
            4 => get("/v1/invitations".into()),
            5 => get("/v1/api-keys".into()),
            6 => get("/v1/audit-entries".into()),
            7 | 8 => get("/v1/applications".into()),
            9 => get(app),
            10 => get(endpoint),
            11 => get(format!("{endpoint}/secret")),
            12 => get(message),
            13 => get(format!("{message}/payload")),
            14 => get(format!("{message}/deliveries")),
            15 => get(format!(
                "{message}/deliveries/{}/attempts",
                pick(&ids.endpoints, c)
            )),
            16 => get(format!("/v1/event-types/{}", pick(&ids.event_types, a))),
            17 => get("/v1/operator/tenants".into()),
            18 => get(format!("/v1/operator/tenants/{}", pick(&ids.tenants, a))),
            19 => (Method::POST, format!("{endpoint}/disable"), None),
            20 => (Method::POST, format!("{endpoint}/enable"), None),
            21 => (
                Method::POST,
                format!("{app}/messages"),
                Some(json!({"event_type": "invoice.paid", "payload": {"n": n}})),
            ),
            22 => (
                Method::POST,
                format!("{app}/endpoints"),
                Some(json!({"url": "https://hooks.example/new"})),
            ),
            23 => (
                Method::POST,
                "/v1/applications".into(),
                Some(json!({"name": name})),
            ),
            24 => (
                Method::POST,
                "/v1/api-keys".into(),
                Some(json!({"name": name, "grants": grants})),
            ),
            25 => (
                Method::POST,
                "/v1/invitations".into(),
                Some(json!({"email": format!("n{n}@{mark}people.example"), "grants": grants})),
            ),
            26 => (
                Method::PUT,
                // Owners only, who keep theirs: what an asker may be shown must not change under way.
                format!("/v1/members/{}/grants", pick(&ids.members[..TENANTS], a)),
                Some(json!({"grants": [{"role": "viewer"}]})),
            ),
            27 => (
                Method::DELETE,
                format!("/v1/invitations/{}", pick(&ids.invitations, a)),
                None,
            ),
            28 => (Method::DELETE, format!("{app}/portal-tokens"), None),
            29 => (
                Method::POST,
                format!("{app}/portal-tokens"),
                Some(json!({"permissions": [PORTAL[c % PORTAL.len()]], "expires_in": 600})),
            ),
            30 => (
                Method::POST,
                format!("{message}/deliveries/{}/resend", pick(&ids.endpoints, c)),
                None,
            ),
            31 => (
                Method::DELETE,
                format!("/v1/api-keys/{}", pick(&ids.keys, a)),
                None,
            ),
            32 => get(format!("/v1/applications?limit={}", 1 + c % 3)),
            which @ 33..=40 => get(list(which - 33, &app, &endpoint, &application)),
            _ => get(format!("/v1/audit-entries?target={application}")),
        }
    }
}

/// Lists, and figures.
fn list(which: usize, app: &str, endpoint: &str, application: &str) -> String {
    match which {
        0 => format!("{app}/endpoints"),
        1 => format!("{app}/messages"),
        2 => "/v1/event-types".into(),
        3 => format!("/v1/deliveries?application={application}"),
        4 => "/v1/deliveries?status=pending".into(),
        5 => format!("{endpoint}/stats"),
        6 => format!("{endpoint}/replays"),
        _ => "/v1/tenant/usage".into(),
    }
}

/// The body as text, with what is in base64 (payloads and answers of receivers, in an export) made legible as well.
fn legible(body: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(body).into_owned();
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    let decoded: Vec<String> = text
        .split(|c| !is_base64(c))
        .filter(|word| word.len() >= 8)
        .filter_map(|word| STANDARD.decode(word).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect();
    text.extend(decoded);
    text
}

#[test]
fn no_answer_shows_what_is_not_the_askers() {
    let config = ProptestConfig {
        cases: CASES,
        max_shrink_iters: 20,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let (seen, answered) = (Cell::new(0_usize), Cell::new(0_usize));
    TestRunner::new(config)
        .run(
            &(vec(who(), 3..9), vec(asked(), REQUESTS)),
            |(people, requests)| {
                actix_web::rt::System::new().block_on(async {
                    let world = World::new(&people).await;
                    for request in requests {
                        let good = world.ask(request).await.map_err(TestCaseError::fail)?;
                        seen.set(seen.get() + 1);
                        answered.set(answered.get() + usize::from(good));
                    }
                    Ok(())
                })
            },
        )
        .unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(seen.get(), CASES as usize * REQUESTS);
    // It would be no test if everything was refused.
    assert!(
        answered.get() * 10 > seen.get(),
        "{} were answered",
        answered.get()
    );
}

/// The check itself must be able to fail: an owner is shown their own marks.
#[actix_web::test]
async fn marks_are_seen_by_those_who_may() {
    let world = World::new(&[]).await;
    let owner = &world.askers[0];
    let ids = &world.ids;
    let attempts = format!(
        "/v1/applications/app-0/messages/{}/deliveries/{}/attempts",
        ids.messages[0], ids.endpoints[0]
    );
    for (path, shows) in [
        ("/v1/applications", tenant_marker(0)),
        ("/v1/tenant/export", tenant_marker(0)),
        ("/v1/tenant", tenant_marker(0)),
        (attempts.as_str(), format!("{}answer", application_marker(0, 0))),
        ("/v1/deliveries?status=pending", ids.messages[0].clone()),
    ] {
        let answer = world.api.get(&owner.token, path).await.expect(200);
        let shown = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(shown.contains(&shows), "{path}: {shown}");
    }
    let export = world.api.get(&owner.token, "/v1/tenant/export").await.expect(200);
    let payload = format!("{}payload", application_marker(0, 0));
    assert!(
        legible(&export.body).contains(&payload),
        "payloads are in the export, in base64"
    );
}
