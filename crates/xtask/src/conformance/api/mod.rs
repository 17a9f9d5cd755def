//! Every operation of the document, fuzzed by `schemathesis` against the running binary, with all its checks.

mod fixtures;

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use serde_json::{Value, json};

use super::ground::Ground;
use super::recorder::Recorder;
use super::stage::Stage;
use super::tools;
use crate::http::Client;
use crate::process;
use crate::tenancy::company::hire;
use fixtures::Fixtures;

const TOOL: &str = "schemathesis==4.32.5";
const HOOKS: &str = include_str!("hooks.py");
const PHASES: &str = "examples,coverage,fuzzing,stateful";
/// The option that leaves one operation.
const ONLY: &str = "--include-operation-id";
/// The file that the hooks write what they counted to.
const COUNTED: &str = "counted";
/// For all runs on one database.
const RUN_LIMIT: Duration = Duration::from_mins(25);
/// No answer may take longer: time is bounded whatever is sent.
const ANSWER_LIMIT_S: f64 = 10.0;
/// How many failures are printed; all of them are in the report.
const SHOWN: usize = 60;

/// Runs on each database.
pub(super) fn run(stage: &Stage<'_>) -> anyhow::Result<()> {
    let programs = tools::python("schemathesis", &[TOOL])?;
    let seed = stage.seed()?;
    println!("{TOOL}, {PHASES}, seed {seed} (--seed {seed} repeats it)");
    stage.each(&[], |database, ground| {
        let recorder = Recorder::start(Duration::ZERO)?;
        let text = document(ground)?;
        let document = serde_json::from_str(&text)?;
        let fixtures = Fixtures::make(ground, &document, &recorder)?;
        let lacking = fixtures.lacking(&document);
        ensure!(
            lacking.is_empty(),
            "no fixture for the path parameters {}: their operations would be tried with what nobody has, and nothing else",
            lacking.join(", ")
        );
        let fuzz = Fuzz {
            stage,
            programs: &programs,
            ground,
            fixtures: &fixtures,
            protected: fixtures.protected.clone(),
            seed,
            document: &text,
            database: database.name(),
            until: Instant::now() + RUN_LIMIT,
        };
        fuzz.everything(&document)
    })
}

struct Fuzz<'a> {
    stage: &'a Stage<'a>,
    programs: &'a Path,
    ground: &'a Ground,
    fixtures: &'a Fixtures,
    /// Ids that the runs live on.
    protected: Vec<String>,
    seed: u64,
    /// The document, as it is served.
    document: &'a str,
    database: &'static str,
    /// When all runs must be over.
    until: Instant,
}

