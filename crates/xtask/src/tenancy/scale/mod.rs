//! A large tenant beside a small one: published, delivered, exported, erased, and nothing is left but the other.

mod database;
mod export;
mod memory;
mod publish;
mod rows;
mod subject;

pub(crate) use memory::Watch;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use super::client::{Client, text};
use super::site::{MasterKeys, Node, Site};
use crate::interrupt;
use crate::postgres::Postgres;
use crate::product::{Binary, Database};
use export::{Export, Needle};
use rows::{Account, More};
use subject::Subject;

/// Messages of the tenant that stays.
const SMALL: usize = 2_000;
/// Messages that it publishes after the other is gone.
const AFTERWARDS: usize = 100;
/// How much a node may grow while it exports or erases, whatever the tenant's size: some pages of rows, and what
/// the allocator keeps of them.
const GROWTH_LIMIT_MIB: u64 = 96;
/// For the chore to come round, and then for so many messages.
const ERASE_LIMIT: Duration = Duration::from_mins(3);
const ERASE_LIMIT_PER_MESSAGE: Duration = Duration::from_millis(3);
const POLL: Duration = Duration::from_millis(50);
/// The people of a tenant: an owner and a colleague.
const PEOPLE: u64 = 2;

/// Runs everything on one database.
pub(super) fn run(
    binary: &Binary,
    database: Database,
    postgres: Option<&Postgres>,
    options: &super::Options,
) -> anyhow::Result<()> {
    let settings = [
        // As short as the caches allow for.
        ("SECURITY__ERASE_GRACE_S", "5"),
        // Longer than everything here takes: a login is a row too.
        ("SECURITY__ACCESS_TOKEN_LIFETIME_S", "3600"),
    ];
    let site = Site::new(binary, postgres, &settings)?;
    let node = site.start("a", &MasterKeys::only(&site.first_key))?;
    let messages = usize::try_from(options.messages)?;
    println!("  {messages} messages on {}, one node", database.name());
    let mut large = Subject::found("Large", &site, &node)?;
    let mut small = Subject::found("Small", &site, &node)?;
    large
        .needles
        .push(Needle::of("another tenant's id", &small.company.id));
    small
        .needles
        .push(Needle::of("another tenant's id", &large.company.id));
    fill(&node, &large, messages, &small)?;

    let exported = large.export_settled(&node, messages, false)?;
    let before = small.export_settled(&node, SMALL, true)?;
    let ask = |tenant: &str| match (postgres, site.database()) {
        (Some(server), Some(name)) => database::rows(server, name, tenant).map(Some),
        _ => Ok(None),
    };
    if let Some(rows) = ask(&large.company.id)? {
        judge_sight(&rows, &exported)?;
    }
    let account = erase(&site, &node, &large, messages, &exported)?;
    println!("{account}");
    account.judge()?;
    if let Some(rows) = ask(&large.company.id)? {
        database::judge(&rows)?;
        println!(
            "  by SQL           no row of the tenant in {} tables, but that it was erased",
            rows.len()
        );
    }
    refused(&node, &large)?;
    let after = small.export(&node, true)?;
    same_but_for_the_export(&before, &after)?;
    small.go_on(&node)?;
    node.stop()
}

