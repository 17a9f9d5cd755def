//! Requests of anybody for anything, and the look at what they are answered.

use actix_web::http::Method;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    APPLICATIONS, Asked, PORTAL, ROLES, TENANTS,
    world::{Asker, World, tenant_marker},
};

impl World {
    /// Whether it was answered with what was asked for; an error, if that is what the asker must not see.
    pub(super) async fn ask(&self, wish: Asked) -> Result<bool, String> {
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
pub(super) fn legible(body: &[u8]) -> String {
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
