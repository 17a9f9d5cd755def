//! What is revoked at one node is refused by the other within five seconds, however warm its caches are.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use super::client::{Client, text};
use super::company::{Company, Tokens, hire, mint_key};
use super::site::{Node, Site};
use crate::http::Response;
use crate::interrupt;
use crate::postgres::Postgres;
use crate::product::{Binary, Database};

/// The product's promise.
const PROMISE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);
/// How often each node answers well before anything is revoked: its caches hold everything then.
const WARM: usize = 10;

/// A request that is repeated, and how it is answered before and after.
struct Probe {
    token: String,
    method: &'static str,
    path: String,
    body: Option<Value>,
    before: Says,
    after: Says,
}

/// A status, and the problem's code if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Says(u16, &'static str);

const UNKNOWN: Says = Says(401, "unauthenticated");

impl Says {
    fn fits(self, answer: &Response) -> bool {
        let code = answer.json().ok().and_then(|problem| text(&problem, "code").ok());
        answer.status == self.0 && (self.1.is_empty() || code.as_deref() == Some(self.1))
    }
}

/// Where everything happens.
struct Scene<'a> {
    company: &'a Company,
    here: &'a Node,
    there: &'a Node,
    slowest: Duration,
}

/// Runs all cases.
pub(super) fn run(
    binary: &Binary,
    database: Database,
    postgres: Option<&Postgres>,
    _: &super::Options,
) -> anyhow::Result<()> {
    let site = Site::new(binary, postgres, &[])?;
    let nodes = site.start_all(database)?;
    let [here, there] = nodes.as_slice() else {
        bail!("revocation needs two nodes");
    };
    let mut operator = site.operator(here);
    let company = Company::found("Revocation", &mut operator, here.address)?;
    let mut scene = Scene {
        company: &company,
        here,
        there,
        slowest: Duration::ZERO,
    };
    println!("  after it was answered at node a        refused at a   refused at b");
    scene.keys_and_sessions()?;
    scene.members()?;
    scene.portal()?;
    scene.tenant(&mut operator)?;
    println!(
        "  slowest          {:.2} s (promised: {} s)",
        scene.slowest.as_secs_f64(),
        PROMISE.as_secs()
    );
    nodes.into_iter().try_for_each(Node::stop)
}

