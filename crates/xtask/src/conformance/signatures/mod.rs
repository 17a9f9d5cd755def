//! Signatures of both kinds, by the official libraries and two that know only Ed25519, across rotations.

mod verifiers;

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::ground::{self, Ground, publish};
use super::recorder::{Record, Recorder};
use super::stage::Stage;
use crate::chance::secret_hex;
use crate::interrupt;
use crate::product::{Database, signing_secret};
use crate::tenancy::client::{Client, text};
use verifiers::{Case, Verifiers};

const ARRIVES_WITHIN: Duration = Duration::from_secs(20);
const LONG_OVERLAP_S: u64 = 3_600;
/// Long enough for a webhook to be sent within it on a busy machine.
const SHORT_OVERLAP_S: u64 = 6;
const POLL: Duration = Duration::from_millis(20);

/// Runs on each database.
pub(super) fn run(stage: &Stage<'_>) -> anyhow::Result<()> {
    let verifiers = Verifiers::bring()?;
    stage.each(&[], |database, ground| {
        for kind in [Kind::Hmac, Kind::Ed25519] {
            let cases = cases(ground, kind)?;
            let verdicts = verifiers.judge(&cases)?;
            tell(database, kind, &cases, verdicts);
        }
        Ok(())
    })
}

/// What signs.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Hmac,
    Ed25519,
}

impl Kind {
    /// As the API names it.
    fn name(self) -> &'static str {
        match self {
            Self::Hmac => "hmac",
            Self::Ed25519 => "ed25519",
        }
    }

    /// The field with what receivers verify with.
    fn told_as(self) -> &'static str {
        match self {
            Self::Hmac => "secret",
            Self::Ed25519 => "public_key",
        }
    }

    /// A new secret of the kind, as a customer would give it.
    fn secret(self) -> anyhow::Result<String> {
        match self {
            Self::Hmac => signing_secret(),
            // Hex digits are base64 too: 42 of them and a `0` are 32 bytes and two bits that must be zero.
            Self::Ed25519 => Ok(format!("whsk_{}0=", secret_hex(21)?)),
        }
    }
}

/// An endpoint whose secret changes.
struct Subject<'a> {
    client: Client,
    application: String,
    endpoint: String,
    recorder: &'a Recorder,
}

impl Subject<'_> {
    /// Publishes, and waits for what comes of it.
    fn webhook(&mut self) -> anyhow::Result<Record> {
        let seen = self.recorder.count();
        let message = publish(&mut self.client, &self.application, "signed.thing")?;
        let deadline = Instant::now() + ARRIVES_WITHIN;
        loop {
            interrupt::check()?;
            let news = self.recorder.since(seen);
            if let Some(record) = news.into_iter().find(|record| record.id() == message) {
                return Ok(record);
            }
            ensure!(Instant::now() < deadline, "{message} does not arrive");
            thread::sleep(POLL);
        }
    }

    fn path(&self, rest: &str) -> String {
        format!(
            "/v1/applications/{}/endpoints/{}{rest}",
            self.application, self.endpoint
        )
    }

    /// Rotates to the given secret.
    fn rotate_to(&mut self, secret: &str, overlap_s: u64) -> anyhow::Result<()> {
        self.rotate(&json!({ "secret": secret, "overlap_seconds": overlap_s }))?;
        let held = self.held()?;
        // A private key is never shown.
        ensure!(
            secret.starts_with("whsk_") != (held["secret"] == secret),
            "another secret than was given is told, or a private key"
        );
        Ok(())
    }

    /// Rotates to one that is generated, and answers what receivers verify with.
    fn rotate_anew(&mut self, kind: Kind, overlap_s: u64) -> anyhow::Result<String> {
        self.rotate(&json!({ "secret_type": kind.name(), "overlap_seconds": overlap_s }))?;
        text(&self.held()?, kind.told_as())
    }

    fn rotate(&mut self, body: &Value) -> anyhow::Result<()> {
        let path = self.path("/secret/rotate");
        let answer = self.client.ask("POST", &path, Some(body))?;
        ensure!(
            matches!(answer.status, 200 | 201),
            "POST {path}: {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        Ok(())
    }

    /// What the endpoint's secret route says.
    fn held(&mut self) -> anyhow::Result<Value> {
        let path = self.path("/secret");
        self.client.get(&path)
    }
}

