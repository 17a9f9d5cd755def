//! What `doctor` finds of installations that are well, and of some that are not.

use std::fs::File;
use std::io::{Read, Seek};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::chance::secret_hex;
use crate::postgres::{Postgres, free_port};
use crate::process::Group;
use crate::product::{Binary, Installation, Running};

/// For one examination.
const LIMIT: Duration = Duration::from_mins(1);
/// In front of each secret, so that it would be seen wherever it showed up.
const PASSWORD: &str = "doctors-must-not-tell";

/// What it found: whether it ended with 0, and the names of what failed.
struct Findings {
    good: bool,
    failed: Vec<String>,
    all: Vec<String>,
}

/// Examines healthy and sick installations.
pub(super) fn run(binary: &Binary, postgres: Option<&Postgres>) -> anyhow::Result<()> {
    let master_key = secret_hex(32)?;
    let mut installation = Installation::new(binary, postgres)?;
    installation.set("POSTRIDER_SECURITY__MASTER_KEY", &master_key);
    let other = secret_hex(32)?;
    let secrets = [master_key.as_str(), other.as_str(), PASSWORD];
    expect(&installation, "before its first start", &[], &[], &secrets)?;
    let running = Running::begin(installation)?;
    let healthy = expect(&running.installation, "beside a server", &[], &[], &secrets)?;
    println!(
        "  doctor           {} checks beside a server: {}",
        healthy.len(),
        healthy.join(", ")
    );

    let sick = [
        (
            "another master key",
            "POSTRIDER_SECURITY__MASTER_KEY",
            other.as_str(),
            "master key",
        ),
        (
            "a wrong setting",
            "POSTRIDER_SERVER__MAX_PAYLOAD_BYTES",
            "0",
            "configuration",
        ),
    ];
    for (what, name, value, fails) in &sick {
        expect(&running.installation, what, &[(name, value)], &[fails], &secrets)?;
    }
    let mut found = sick.len();
    if let Some(server) = postgres {
        found += sick_databases(&running.installation, server, &secrets)?;
    }
    println!("  doctor           {found} faults found, each by its name; no secret told");
    Ok(())
}

/// What only a database that is a server can have; how many faults that were.
fn sick_databases(installation: &Installation, server: &Postgres, secrets: &[&str]) -> anyhow::Result<usize> {
    let port = server.port().context("a given database is not used here")?;
    let database = installation
        .database()
        .context("the installation has no database")?;
    let nobody = free_port()?;
    let url = |user: &str, port: u16| format!("postgres://{user}:{PASSWORD}@127.0.0.1:{port}/{database}");
    let sick = [
        ("a superuser", url("postgres", port), "roles"),
        ("a login that is not there", url("stranger", port), "database"),
        ("a database that is away", url("postrider", nobody), "database"),
    ];
    for (what, url, fails) in &sick {
        let changed = [("POSTRIDER_DATABASE__URL", url.as_str())];
        expect(installation, what, &changed, &[fails], secrets)?;
    }
    // The owner's protection is taken away by hand, and given back.
    let mut outside = crate::postgres::Connection::open(port, database)?;
    outside.query("ALTER TABLE endpoints NO FORCE ROW LEVEL SECURITY")?;
    expect(
        installation,
        "an unguarded table",
        &[],
        &["row security"],
        secrets,
    )?;
    outside.query("ALTER TABLE endpoints FORCE ROW LEVEL SECURITY")?;
    Ok(sick.len() + 1)
}

/// How a command ended, and what it said.
struct Said {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Said {
    fn by(command: &mut Command) -> anyhow::Result<Self> {
        let (stdout, stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
        command.stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
        let status = Group::spawn(command)?.wait(Some(LIMIT))?;
        let read = |mut file: File| -> std::io::Result<Vec<u8>> {
            let mut text = Vec::new();
            file.rewind()?;
            file.read_to_end(&mut text)?;
            Ok(text)
        };
        Ok(Self {
            status,
            stdout: read(stdout)?,
            stderr: read(stderr)?,
        })
    }
}

fn expect(
    installation: &Installation,
    what: &str,
    changed: &[(&str, &str)],
    fails: &[&str],
    secrets: &[&str],
) -> anyhow::Result<Vec<String>> {
    let found = examine(installation, changed, secrets).with_context(|| format!("doctor, {what}"))?;
    ensure!(
        found.failed == fails && found.good == fails.is_empty(),
        "doctor, {what}: {:?} failed, not {fails:?}",
        found.failed
    );
    Ok(found.all)
}

fn examine(
    installation: &Installation,
    changed: &[(&str, &str)],
    secrets: &[&str],
) -> anyhow::Result<Findings> {
    let command = |json: bool| -> Command {
        let mut command = installation.command(&["doctor", "--resolve", "localhost"]);
        command
            .args(["--listen", &installation.address().to_string()])
            .envs(changed.iter().copied());
        if json {
            command.arg("--json");
        }
        command
    };
    let (table, json) = (Said::by(&mut command(false))?, Said::by(&mut command(true))?);
    for output in [&table, &json] {
        let said = [output.stdout.as_slice(), &output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let leak = secrets.iter().find(|secret| said.contains(*secret));
        ensure!(leak.is_none(), "it tells a secret: {said}");
    }
    ensure!(
        table.status.code() == json.status.code(),
        "the table and JSON end differently"
    );
    let report: Value = serde_json::from_slice(&json.stdout).with_context(|| {
        format!(
            "no JSON: {} {}",
            String::from_utf8_lossy(&json.stdout),
            String::from_utf8_lossy(&json.stderr)
        )
    })?;
    let checks = report["checks"].as_array().context("no checks")?;
    ensure!(!checks.is_empty(), "nothing was examined: {report}");
    let name = |check: &Value| check["name"].as_str().unwrap_or_default().to_owned();
    let bad: Vec<&Value> = checks
        .iter()
        .filter(|check| check["status"] == "failed")
        .collect();
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    for check in &bad {
        ensure!(check["advice"].is_string(), "{check} does not say what to do");
        ensure!(
            table.contains(&format!("failed   {}", name(check))),
            "not in the table: {check}"
        );
    }
    let mut failed: Vec<String> = bad.into_iter().map(name).collect();
    failed.dedup();
    Ok(Findings {
        good: json.status.success(),
        failed,
        all: checks.iter().map(name).collect(),
    })
}