impl Fuzz<'_> {
    /// All operations with the machine's key; then those of a person, each with a session of its own, for one of
    /// them ends all sessions and another changes the password.
    fn everything(mut self, document: &Value) -> anyhow::Result<()> {
        let operations = operations(document);
        let personal = personal(&operations);
        ensure!(!personal.is_empty(), "the document names no operation of persons");
        // Before anything is fuzzed: then the throttle of the public routes has had enough of this address.
        let address = self.ground.nodes[0].address;
        let mut people = Vec::new();
        for operation in &personal {
            let (_, member, tokens) = hire(&mut self.ground.client(0), "admin", address)?;
            self.protected.push(member);
            people.push((*operation, tokens.access));
        }
        let others: Vec<&str> = personal
            .iter()
            .flat_map(|operation| ["--exclude-operation-id", operation])
            .collect();
        let key = &self.ground.key.token;
        let mut problems = Vec::new();
        let rest = operations.len() - personal.len();
        problems.extend(self.once("all but a person's", key, &others, rest).err());
        for (operation, token) in people {
            problems.extend(self.once(operation, &token, &[ONLY, operation], 1).err());
        }
        let said: Vec<_> = problems.iter().map(|problem| format!("{problem:#}")).collect();
        ensure!(said.is_empty(), "{}", said.join("; "));
        Ok(())
    }

    /// Runs the tool on what the filter leaves, which is so many operations.
    fn once(&self, what: &str, bearer: &str, filter: &[&str], operations: usize) -> anyhow::Result<()> {
        let folder = tempfile::Builder::new().prefix("postrider-api-").tempdir()?;
        let log = folder.path().join("log");
        let mut command = self.command(folder.path(), bearer, filter)?;
        command
            .stdout(std::fs::File::create(&log)?)
            .stderr(std::fs::File::options().append(true).open(&log)?);
        let began = Instant::now();
        let left = self.until.saturating_duration_since(began);
        let ended = process::Group::spawn(&mut command)?.wait(Some(left));
        let said = std::fs::read_to_string(&log)?;
        let counted = read(&folder.path().join(COUNTED));
        println!(
            "  {what}: {} in {:.0} s{}",
            summary(&said),
            began.elapsed().as_secs_f64(),
            refusals(&counted)
        );
        let fault = match ended {
            Ok(status) if status.success() => match judged(&counted, operations) {
                Ok(()) => return Ok(()),
                Err(fault) => fault,
            },
            Ok(_) => anyhow!(verdict(&said)),
            Err(error) => error,
        };
        let report = format!("schemathesis-{}-{}.txt", self.database, what.replace(' ', "-"));
        let kept = tools::keep(&report.to_lowercase(), &said)?;
        let failures = failures(&said);
        for failure in failures.iter().take(SHOWN) {
            println!("    {failure}");
        }
        if failures.len() > SHOWN {
            println!("    and {} more", failures.len() - SHOWN);
        }
        bail!("{what}: {fault:#} (all of it: {})", kept.display());
    }

    /// The tool with our hooks and our configuration, which are written to this folder.
    fn command(&self, folder: &Path, bearer: &str, filter: &[&str]) -> anyhow::Result<Command> {
        std::fs::write(folder.join("hooks.py"), HOOKS)?;
        // As a file: the tool leaves out the operation that it has read the document from.
        let document = folder.join("openapi.json");
        std::fs::write(&document, self.document)?;
        let config = folder.join("schemathesis.toml");
        std::fs::write(&config, configuration(self.fixtures, self.seed))?;
        // What is only one operation is linked to nothing.
        let phases = if filter.first() == Some(&ONLY) {
            PHASES.trim_end_matches(",stateful")
        } else {
            PHASES
        };
        let mut command = Command::new(self.programs.join("schemathesis"));
        command
            .arg("--config-file")
            .arg(&config)
            .arg("run")
            .arg(document)
            .args([
                "--url",
                &self.ground.url(),
                "--phases",
                phases,
                "--workers",
                "1",
                "--no-color",
                "--continue-on-failure",
            ])
            .args(["--max-examples", &self.stage.options.max_examples.to_string()])
            .args(filter)
            .env("PYTHONHASHSEED", "0")
            .env("BEARER", bearer)
            .env("OPERATOR", self.ground.site.operator_token())
            .env("PROTECTED", json!(self.protected).to_string())
            .env("COUNTED", folder.join(COUNTED))
            .current_dir(folder);
        Ok(command)
    }
}

fn document(ground: &Ground) -> anyhow::Result<String> {
    let client = Client::new(ground.nodes[0].address, Duration::from_secs(30));
    let answer = client.get("/openapi.json", &[])?;
    ensure!(answer.status == 200, "GET /openapi.json: {}", answer.status);
    String::from_utf8(answer.body).context("GET /openapi.json: no text")
}

/// All operations: the id, and the permission that is asked for.
fn operations(document: &Value) -> Vec<(&str, &Value)> {
    let items = document["paths"].as_object().into_iter().flatten();
    items
        .flat_map(|(_, item)| item.as_object().into_iter().flatten())
        .filter_map(|(_, operation)| Some((operation["operationId"].as_str()?, &operation["x-permission"])))
        .collect()
}

