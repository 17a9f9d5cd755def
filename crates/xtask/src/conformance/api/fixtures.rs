//! What the tenant has when the tool comes: one of each kind, so that no operation knows only of absence.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::chance::secret_hex;
use crate::conformance::ground::{Ground, publish};
use crate::conformance::recorder::Recorder;
use crate::interrupt;
use crate::tenancy::client::{Client, text};
use crate::tenancy::company::{Company, hire, invite, mint_key};

/// Path parameters without a fixture: only a fault of the relay's makes a dead letter, which the part `relay` has.
const OF_FAULTS: [&str; 1] = ["event"];
const DELIVERED_WITHIN: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);

/// Ids by the name of the path parameter that takes them.
#[derive(Debug, Default)]
pub(super) struct Fixtures {
    /// Good values of path parameters.
    pub(super) ids: BTreeMap<String, Vec<String>>,
    /// Those among them that the run lives on.
    pub(super) protected: Vec<String>,
}

impl Fixtures {
    /// Makes them; the webhooks go to the recorder.
    pub(super) fn make(ground: &Ground, document: &Value, recorder: &Recorder) -> anyhow::Result<Self> {
        let mut found = Self::default();
        let mut client = ground.client(0);
        found.tenants(ground)?;
        found.people(ground, &mut client)?;
        let application = found.application(ground, &mut client)?;
        found.deliveries(&mut client, &application, recorder)?;
        if document["paths"]["/v1/applications/{application}/endpoints/{endpoint}/replays"].is_object() {
            found.replay(&mut client, &application)?;
        }
        Ok(found)
    }

    /// Path parameters of the document that nothing good is known for, which makes their operations shallow.
    pub(super) fn lacking(&self, document: &Value) -> Vec<String> {
        let mut lacking = Vec::new();
        let paths = document["paths"].as_object().into_iter().flatten();
        for (path, _) in paths {
            for part in path.split('/').filter_map(|part| part.strip_prefix('{')) {
                let name = part.trim_end_matches('}').to_owned();
                let known = self.ids.contains_key(&name) || OF_FAULTS.contains(&name.as_str());
                if !known && !lacking.contains(&name) {
                    lacking.push(name);
                }
            }
        }
        lacking
    }

    fn add(&mut self, parameter: &str, id: impl Into<String>) {
        self.ids.entry(parameter.to_owned()).or_default().push(id.into());
    }

    fn keep(&mut self, parameter: &str, id: &str) {
        self.add(parameter, id);
        self.protected.push(id.to_owned());
    }

    /// The tenant under test, which must stay, and one that may go.
    fn tenants(&mut self, ground: &Ground) -> anyhow::Result<()> {
        let node = &ground.nodes[0];
        let mut operator = ground.site.operator(node);
        let other = Company::found("Expendable", &mut operator, node.address)?;
        self.keep("tenant", &ground.company.id);
        self.add("tenant", other.id);
        Ok(())
    }

    fn people(&mut self, ground: &Ground, client: &mut Client) -> anyhow::Result<()> {
        let (_, member, _) = hire(client, "developer", ground.nodes[0].address)?;
        self.add("member", member);
        let members = client.get("/v1/members")?;
        let owner = members["data"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|one| one["email"] == ground.company.owner.email.as_str())
            .context("the owner is no member")?;
        self.keep("member", &text(owner, "id")?);
        invite(
            client,
            &format!("guest-{}@conformance.example", secret_hex(4)?),
            "viewer",
        )?;
        let invitations = client.get("/v1/invitations")?;
        self.add("invitation", text(&invitations["data"][0], "id")?);
        self.keep("api_key", &ground.key.id);
        self.add("api_key", mint_key(client, "viewer")?.id);
        client.create(
            "/v1/event-types",
            &json!({ "name": "invoice.paid", "description": "An invoice was paid" }),
        )?;
        self.keep("name", "invoice.paid");
        client.create(
            "/v1/event-types",
            &json!({ "name": "user.created", "schema": { "type": "object" }, "example": {} }),
        )?;
        self.keep("name", "user.created");
        self.add("version", "1");
        self.add("code", "not_found");
        Ok(())
    }

    /// One under its id and its uid.
    fn application(&mut self, ground: &Ground, client: &mut Client) -> anyhow::Result<String> {
        let made = client.create(
            "/v1/applications",
            &json!({ "name": "Conformance", "uid": "conformance" }),
        )?;
        let application = text(&made, "id")?;
        self.keep("application", &application);
        self.keep("application", "conformance");
        self.add("application", &ground.company.application);
        Ok(application)
    }

    /// An endpoint, and two messages delivered to it.
    fn deliveries(
        &mut self,
        client: &mut Client,
        application: &str,
        recorder: &Recorder,
    ) -> anyhow::Result<()> {
        let path = format!("/v1/applications/{application}/endpoints");
        let made = client.create(
            &path,
            &json!({ "url": recorder.url("/fixture"), "uid": "fixture" }),
        )?;
        self.keep("endpoint", &text(&made, "id")?);
        self.keep("endpoint", "fixture");
        let deadline = Instant::now() + DELIVERED_WITHIN;
        for number in 1..=2 {
            let message = publish(client, application, "invoice.paid")?;
            self.keep("message", &message);
            while recorder.count() < number {
                interrupt::check()?;
                ensure!(Instant::now() < deadline, "a fixture's message does not arrive");
                std::thread::sleep(POLL);
            }
        }
        Ok(())
    }

    fn replay(&mut self, client: &mut Client, application: &str) -> anyhow::Result<()> {
        let path = format!("/v1/applications/{application}/endpoints/fixture/replays");
        let body = json!({ "mode": "missing", "from": "2020-01-01T00:00:00Z" });
        let made = client.expect(202, "POST", &path, Some(&body))?;
        self.keep("replay", &text(&made, "id")?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_without_a_fixture_are_named_once() {
        let mut fixtures = Fixtures::default();
        fixtures.keep("a", "1");
        let document = json!({ "paths": { "/x/{a}/{b}": {}, "/y/{b}/z/{c}": {}, "/w/{event}": {} } });
        assert_eq!(fixtures.lacking(&document), ["b", "c"]);
        assert_eq!(fixtures.protected, ["1"]);
    }
}