/// Publishes to both at once and waits until everything has arrived.
fn fill(node: &Node, large: &Subject, messages: usize, small: &Subject) -> anyhow::Result<()> {
    let watch = Watch::begin(node.id().context("the node does not run")?);
    let published = std::thread::scope(|scope| {
        let beside =
            scope.spawn(|| publish::publish(node.address, &small.company, &small.keys[..2], 0..SMALL));
        let published = publish::publish(node.address, &large.company, &large.keys, 0..messages);
        beside
            .join()
            .map_err(|_| anyhow::anyhow!("a publisher panicked"))??;
        published
    })?;
    let seconds = published.took.as_secs_f64();
    println!(
        "  published        {} in {seconds:.1} s ({:.0}/s), {} with an event id, {} times told \"not now\"",
        published.accepted,
        f64::from(u32::try_from(published.accepted)?) / seconds,
        publish::keyed(messages),
        published.refused
    );
    let began = Instant::now();
    for (subject, messages) in [(large, messages), (small, SMALL)] {
        let expected = publish::heard(messages);
        let arrived = publish::await_arrivals(&subject.receivers, &expected)?;
        println!(
            "  arrived          {expected:?} at the endpoints, {} of them twice",
            arrived - expected.iter().sum::<usize>()
        );
    }
    println!(
        "  the last arrived {:.1} s after the last was published",
        began.elapsed().as_secs_f64()
    );
    if let Some(memory) = watch.end() {
        println!("  node's memory    {memory}");
    }
    Ok(())
}

fn judge_growth(what: &str, memory: Option<memory::Resident>) -> anyhow::Result<()> {
    let Some(memory) = memory else {
        println!("  node's memory    not told by this system: whether {what} stays small was not tried");
        return Ok(());
    };
    ensure!(
        memory.growth() <= GROWTH_LIMIT_MIB,
        "{what} took {} MiB of memory, more than {GROWTH_LIMIT_MIB}",
        memory.growth()
    );
    Ok(())
}

/// Before the erasure the same SQL sees the rows: it would see what is left.
fn judge_sight(rows: &BTreeMap<String, u64>, exported: &Export) -> anyhow::Result<()> {
    for (table, kind) in [
        ("messages", "message"),
        ("deliveries", "delivery"),
        ("sessions", "session"),
    ] {
        let seen = rows.get(table).copied().unwrap_or_default();
        ensure!(
            seen == exported.of(kind),
            "SQL sees {seen} rows of {table}, the export has {}",
            exported.of(kind)
        );
    }
    Ok(())
}

/// Has the tenant deleted, waits until it is erased, and compares.
fn erase(
    site: &Site,
    node: &Node,
    large: &Subject,
    messages: usize,
    exported: &Export,
) -> anyhow::Result<Account> {
    let mut operator = site.operator(node);
    let path = format!("/v1/operator/tenants/{}", large.company.id);
    let watch = Watch::begin(node.id().context("the node does not run")?);
    let ordered = Instant::now();
    operator.expect(202, "DELETE", &path, None)?;
    let limit = ERASE_LIMIT + ERASE_LIMIT_PER_MESSAGE * u32::try_from(messages)?;
    let answer = loop {
        interrupt::check()?;
        let answer = operator.get(&path)?;
        match answer["status"].as_str() {
            Some("erased") => break answer,
            Some("deleting") => {}
            _ => bail!("after its deletion was ordered the tenant is {answer}"),
        }
        ensure!(ordered.elapsed() < limit, "not erased within {limit:?}: {answer}");
        std::thread::sleep(POLL);
    };
    let took = ordered.elapsed();
    let memory = watch.end();
    let erased = erased_rows(&answer)?;
    let account = Account::of(&exported.rows, &explained(messages)?, &erased);
    println!(
        "  erased           {} rows {:.1} s after it was ordered (the chore comes round once a minute)",
        account.erased(),
        took.as_secs_f64()
    );
    if let Some(memory) = memory {
        println!("  node's memory    {memory}");
    }
    judge_growth("erasing", memory)?;
    Ok(account)
}

fn erased_rows(answer: &Value) -> anyhow::Result<BTreeMap<String, u64>> {
    text(answer, "erased_at")?;
    let rows = answer["rows"].as_object().context("no `rows`")?;
    rows.iter()
        .map(|(table, rows)| Ok((table.clone(), rows.as_u64().context("not a count")?)))
        .collect()
}

/// What is erased and no export shows.
fn explained(messages: usize) -> anyhow::Result<[More; 3]> {
    Ok([
        More {
            table: "dedup",
            rows: u64::try_from(publish::keyed(messages))?,
            why: "one for each event id",
        },
        More {
            table: "users",
            rows: PEOPLE,
            why: "the tenant's people, members of nothing else",
        },
        More {
            table: "outbox_events",
            rows: 1,
            why: "the order to delete it, after the export",
        },
    ])
}