impl Scene<'_> {
    fn keys_and_sessions(&mut self) -> anyhow::Result<()> {
        let mut owner = self.company.owner_at(self.here.address);
        let key = mint_key(&mut owner, "developer")?;
        let probe = look(&key.token, self.company.path(""), UNKNOWN);
        self.measure("an API key is revoked", &probe, || {
            owner.expect(204, "DELETE", &format!("/v1/api-keys/{}", key.id), None)
        })?;

        let mut guest = Client::new(self.here.address, "");
        let session = self.company.owner.log_in(&mut guest)?;
        guest.bear("");
        let probe = look(&session.access, "/v1/me", UNKNOWN);
        self.measure("a session is logged out", &probe, || {
            guest.expect(204, "POST", "/v1/auth/logout", Some(&session.refresh_body()))
        })?;

        let session = self.company.owner.log_in(&mut guest)?;
        guest.bear("");
        let body = session.refresh_body();
        let next = Tokens::read(&guest.expect(200, "POST", "/v1/auth/refresh", Some(&body))?)?;
        let probe = look(&next.access, "/v1/me", UNKNOWN);
        self.measure("a refresh token is used twice", &probe, || {
            guest.expect(401, "POST", "/v1/auth/refresh", Some(&body))
        })
    }

    fn members(&mut self) -> anyhow::Result<()> {
        let (here, company) = (self.here.address, self.company);
        let mut owner = company.owner_at(here);
        let (_, member, tokens) = hire(&mut owner, "admin", here)?;
        let probe = look(&tokens.access, "/v1/api-keys", Says(403, "forbidden"));
        let path = format!("/v1/members/{member}");
        self.measure("an admin becomes a viewer", &probe, || {
            let body = json!({ "grants": [{ "role": "viewer" }] });
            let answer = owner.ask("PUT", &format!("{path}/grants"), Some(&body))?;
            ensure!(
                matches!(answer.status, 200 | 204),
                "PUT {path}/grants: {}",
                answer.status
            );
            Ok(Value::Null)
        })?;
        let probe = look(&tokens.access, "/v1/me", UNKNOWN);
        self.measure("a member is removed", &probe, || {
            owner.expect(204, "DELETE", &path, None)
        })?;

        let (_, _, tokens) = hire(&mut owner, "developer", here)?;
        let mut developer = Client::new(here, &tokens.access);
        let probe = look(&tokens.access, "/v1/me", UNKNOWN);
        self.measure("somebody logs out everywhere", &probe, || {
            developer.expect(204, "DELETE", "/v1/me/sessions", None)
        })
    }

    fn portal(&mut self) -> anyhow::Result<()> {
        let mut owner = self.company.owner_at(self.here.address);
        let path = self.company.path("/portal-tokens");
        let body = json!({ "permissions": ["applications:read"], "expires_in": 300 });
        let answer = owner.ask("POST", &path, Some(&body))?;
        ensure!(
            matches!(answer.status, 200 | 201),
            "POST {path}: {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        let token = text(&answer.json()?, "token")?;
        let probe = look(&token, self.company.path(""), UNKNOWN);
        self.measure("portal tokens are revoked", &probe, || {
            owner.expect(204, "DELETE", &path, None)
        })
    }

    fn tenant(&mut self, operator: &mut Client) -> anyhow::Result<()> {
        let mut owner = self.company.owner_at(self.here.address);
        let key = mint_key(&mut owner, "publisher")?;
        let path = format!("/v1/operator/tenants/{}", self.company.id);
        let suspended = Says(403, "tenant_suspended");
        let mut publish = Probe {
            token: key.token,
            method: "POST",
            path: self.company.path("/messages"),
            body: Some(json!({ "event_type": "tenancy.probe", "payload": {} })),
            before: Says(202, ""),
            after: suspended,
        };
        let order = |client: &mut Client, method, path: &str| {
            let answer = client.ask(method, path, None)?;
            ensure!(
                (200..300).contains(&answer.status),
                "{method} {path}: {} {}",
                answer.status,
                String::from_utf8_lossy(&answer.body)
            );
            Ok(Value::Null)
        };
        self.measure("the tenant is suspended", &publish, || {
            order(operator, "POST", &format!("{path}/suspend"))
        })?;
        (publish.before, publish.after) = (publish.after, publish.before);
        self.measure("the tenant is resumed (accepted again)", &publish, || {
            order(operator, "POST", &format!("{path}/resume"))
        })?;
        (publish.before, publish.after) = (publish.after, UNKNOWN);
        self.measure("the tenant is deleted", &publish, || {
            order(operator, "DELETE", &path)
        })
    }

    /// Warms both nodes, acts, and measures how long each goes on answering as before.
    fn measure(
        &mut self,
        what: &str,
        probe: &Probe,
        act: impl FnOnce() -> anyhow::Result<Value>,
    ) -> anyhow::Result<()> {
        let clients = [self.here, self.there].map(|node| Client::new(node.address, &probe.token));
        let [mut here, mut there] = clients;
        for _ in 0..WARM {
            for client in [&mut here, &mut there] {
                let answer = client.ask(probe.method, &probe.path, probe.body.as_ref())?;
                ensure!(
                    probe.before.fits(&answer),
                    "{what}: before, {} {} is answered {}",
                    probe.method,
                    probe.path,
                    shown(&answer)
                );
            }
            std::thread::sleep(POLL);
        }
        act().with_context(|| what.to_owned())?;
        let acted = Instant::now();
        let mut seen = [None; 2];
        while seen.contains(&None) {
            interrupt::check()?;
            for (client, seen) in [&mut here, &mut there].into_iter().zip(&mut seen) {
                let answer = client.ask(probe.method, &probe.path, probe.body.as_ref())?;
                if probe.after.fits(&answer) {
                    *seen = seen.or(Some(acted.elapsed()));
                } else {
                    ensure!(
                        probe.before.fits(&answer) && seen.is_none(),
                        "{what}: meanwhile answered {}",
                        shown(&answer)
                    );
                }
            }
            ensure!(
                acted.elapsed() < PROMISE + POLL,
                "{what}: not seen everywhere within {} s (seen {seen:?})",
                PROMISE.as_secs()
            );
            std::thread::sleep(POLL);
        }
        let [here, there] = seen.map(Option::unwrap_or_default);
        println!(
            "  {what:<38} {:>8.0} ms    {:>8.0} ms",
            here.as_secs_f64() * 1e3,
            there.as_secs_f64() * 1e3
        );
        self.slowest = self.slowest.max(here).max(there);
        Ok(())
    }
}

/// A GET that is answered with 200 before.
fn look(token: &str, path: impl Into<String>, after: Says) -> Probe {
    Probe {
        token: token.to_owned(),
        method: "GET",
        path: path.into(),
        body: None,
        before: Says(200, ""),
        after,
    }
}

fn shown(answer: &Response) -> String {
    format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_fits_by_status_and_code() {
        let answer = |status, body: &str| Response {
            status,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        };
        let suspended = Says(403, "tenant_suspended");
        assert!(suspended.fits(&answer(403, r#"{"code":"tenant_suspended"}"#)));
        assert!(!suspended.fits(&answer(403, r#"{"code":"forbidden"}"#)));
        assert!(!suspended.fits(&answer(401, r#"{"code":"tenant_suspended"}"#)));
        assert!(Says(204, "").fits(&answer(204, "")));
        assert!(!UNKNOWN.fits(&answer(401, "")));
    }
}
