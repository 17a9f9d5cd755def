//! The libraries that judge signatures: none of them is ours.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use serde_json::json;
use standardwebhooks::Webhook;

use crate::conformance::recorder::Record;
use crate::conformance::tools;
use crate::process;

const JAVASCRIPT: [&str; 2] = ["standardwebhooks@1.1.1", "tweetnacl@1.0.3"];
const PYTHON: [&str; 2] = ["standardwebhooks==1.1.0", "cryptography==50.0.2"];
const VERIFY_MJS: &str = include_str!("verify.mjs");
const VERIFY_PY: &str = include_str!("verify.py");
const LIMIT: Duration = Duration::from_mins(1);

/// A webhook, a key, and whether the one must verify with the other.
#[derive(Debug)]
pub(super) struct Case {
    /// For people.
    pub(super) what: String,
    /// `whsec_…`, `whsk_…` or `whpk_…`.
    pub(super) key: String,
    /// As it came.
    pub(super) record: Record,
    /// Whether it must.
    pub(super) good: bool,
}

impl Case {
    fn is_symmetric(&self) -> bool {
        self.key.starts_with("whsec_")
    }
}

/// The libraries, ready to be asked.
#[derive(Debug)]
pub(super) struct Verifiers {
    javascript: PathBuf,
    python: PathBuf,
}

/// What one library says of one case; `None` if it does not know such keys.
type Verdict = Option<Result<(), String>>;

impl Verifiers {
    /// Brings them.
    pub(super) fn bring() -> anyhow::Result<Self> {
        Ok(Self {
            javascript: tools::npm("signatures", &JAVASCRIPT)?,
            python: tools::python("signatures", &PYTHON)?,
        })
    }

    /// All libraries on all cases; how many verdicts there were. An error names those that are not as they must be.
    pub(super) fn judge(&self, cases: &[Case]) -> anyhow::Result<usize> {
        let said = [
            (
                "crate standardwebhooks",
                cases.iter().map(by_crate).collect::<Vec<_>>(),
            ),
            ("npm standardwebhooks and tweetnacl", self.by_javascript(cases)?),
            ("PyPI standardwebhooks and cryptography", self.by_python(cases)?),
        ];
        let mut verdicts = 0;
        let mut problems = Vec::new();
        for (library, said) in said {
            for (case, verdict) in cases.iter().zip(said) {
                let Some(verdict) = verdict else { continue };
                verdicts += 1;
                if verdict.is_ok() != case.good {
                    problems.push(format!("{}: {library} says {verdict:?}", case.what));
                }
            }
        }
        ensure!(problems.is_empty(), "{}", problems.join("\n  "));
        Ok(verdicts)
    }

    fn by_javascript(&self, cases: &[Case]) -> anyhow::Result<Vec<Verdict>> {
        let folder = tempfile::tempdir()?;
        let script = folder.path().join("verify.mjs");
        std::fs::write(&script, VERIFY_MJS)?;
        let mut command = Command::new("node");
        command.arg(script).env("PACKAGES", &self.javascript);
        ask(&mut command, cases)
    }

    fn by_python(&self, cases: &[Case]) -> anyhow::Result<Vec<Verdict>> {
        let folder = tempfile::tempdir()?;
        let script = folder.path().join("verify.py");
        std::fs::write(&script, VERIFY_PY)?;
        ask(Command::new(self.python.join("python")).arg(script), cases)
    }
}

fn by_crate(case: &Case) -> Verdict {
    case.is_symmetric().then(|| {
        let mut headers = ::http::HeaderMap::new();
        for (name, value) in &case.record.headers {
            if let (Ok(name), Ok(value)) = (
                name.parse::<::http::HeaderName>(),
                value.parse::<::http::HeaderValue>(),
            ) {
                headers.insert(name, value);
            }
        }
        Webhook::new(&case.key)
            .and_then(|webhook| webhook.verify(&case.record.body, &headers))
            .map_err(|error| error.to_string())
    })
}

/// A script reads a case a line and answers a verdict a line.
fn ask(command: &mut Command, cases: &[Case]) -> anyhow::Result<Vec<Verdict>> {
    let mut input = String::new();
    for case in cases {
        let headers: serde_json::Map<_, _> = case
            .record
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        let line = json!({ "key": case.key, "headers": headers, "body": hex::encode(&case.record.body) });
        input.push_str(&line.to_string());
        input.push('\n');
    }
    let said = process::capture_with_input(command, input.as_bytes(), LIMIT)?;
    let verdicts: Vec<Verdict> = said
        .lines()
        .map(|line| {
            Some(if line == "ok" {
                Ok(())
            } else {
                Err(line.to_owned())
            })
        })
        .collect();
    ensure!(
        verdicts.len() == cases.len(),
        "{} verdicts on {} webhooks: {}",
        verdicts.len(),
        cases.len(),
        process::tail(&said, 3)
    );
    Ok(verdicts)
}
