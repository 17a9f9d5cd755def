//! A receiver in Python, in an environment of its own, that verifies with the official Python library.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;

use super::check::Seen;
use crate::postgres::Account;
use crate::process::Speaker;
use crate::{cache, process};

const SCRIPT: &str = include_str!("receiver.py");
const LIBRARY: &str = "standardwebhooks";
const VERSION: &str = "1.1.0";
const INSTALL_LIMIT: Duration = Duration::from_mins(5);
const START_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// A running receiver. Dropping it ends it.
#[derive(Debug)]
pub(super) struct PythonReceiver {
    speaker: Speaker,
    port: u16,
}

#[derive(Deserialize)]
struct Line {
    id: String,
    sha256: String,
    fault: Option<String>,
}

impl PythonReceiver {
    /// Starts it on a free loopback port, making its environment first if need be.
    pub(super) fn start(secret: &str, folder: &Path) -> anyhow::Result<Self> {
        let script = folder.join("receiver.py");
        std::fs::write(&script, SCRIPT)?;
        let mut command = Command::new(environment()?);
        command
            .arg(script)
            .env("WEBHOOK_SECRET", secret)
            .current_dir(folder);
        let speaker = Speaker::spawn(&mut command)?;
        let port = speaker
            .line(START_LIMIT)?
            .context("the Python receiver does not start")?;
        let port = port.parse().context("the Python receiver's port")?;
        Ok(Self { speaker, port })
    }

    /// Where it listens.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/webhooks", self.port)
    }

    /// What has arrived since the last look.
    pub(super) fn news(&self) -> anyhow::Result<Vec<Seen>> {
        let mut news = Vec::new();
        while let Some(line) = self.speaker.line(POLL)? {
            news.push(parse(&line)?);
        }
        Ok(news)
    }
}

fn parse(line: &str) -> anyhow::Result<Seen> {
    let line: Line =
        serde_json::from_str(line).with_context(|| format!("the Python receiver said: {line}"))?;
    let mut sha256 = [0; 32];
    hex::decode_to_slice(&line.sha256, &mut sha256)?;
    Ok(Seen {
        id: line.id,
        sha256,
        fault: line.fault,
    })
}

/// The Python of an environment that has the library.
fn environment() -> anyhow::Result<PathBuf> {
    let folder = cache::folder("python", Account::Ourselves)?.join(format!("{LIBRARY}-{VERSION}"));
    let python = folder.join("bin/python");
    if has_library(&python) {
        return Ok(python);
    }
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(&folder);
    process::capture(&mut make, INSTALL_LIMIT)
        .context("no Python environment (Debian: apt-get install python3-venv)")?;
    let mut install = Command::new(&python);
    install
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .arg(format!("{LIBRARY}=={VERSION}"));
    process::capture(&mut install, INSTALL_LIMIT).context("pip, which brings the official library")?;
    if !has_library(&python) {
        bail!("{LIBRARY} {VERSION} cannot be imported after it was installed");
    }
    Ok(python)
}

fn has_library(python: &Path) -> bool {
    let mut ask = Command::new(python);
    ask.args(["-c", "import standardwebhooks.webhooks"]);
    process::capture(&mut ask, START_LIMIT).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let hash = "ab".repeat(32);
        let seen = parse(&format!(
            r#"{{"id":"msg_1","sha256":"{hash}","bytes":2,"fault":null}}"#
        ))
        .unwrap();
        assert_eq!(
            (seen.id.as_str(), seen.sha256, seen.fault),
            ("msg_1", [0xab; 32], None)
        );
        assert!(parse("Traceback").is_err());
    }
}