/// Webhooks of before and after each rotation, each with every secret there was.
fn cases(ground: &Ground, kind: Kind) -> anyhow::Result<Vec<Case>> {
    let recorder = Recorder::start(Duration::ZERO)?;
    let mut client = ground.client(0);
    let application = ground::application(&mut client, "Signatures")?;
    let first = kind.secret()?;
    let made = client.create(
        &format!("/v1/applications/{application}/endpoints"),
        &json!({ "url": recorder.url("/signed"), "secret": first }),
    )?;
    let mut subject = Subject {
        client,
        application,
        endpoint: text(&made, "id")?,
        recorder: &recorder,
    };
    let mut secrets = vec![first, kind.secret()?];
    let mut cases = Vec::new();
    let mut add = |what: &str, record: &Record, secrets: &[String], good: &[usize]| {
        for (number, secret) in secrets.iter().enumerate() {
            cases.push(Case {
                what: format!("{what}, secret {number}"),
                key: secret.clone(),
                record: record.clone(),
                good: good.contains(&number),
            });
        }
    };

    // Number 1 is a stranger's until it is rotated to.
    let before = subject.webhook()?;
    add("before any rotation", &before, &secrets, &[0]);
    let mut forged = before.clone();
    forged.body.push(b' ');
    add("with a byte more", &forged, &secrets, &[]);

    subject.rotate_to(&secrets[1], LONG_OVERLAP_S)?;
    add("in a long overlap", &subject.webhook()?, &secrets, &[0, 1]);

    secrets.push(subject.rotate_anew(kind, SHORT_OVERLAP_S)?);
    let rotated = Instant::now();
    add("in a short overlap", &subject.webhook()?, &secrets, &[0, 1, 2]);
    while rotated.elapsed() < Duration::from_secs(SHORT_OVERLAP_S + 1) {
        interrupt::check()?;
        thread::sleep(POLL);
    }
    add("after a short overlap", &subject.webhook()?, &secrets, &[2]);

    secrets.push(kind.secret()?);
    subject.rotate_to(&secrets[3], 0)?;
    let last = subject.webhook()?;
    add("rotated without overlap", &last, &secrets, &[3]);
    if matches!(kind, Kind::Ed25519) {
        let public = text(&subject.held()?, kind.told_as())?;
        ensure!(public.starts_with("whpk_"), "a public key begins with whpk_");
        add("with the public key as told", &last, &[public], &[0]);
    }
    cases_are_sound(&cases).context("the webhooks themselves")?;
    Ok(cases)
}

/// Each signature header holds what its kind begins with.
fn cases_are_sound(cases: &[Case]) -> anyhow::Result<()> {
    for case in cases {
        let mark = if case.key.starts_with("whsec_") {
            "v1,"
        } else {
            "v1a,"
        };
        let signatures = case.record.header("webhook-signature");
        ensure!(
            signatures.split(' ').all(|one| one.starts_with(mark)),
            "{}: a signature of another kind: {signatures}",
            case.what
        );
    }
    Ok(())
}

fn tell(database: Database, kind: Kind, cases: &[Case], verdicts: usize) {
    let good = cases.iter().filter(|case| case.good).count();
    println!(
        "{}: {kind:?}: {} webhooks and secrets, {good} that fit and {} that do not: {verdicts} verdicts, all right",
        database.name(),
        cases.len(),
        cases.len() - good,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_both_kinds_have_their_form() {
        assert!(Kind::Hmac.secret().unwrap().starts_with("whsec_"));
        let private = Kind::Ed25519.secret().unwrap();
        assert!(
            private.starts_with("whsk_") && private.len() == "whsk_".len() + 44 && private.ends_with("0=")
        );
    }
}
