//! The master key is replaced while people work, by the documented steps: every node learns the new key, then seals
//! with it, then what is stored is re-encrypted, then the old key is forgotten.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::client::{Client, text};
use super::company::Company;
use super::load::Load;
use super::rotation::{await_until, work};
use super::site::{MasterKeys, Node, Site};
use crate::chance::secret_hex;
use crate::process;
use crate::product::{publish_body, signing_secret};
use crate::receiver::{Pace, Receiver};

const CLIENTS: usize = 6;
const SPELL: Duration = Duration::from_secs(1);
const DELIVERY_LIMIT: Duration = Duration::from_mins(1);
const EVENT_TYPE: &str = "tenancy.sealed";

/// An endpoint whose secret was sealed at some step.
struct Sealed {
    step: &'static str,
    id: String,
    secret: String,
    receiver: Receiver,
}

/// What people look at while the key is replaced.
struct Scene<'a> {
    site: &'a Site,
    company: &'a Company,
    load: Load,
    nodes: Vec<Node>,
    sealed: Vec<Sealed>,
}

/// Replaces the master key and answers the nodes, which run with the new one.
pub(super) fn rotate(site: &Site, nodes: Vec<Node>, company: &Company) -> anyhow::Result<Vec<Node>> {
    let (old, new) = (site.first_key.as_str(), secret_hex(32)?);
    let load = Load::start(nodes.iter().map(|node| node.address), &company.owner, CLIENTS);
    let mut scene = Scene {
        site,
        company,
        load,
        nodes,
        sealed: Vec::new(),
    };
    scene.seal("before")?;
    scene.restart_each(&MasterKeys::both(old, &new))?;
    scene.seal("when both keys are known")?;
    let swapped = MasterKeys::both(&new, old);
    scene.restart_each(&swapped)?;
    scene.seal("with the new key")?;
    if scene.nodes.len() > 1 {
        // Beside the others. (A data directory is one node's alone.)
        let said = site.refusal("too-early", &MasterKeys::only(&new))?;
        judge_refusal("too-early", &said, &new)?;
    }
    let began = Instant::now();
    let said = site.run(&["keys", "rotate-master"], &swapped)?;
    println!(
        "  rotate-master    {:.2} s: {}",
        began.elapsed().as_secs_f64(),
        process::tail(&said, 2)
    );
    scene.compare(&scene.nodes, "after the re-encryption")?;
    let now = MasterKeys::only(&new);
    scene.restart_each(&now)?;
    scene.finish(old, &now)
}

impl Scene<'_> {
    /// Makes an endpoint with a secret of its own.
    fn seal(&mut self, step: &'static str) -> anyhow::Result<()> {
        let secret = signing_secret()?;
        let receiver = Receiver::start(&secret, Pace::AT_ONCE)?;
        let mut owner = self.owner(&self.nodes[0])?;
        let id = self.company.endpoint(&mut owner, &receiver.url(), &secret, &[])?;
        self.sealed.push(Sealed {
            step,
            id,
            secret,
            receiver,
        });
        Ok(())
    }

    /// Restarts one node after the other with these keys, as it is done behind a balancer.
    fn restart_each(&mut self, keys: &MasterKeys) -> anyhow::Result<()> {
        let count = self.nodes.len();
        for index in 0..count {
            let out = self.load.out_of_service(index);
            let node = self.nodes.remove(0);
            let (name, address) = (node.name, node.address);
            node.stop()?;
            self.nodes.push(self.site.start_at(name, address, keys)?);
            drop(out);
            work(SPELL)?;
        }
        Ok(())
    }

    /// The owner with a new session: the one of before may have been made long ago.
    fn owner(&self, node: &Node) -> anyhow::Result<Client> {
        let mut client = Client::new(node.address, "");
        let tokens = self.company.owner.log_in(&mut client)?;
        client.bear(&tokens.access);
        Ok(client)
    }

    /// Every secret is what it was, at every node.
    fn compare(&self, nodes: &[Node], when: &str) -> anyhow::Result<()> {
        for node in nodes {
            let mut owner = self.owner(node)?;
            for sealed in &self.sealed {
                let path = self.company.path(&format!("/endpoints/{}/secret", sealed.id));
                let answer = owner
                    .get(&path)
                    .with_context(|| format!("{when}: the secret stored {}", sealed.step))?;
                ensure!(
                    text(&answer, "secret")? == sealed.secret,
                    "{when}: node {} shows another secret than the one stored {}",
                    node.name,
                    sealed.step
                );
            }
        }
        Ok(())
    }

    /// Judges the load, opens and uses every secret with the new key alone, and starts nodes with wrong keys.
    fn finish(self, old: &str, now: &MasterKeys) -> anyhow::Result<Vec<Node>> {
        self.compare(&self.nodes, "without the old key")?;
        self.deliver()?;
        let Self {
            site, load, nodes, ..
        } = self;
        let (tally, _) = load.end();
        println!("  load             {tally}");
        tally.judge()?;
        // A data directory is one node's alone, so the others go first.
        let mut places = Vec::new();
        for node in nodes {
            places.push((node.name, node.address));
            node.stop()?;
        }
        for (name, key) in [("old-key", old.to_owned()), ("wrong-key", secret_hex(32)?)] {
            let said = site.refusal(name, &MasterKeys::only(&key))?;
            judge_refusal(name, &said, &key)?;
        }
        places
            .into_iter()
            .map(|(name, address)| site.start_at(name, address, now))
            .collect()
    }

    /// A message is delivered to every endpoint, signed as before.
    fn deliver(&self) -> anyhow::Result<()> {
        let mut owner = self.owner(&self.nodes[0])?;
        let body = publish_body(EVENT_TYPE, r#"{"sealed":"and opened"}"#);
        let body: Value = serde_json::from_slice(&body)?;
        let message = owner.expect(202, "POST", &self.company.path("/messages"), Some(&body))?;
        let id = text(&message, "id")?;
        for sealed in &self.sealed {
            await_until(DELIVERY_LIMIT, "the message arrives", || {
                Ok(sealed.receiver.count() > 0)
            })?;
            for arrival in sealed.receiver.since(0) {
                ensure!(
                    arrival.id == id && arrival.fault.is_none(),
                    "the secret stored {}: {:?}",
                    sealed.step,
                    arrival.fault
                );
            }
        }
        println!(
            "  secrets          {} of {} open, sign and verify without the old key",
            self.sealed.len(),
            self.sealed.len()
        );
        Ok(())
    }
}

/// The error names what is wrong, in words, and no key.
fn judge_refusal(name: &str, said: &str, key: &str) -> anyhow::Result<()> {
    println!(
        "  {name:<16} refused: {}",
        said.lines().next_back().unwrap_or_default()
    );
    ensure!(
        said.contains("master key"),
        "{name}: the error does not speak of the master key: {said}"
    );
    ensure!(!said.contains("panicked"), "{name}: {said}");
    ensure!(!said.contains(key), "{name}: the error shows the key");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_must_be_clear_and_discreet() {
        assert!(judge_refusal("a", "the configured master key is not the one", "abcd").is_ok());
        assert!(judge_refusal("a", "not found", "abcd").is_err());
        assert!(judge_refusal("a", "master key abcd is wrong", "abcd").is_err());
        assert!(judge_refusal("a", "thread panicked: master key", "abcd").is_err());
    }
}
