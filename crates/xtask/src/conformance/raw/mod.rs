//! Raw bytes over TCP: whatever comes is refused soon, with a problem where there is a request to answer, leaves nothing
//! behind, takes little memory, and the next request is served.

mod batches;
mod case;
mod cursors;
mod heads;
mod schemas;
mod slow;
mod values;
mod wire;

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::check;
use super::ground::{self, Ground};
use super::stage::Stage;
use crate::http::Connection;
use crate::interrupt;
use crate::product::Database;
use crate::tenancy::Watch;
use crate::tenancy::client::{Client, text};
use case::{Case, Pen};

/// The longest that an answer may take; a debug binary on a busy machine included.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// By how much the process may grow, over what it had after it was warm: 10 MB that were refused must not be there.
const MAX_GROWTH_MIB: u64 = 192;
/// A good request every so often.
const GOOD_EVERY: usize = 10;

/// Runs on each database.
pub(super) fn run(stage: &Stage<'_>) -> anyhow::Result<()> {
    stage.each(&[], on)
}

fn on(database: Database, ground: &mut Ground) -> anyhow::Result<()> {
    let mut tried = Tried::begin(ground)?;
    let process = ground.nodes[0].id().context("no process")?;
    let watch = Watch::begin(process);
    println!("{}:", database.name());
    let schemas = schemas::schemas(&tried.pen);
    let lit_fuses = schemas::lit_fuses(&tried.pen, schemas.len());
    let inputs = [
        ("lengths", heads::lengths(&tried.pen)),
        ("targets", heads::targets(&tried.pen)),
        ("headers", heads::headers(&tried.pen)),
        ("two lengths of a body", heads::lengths_of_bodies(&tried.pen)),
        ("two codings of a body", heads::codings(&tried.pen)),
        ("chunks", heads::chunks(&tried.pen)),
        ("bodies", heads::bodies(&tried.pen)),
        ("JSON", values::json_bodies(&tried.pen)),
        ("texts", values::texts(&tried.pen)),
        ("depths", values::depths(&tried.pen)),
        ("keys", values::keys(&tried.pen)),
        ("numbers", values::numbers(&tried.pen)),
        ("injections", values::injections(&tried.pen)),
        ("idempotency keys", values::idempotency_keys(&tried.pen)),
        ("times", values::times(&tried.pen)),
        ("schemas", schemas),
        ("what the schemas do", lit_fuses),
        ("cursors", cursors::cases(ground, &tried.pen)?),
    ];
    // Making them up has made what cursors point at.
    tried.known = tried.census()?;
    for (name, cases) in inputs {
        println!("  {name}");
        for case in cases {
            tried.one(&case)?;
        }
    }
    tried.good()?;
    let mut connection = Connection::new(ground.nodes[0].address, ANSWERED_WITHIN);
    for line in batches::run(&mut connection, &tried.pen)? {
        println!("    {line}");
    }
    let before = tried.census()?;
    println!("  held connections");
    for (name, lasted) in slow::hold(ground.nodes[0].address, &tried.pen)? {
        println!("    {name}: ended after {:.1} s at most", lasted.as_secs_f64());
    }
    ensure!(
        tried.census()? == before,
        "the held connections left something behind"
    );
    tried.good()?;
    tried.tell(watch)
}

/// What was sent so far, and what came of it.
struct Tried<'a> {
    ground: &'a Ground,
    client: Client,
    pen: Pen,
    /// What there is, as the lists show it.
    known: String,
    problems: Vec<String>,
    count: usize,
    slowest: (Duration, String),
}

impl<'a> Tried<'a> {
    /// Warm: every kind of request was made once.
    fn begin(ground: &'a Ground) -> anyhow::Result<Self> {
        let mut client = ground.client(0);
        let application = ground::application(&mut client, "Raw")?;
        let pen = Pen {
            token: ground.key.token.clone(),
            application: format!("/v1/applications/{application}"),
        };
        // No delivery is made: what is looked at is what is taken in.
        let quiet = json!({ "url": "http://127.0.0.1:9/", "event_types": ["raw.nothing"] });
        client.create(&pen.endpoints(), &quiet)?;
        client.create(
            "/v1/event-types",
            &json!({ "name": "raw.warm", "schema": { "pattern": "^a" } }),
        )?;
        client.expect(
            200,
            "PATCH",
            "/v1/tenant",
            Some(&json!({ "settings": { "schema_validation": "enforce" } })),
        )?;
        let mut tried = Self {
            ground,
            client,
            pen,
            known: String::new(),
            problems: Vec::new(),
            count: 0,
            slowest: (Duration::ZERO, String::new()),
        };
        tried.good()?;
        tried.known = tried.census()?;
        Ok(tried)
    }

    fn one(&mut self, case: &Case) -> anyhow::Result<()> {
        interrupt::check()?;
        let outcome = wire::exchange(self.ground.nodes[0].address, &case.bytes, ANSWERED_WITHIN)
            .with_context(|| case.name.clone())?;
        let shown = outcome.shown();
        let right = match outcome.status {
            Some(status) => case.right.contains(&(status, outcome.code.as_str())),
            None => case.may_close && !outcome.hangs,
        };
        let mut fault = |what: String| self.problems.push(format!("{}: {what}", case.name));
        if !right {
            fault(shown.clone());
        }
        if let Some(what) = outcome.fault {
            fault(format!("{shown}: {what}"));
        }
        if outcome.answers > 1 {
            fault(format!("{} answers to one request", outcome.answers));
        }
        println!("    {}: {shown} ({} ms)", case.name, outcome.took.as_millis());
        self.count += 1;
        if outcome.took > self.slowest.0 {
            self.slowest = (outcome.took, case.name.clone());
        }
        let good = outcome.status.is_some_and(|status| status < 300);
        let now = self.census()?;
        if now != self.known && !good {
            self.problems
                .push(format!("{}: it was refused and left something behind", case.name));
        }
        self.known = now;
        if self.count.is_multiple_of(GOOD_EVERY) {
            self.good()?;
        }
        Ok(())
    }

    /// A good request is served.
    fn good(&mut self) -> anyhow::Result<()> {
        let path = self.pen.messages();
        let made = self.client.expect(202, "POST", &path, Some(&batches::good()))?;
        self.client.get(&format!("{path}/{}", text(&made, "id")?))?;
        self.known = self.census()?;
        Ok(())
    }

    /// Everything that the lists show of the tenant, but for what changes by itself.
    fn census(&mut self) -> anyhow::Result<String> {
        let mut all = String::new();
        for path in [
            "/v1/applications",
            "/v1/event-types",
            "/v1/api-keys",
            "/v1/invitations",
            &self.pen.endpoints(),
            &self.pen.messages(),
        ] {
            let mut page = self.client.get(&format!("{path}?limit=250"))?;
            for one in page["data"].as_array_mut().context("no `data`")? {
                one["last_used_at"] = Value::Null;
                all.push_str(&one.to_string());
                all.push('\n');
            }
        }
        Ok(all)
    }

    fn tell(self, watch: Watch) -> anyhow::Result<()> {
        let memory = watch
            .end()
            .context("the system does not tell how much memory a process has")?;
        println!(
            "  {} inputs; the slowest answer after {:.2} s ({}); {memory}",
            self.count,
            self.slowest.0.as_secs_f64(),
            self.slowest.1
        );
        check::hold(&self.problems)?;
        ensure!(
            memory.growth() <= MAX_GROWTH_MIB,
            "the process grew by {} MiB, more than {MAX_GROWTH_MIB}",
            memory.growth()
        );
        Ok(())
    }
}
