//! A receiver in Python, in an environment of its own, that verifies with the official Python library.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;

use super::check::Seen;
use super::tools;
use crate::process::Speaker;

const SCRIPT: &str = include_str!("receiver.py");
const LIBRARY: &str = "standardwebhooks==1.1.0";
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
        let mut command = Command::new(tools::python("standardwebhooks", &[LIBRARY])?.join("python"));
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