/// Those that a machine cannot use at all.
fn personal<'d>(operations: &[(&'d str, &Value)]) -> Vec<&'d str> {
    let personal = operations
        .iter()
        .filter(|(_, permission)| **permission == "person");
    personal.map(|(operation, _)| *operation).collect()
}

/// Half of the path parameters name what exists, the other half what is made up.
fn configuration(fixtures: &Fixtures, seed: u64) -> String {
    let mut text = format!(
        r#"hooks = "hooks.py"
seed = {seed}
suppress-health-check = ["all"]
request-timeout = 30.0

[checks]
max_response_time = {ANSWER_LIMIT_S:.1}

# 422 is judged by `refusals_follow_from_the_document`, more strictly than by its number.
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", 401, 403, 404, 409, 412, 422, 428, 429]

# A batch that is not atomic is accepted with messages that are not: `batches_refuse_one_by_one` looks at those.
[[operations]]
include-operation-id = "publishBatch"

[operations.checks.negative_data_rejection]
expected-statuses = ["202", "400", "401", "403", "404", "406", "409", "413", "415", "422", "428", "429", "5xx"]

# Deleting a tenant is ordered (202), and reading it says how far that is: it is there until it is erased.
[[operations]]
include-operation-id = "showTenant"

[operations.checks.use_after_free]
enabled = false

[auth.openapi.bearer]
bearer = "${{BEARER}}"

[auth.openapi.operator]
bearer = "${{OPERATOR}}"
"#
    );
    let mut bindings = String::from("\n[parameters]\n");
    for (name, ids) in &fixtures.ids {
        // A number is good for a parameter that is one.
        let values: Vec<Value> = ids
            .iter()
            .map(|id| {
                id.parse::<u64>()
                    .map_or_else(|_| json!(id), |number| json!(number))
            })
            .collect();
        let _ = write!(text, "\n[dictionaries.{name}]\nvalues = {}\n", json!(values));
        let _ = writeln!(
            bindings,
            r#""path.{name}" = {{ dictionary = "{name}", probability = 0.5 }}"#
        );
    }
    text + &bindings
}

/// How many cases there were, as the tool counts them.
fn summary(said: &str) -> String {
    let after = |mark: &str| said.lines().skip_while(|line| !line.contains(mark)).nth(1);
    let cases = after("Test cases:").unwrap_or("no cases were counted").trim();
    let tested = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("Tested: "))
        .unwrap_or("no");
    format!("{tested} operations, {cases}")
}

/// The last line, without its frame.
fn verdict(said: &str) -> String {
    process::tail(said, 1).trim_matches('=').trim().to_owned()
}

/// Each failure on a line of its own: the operation, the check, and the first thing that it says.
fn failures(said: &str) -> Vec<String> {
    let mut operation = "";
    let mut found = Vec::new();
    let mut lines = said.lines().filter(|line| !line.trim().is_empty());
    while let Some(line) = lines.next() {
        let title = line.trim_matches('_').trim();
        if line.starts_with('_') || line.starts_with(' ') && line.ends_with(' ') {
            operation = title;
        } else if let Some(check) = line.strip_prefix("- ST") {
            let detail = lines.next().unwrap_or_default().trim();
            found.push(format!("{operation}: ST{check}: {detail}"));
        } else if line.ends_with("Error") && !line.starts_with(' ') {
            let detail = lines.next().unwrap_or_default().trim();
            found.push(format!("{operation}: {line}: {detail}"));
        }
    }
    found
}

/// What the hooks counted; null if they did not come so far.
fn read(counted: &Path) -> Value {
    std::fs::read_to_string(counted)
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default()
}

/// A good end is one only if each operation has answered, and our own checks were among those that looked at it.
fn judged(counted: &Value, operations: usize) -> anyhow::Result<()> {
    let answered = counted["answered"].as_u64().unwrap_or_default();
    ensure!(
        answered == u64::try_from(operations)?,
        "{answered} of {operations} operations have answered"
    );
    ensure!(
        counted["looked"].as_u64().unwrap_or_default() > 0,
        "our own checks have looked at nothing"
    );
    Ok(())
}

