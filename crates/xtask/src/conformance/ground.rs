//! Where a part plays: an installation of one node or two, an operator, a tenant, and a key that may do everything.

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::postgres::Postgres;
use crate::product::Binary;
use crate::tenancy::client::{Client, text};
use crate::tenancy::company::{Company, Key, mint_key};
use crate::tenancy::site::{MasterKeys, Node, Site};

/// The ground. Dropping it stops its nodes; [`Ground::leave`] also looks how they end.
#[derive(Debug)]
pub(super) struct Ground {
    // Dropped in this order: the nodes before the installation.
    /// The nodes.
    pub(super) nodes: Vec<Node>,
    /// The installation.
    pub(super) site: Site,
    /// The tenant, with an application.
    pub(super) company: Company,
    /// A key with the grants of an owner.
    pub(super) key: Key,
}

impl Ground {
    /// A new installation on this database, with as many nodes as there are names. The settings are variables
    /// without their common prefix.
    pub(super) fn lay(
        binary: &Binary,
        postgres: Option<&Postgres>,
        names: &[&'static str],
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let site = Site::new(binary, postgres, settings)?;
        let keys = MasterKeys::only(&site.first_key);
        let nodes = names
            .iter()
            .map(|name| site.start(name, &keys))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let first = nodes.first().context("no node was named")?;
        let company = Company::found("Conformance", &mut site.operator(first), first.address)?;
        let key = mint_key(&mut company.owner_at(first.address), "owner")?;
        Ok(Self {
            nodes,
            site,
            company,
            key,
        })
    }

    /// A client of this node with the tenant's key.
    pub(super) fn client(&self, node: usize) -> Client {
        Client::new(self.nodes[node].address, &self.key.token)
    }

    /// The first node's URL.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.nodes[0].address)
    }

    /// Stops the nodes in order; an error if one does not end well, or has panicked.
    pub(super) fn leave(self) -> anyhow::Result<()> {
        self.nodes.into_iter().try_for_each(Node::stop)
    }
}

/// A new application; its id.
pub(super) fn application(client: &mut Client, name: &str) -> anyhow::Result<String> {
    text(
        &client.create("/v1/applications", &json!({ "name": name }))?,
        "id",
    )
}

/// All entries of a list, page by page, at most this many.
pub(super) fn list(client: &mut Client, path: &str, most: usize) -> anyhow::Result<Vec<Value>> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let mark = if path.contains('?') { '&' } else { '?' };
        let mut page = client.get(&format!("{path}{mark}limit=100{cursor}"))?;
        let Value::Array(entries) = page["data"].take() else {
            anyhow::bail!("{path}: no `data`");
        };
        all.extend(entries);
        ensure!(all.len() <= most, "{path}: more than {most} entries");
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(all),
        }
    }
}

/// Publishes a small message of this type; its id.
pub(super) fn publish(client: &mut Client, application: &str, event_type: &str) -> anyhow::Result<String> {
    let path = format!("/v1/applications/{application}/messages");
    let body = json!({ "event_type": event_type, "payload": { "of": event_type } });
    text(&client.expect(202, "POST", &path, Some(&body))?, "id")
}