/// Nobody of the tenant is let in any more.
fn refused(node: &Node, gone: &Subject) -> anyhow::Result<()> {
    for token in [&gone.token, &gone.keys[0]] {
        Client::new(node.address, token).expect(401, "GET", "/v1/me", None)?;
    }
    let mut guest = Client::new(node.address, "");
    let body = json!({ "email": gone.company.owner.email, "password": gone.company.owner.password });
    guest
        .expect(401, "POST", "/v1/auth/login", Some(&body))
        .context("the erased tenant's owner")?;
    Ok(())
}

/// Everything is as it was, but for one entry of the audit log: that it was exported again.
fn same_but_for_the_export(before: &Export, after: &Export) -> anyhow::Result<()> {
    let (empty, mut new) = (BTreeSet::new(), Vec::new());
    let kinds: BTreeSet<_> = before.kept.keys().chain(after.kept.keys()).collect();
    for kind in kinds {
        let had = before.kept.get(kind).unwrap_or(&empty);
        let has = after.kept.get(kind).unwrap_or(&empty);
        if let Some(gone) = had.difference(has).next() {
            bail!("the other tenant's export has lost a row of kind {kind}: {gone}");
        }
        new.extend(has.difference(had));
    }
    let [entry] = new.as_slice() else {
        bail!("the other tenant's export has {} new rows: {new:?}", new.len());
    };
    let entry: Value = serde_json::from_str(entry)?;
    ensure!(
        entry["kind"] == "audit_entry" && entry["data"]["action"] == "tenant.export",
        "the other tenant's export has a new row: {entry}"
    );
    println!(
        "  the other tenant has the same {} rows as before, and one entry more in its audit log: the export",
        before.rows.values().sum::<u64>()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(rows: &[(&str, &str)]) -> Export {
        let mut export = Export::default();
        for (kind, line) in rows {
            let kept = export.kept.entry((*kind).to_owned()).or_default();
            kept.insert((*line).to_owned());
        }
        export
    }

    #[test]
    fn only_the_export_itself_may_be_new() {
        let message = ("message", r#"{"kind":"message"}"#);
        let entry = (
            "audit_entry",
            r#"{"kind":"audit_entry","data":{"action":"tenant.export"}}"#,
        );
        let other = ("audit_entry", r#"{"kind":"audit_entry","data":{"action":"x"}}"#);
        let before = export(&[message]);
        assert!(same_but_for_the_export(&before, &export(&[message, entry])).is_ok());
        assert!(same_but_for_the_export(&before, &export(&[message])).is_err());
        assert!(same_but_for_the_export(&before, &export(&[entry])).is_err());
        assert!(same_but_for_the_export(&before, &export(&[message, other])).is_err());
        assert!(same_but_for_the_export(&before, &export(&[message, entry, other])).is_err());
    }

    #[test]
    fn an_erasure_without_counts_is_an_error() {
        let good = json!({ "status": "erased", "erased_at": "now", "rows": { "messages": 7 } });
        assert_eq!(erased_rows(&good).unwrap()["messages"], 7);
        assert!(erased_rows(&json!({ "erased_at": "now" })).is_err());
        assert!(erased_rows(&json!({ "erased_at": "now", "rows": { "a": "b" } })).is_err());
    }

    #[test]
    fn growth_is_bounded() {
        let grown = |mib: u64| {
            Some(memory::Resident {
                before: 1_024,
                peak: 1_024 + (mib << 10),
            })
        };
        assert!(judge_growth("x", grown(GROWTH_LIMIT_MIB)).is_ok());
        assert!(judge_growth("x", grown(GROWTH_LIMIT_MIB + 1)).is_err());
        assert!(judge_growth("x", None).is_ok());
    }
}