/// How often the document could not say why something is refused, and what never succeeded.
fn refusals(counted: &Value) -> String {
    let rules = counted["excused"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let rules: Vec<(&str, u64)> = rules
        .iter()
        .filter_map(|rule| Some((rule[0].as_str()?, rule[1].as_u64()?)))
        .collect();
    let count: u64 = rules.iter().map(|(_, times)| times).sum();
    let never: Vec<&str> = counted["never"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut text = format!(
        "; {count} refusals by {} of {} rules that a schema cannot say",
        rules.len(),
        counted["exceptions"].as_u64().unwrap_or_default()
    );
    for (why, times) in rules {
        let _ = write!(text, "\n    {times} times: {why}");
    }
    if !never.is_empty() {
        let _ = write!(text, "\n    never answered with success: {}", never.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tools_summary_is_read() {
        let said = "API Operations:\n  Selected: 3/4\n  Tested: 3\n\nTest cases:\n  20 generated, 2 found 2 unique \
            failures\n\n===== FAILURES =====\n__ GET /a __\n1. Test Case ID: x\n\n- ST202 Refused\n\n    why\n\n\
            - ST108 Header\n\n    which\n=== 2 failures in 1s ===\n";
        assert_eq!(
            summary(said),
            "3 operations, 20 generated, 2 found 2 unique failures"
        );
        assert_eq!(verdict(said), "2 failures in 1s");
        assert_eq!(
            failures(said),
            ["GET /a: ST202 Refused: why", "GET /a: ST108 Header: which"]
        );
    }

    #[test]
    fn what_the_hooks_counted_is_told() {
        let counted =
            json!({ "excused": [["a cursor", 3], ["a time", 4]], "exceptions": 9, "never": ["PUT /c"] });
        let said = refusals(&counted);
        assert!(
            said.starts_with("; 7 refusals by 2 of 9 rules") && said.ends_with("success: PUT /c"),
            "{said}"
        );
        assert!(said.contains("3 times: a cursor"), "{said}");
        assert!(refusals(&Value::Null).starts_with("; 0 refusals by 0 of 0 rules"));
    }

    #[test]
    fn a_run_that_tried_too_little_is_no_good_end() {
        let counted = |answered: u64, looked: u64| json!({ "answered": answered, "looked": looked });
        assert!(judged(&counted(2, 9), 2).is_ok());
        assert!(judged(&counted(1, 9), 2).is_err());
        assert!(judged(&counted(2, 0), 2).is_err());
        assert!(judged(&Value::Null, 0).is_err());
    }

    #[test]
    fn operations_of_people_are_found() {
        let document = json!({ "paths": { "/a": {
            "get": { "operationId": "getA", "x-permission": "public" },
            "put": { "operationId": "putA", "x-permission": "person" },
        } } });
        let operations = operations(&document);
        assert_eq!(operations.len(), 2);
        assert_eq!(personal(&operations), ["putA"]);
    }

    #[test]
    fn the_configuration_binds_each_fixture() {
        let mut fixtures = Fixtures::default();
        fixtures
            .ids
            .insert("message".to_owned(), vec!["msg_1".to_owned()]);
        fixtures.ids.insert("version".to_owned(), vec!["1".to_owned()]);
        let text = configuration(&fixtures, 7);
        let read: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(read["seed"].as_integer(), Some(7));
        assert_eq!(
            read["parameters"]["path.message"]["dictionary"].as_str(),
            Some("message")
        );
        let values = |name: &str| read["dictionaries"][name]["values"][0].clone();
        assert_eq!(values("message").as_str(), Some("msg_1"));
        assert_eq!(values("version").as_integer(), Some(1));
    }
}
