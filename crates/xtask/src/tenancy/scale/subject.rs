//! A tenant to be exported and erased, or to be left alone.

use std::time::Duration;

use anyhow::{bail, ensure};
use serde_json::json;

use super::export::{Export, Needle, Order};
use super::{AFTERWARDS, PEOPLE, SMALL, judge_growth, publish};
use crate::interrupt;
use crate::product::signing_secret;
use crate::receiver::{Pace, Receiver};
use crate::tenancy::client::Client;
use crate::tenancy::company::{Company, hire, invite, mint_key};
use crate::tenancy::site::{Node, Site};

/// Connections, each with an API key of its own.
const CLIENTS: usize = 12;
/// Exports until one shows an empty queue.
const EXPORTS: usize = 6;

/// A tenant with everything that a tenant can have.
pub(super) struct Subject {
    /// The tenant itself.
    pub(super) company: Company,
    /// What its machines send.
    pub(super) keys: Vec<String>,
    /// One hears of both event types, one of the first only.
    pub(super) receivers: Vec<Receiver>,
    /// The owner's access token.
    pub(super) token: String,
    /// What its export must not show.
    pub(super) needles: Vec<Needle>,
}

impl Subject {
    pub(super) fn found(name: &str, site: &Site, node: &Node) -> anyhow::Result<Self> {
        let company = Company::found(name, &mut site.operator(node), node.address)?;
        let mut owner = company.owner_at(node.address);
        for event_type in [publish::BOTH, publish::ONE] {
            owner.create("/v1/event-types", &json!({ "name": event_type }))?;
        }
        let mut needles = vec![
            Needle::of("a password", &company.owner.password),
            Needle::of("a password's hash", "argon2"),
            Needle::of("an access token", &company.session.access),
            Needle::secret_of("a refresh token", &company.session.refresh),
        ];
        let mut receivers = Vec::new();
        for event_types in [&[publish::BOTH, publish::ONE][..], &[publish::BOTH]] {
            let secret = signing_secret()?;
            let receiver = Receiver::start(&secret, Pace::AT_ONCE)?;
            company.endpoint(&mut owner, &receiver.url(), &secret, event_types)?;
            needles.push(Needle::secret_of("an endpoint's secret", &secret));
            receivers.push(receiver);
        }
        let mut keys = Vec::new();
        for _ in 0..CLIENTS {
            let key = mint_key(&mut owner, "publisher")?;
            needles.push(Needle::secret_of("an API key", &key.token));
            keys.push(key.token);
        }
        let (colleague, _, tokens) = hire(&mut owner, "viewer", node.address)?;
        needles.push(Needle::of("a password", &colleague.password));
        needles.push(Needle::secret_of("a refresh token", &tokens.refresh));
        let invitation = invite(&mut owner, &format!("guest-of-{}", colleague.email), "viewer")?;
        needles.push(Needle::secret_of("an invitation", &invitation));
        Ok(Self {
            token: company.session.access.clone(),
            company,
            keys,
            receivers,
            needles,
        })
    }

    pub(super) fn export(&self, node: &Node, keep: bool) -> anyhow::Result<Export> {
        let order = Order {
            tenant: &self.company.id,
            token: &self.token,
            needles: &self.needles,
            keep,
        };
        order.take(node)
    }

    /// The first export that shows an empty queue, checked against what was published.
    pub(super) fn export_settled(&self, node: &Node, messages: usize, keep: bool) -> anyhow::Result<Export> {
        let mut client = Client::new(node.address, &self.token);
        publish::await_settled(&mut client, &self.company, &self.receivers)?;
        for _ in 0..EXPORTS {
            interrupt::check()?;
            let export = self.export(node, keep)?;
            if export.of("queued") == 0 {
                show(&export);
                judge_export(&export, messages)?;
                return Ok(export);
            }
            println!(
                "  exported         {} still queued: once more",
                export.of("queued")
            );
            std::thread::sleep(Duration::from_secs(5));
        }
        bail!("the queue does not become empty")
    }

    /// It publishes and receives as before.
    pub(super) fn go_on(&self, node: &Node) -> anyhow::Result<()> {
        let messages = SMALL + AFTERWARDS;
        publish::publish(node.address, &self.company, &self.keys[..1], SMALL..messages)?;
        publish::await_arrivals(&self.receivers, &publish::heard(messages))?;
        println!("  the other tenant published {AFTERWARDS} more and received what it wants of them");
        Ok(())
    }
}

fn show(export: &Export) {
    let mib = f64::from(u32::try_from(export.bytes >> 10).unwrap_or(u32::MAX)) / 1024.0;
    println!(
        "  exported         {} rows, {mib:.1} MiB in {:.1} s (first byte after {:.0} ms); none of the secrets in it",
        export.rows.values().sum::<u64>(),
        export.took.as_secs_f64(),
        export.first.as_secs_f64() * 1e3
    );
    let kinds: Vec<_> = export
        .rows
        .iter()
        .map(|(kind, rows)| format!("{kind} {rows}"))
        .collect();
    println!("                   {}", kinds.join(", "));
    if let Some(memory) = export.memory {
        println!("  node's memory    {memory}");
    }
}

/// What was published and delivered is in it, and the node stayed small.
fn judge_export(export: &Export, messages: usize) -> anyhow::Result<()> {
    let delivered: usize = publish::heard(messages).iter().sum();
    for (kind, wanted) in [
        ("message", messages),
        ("delivery", delivered),
        ("endpoint", 2),
        ("application", 1),
        ("api_key", CLIENTS),
        ("invitation", 1),
    ] {
        ensure!(
            export.of(kind) == u64::try_from(wanted)?,
            "the export has {} of kind {kind} instead of {wanted}",
            export.of(kind)
        );
    }
    ensure!(
        export.of("attempt") >= export.of("delivery") && export.of("member") == PEOPLE,
        "the export has {:?}",
        export.rows
    );
    judge_growth("exporting", export.memory)
}
