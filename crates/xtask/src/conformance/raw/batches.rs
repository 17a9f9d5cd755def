//! Batches with a bad item, and batches that are sent again.

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::case::Pen;
use crate::chance::secret_hex;
use crate::http::{Connection, Outcome, Response};

/// What is wrong with an item in its shape, and what in its values.
fn bad_items() -> [(&'static str, &'static str); 8] {
    [
        ("no event type", r#"{"payload":1}"#),
        ("a number for a text", r#"{"event_type":1,"payload":1}"#),
        (
            "an unknown field",
            r#"{"event_type":"a","payload":1,"colour":"red"}"#,
        ),
        (
            "a field twice",
            r#"{"event_type":"a","event_type":"a","payload":1}"#,
        ),
        ("an array", "[]"),
        ("null", "null"),
        ("no payload", r#"{"event_type":"a"}"#),
        ("no such event type", r#"{"event_type":"a b","payload":1}"#),
    ]
}

/// Sends them; what was seen, for people.
pub(super) fn run(connection: &mut Connection, pen: &Pen) -> anyhow::Result<Vec<String>> {
    let mut batches = Batches { connection, pen };
    let mut seen = Vec::new();
    for (name, bad) in bad_items() {
        let messages = format!(
            r#"{{"event_type":"raw.good","payload":1}},{bad},{{"event_type":"raw.good","payload":2}}"#
        );
        let before = batches.count()?;
        let refused = batches.send(true, &messages, None)?;
        let code = refused.json()?["code"].as_str().unwrap_or_default().to_owned();
        ensure!(
            (refused.status, code.as_str()) == (422, "validation_failed")
                || (refused.status, code.as_str()) == (400, "malformed_request"),
            "all or none, {name}: {} {code}",
            refused.status
        );
        ensure!(
            batches.count()? == before,
            "all or none, {name}: some of it is stored"
        );
        let each = batches.send(false, &messages, None)?;
        ensure!(
            each.status == 202,
            "each on its own, {name}: {} {}",
            each.status,
            String::from_utf8_lossy(&each.body)
        );
        let results = each.json()?["results"].take();
        let told = results[1]["error"]["code"]
            .as_str()
            .context("the bad one has no error")?
            .to_owned();
        ensure!(
            results[0]["id"].is_string() && results[2]["id"].is_string() && results[1]["id"].is_null(),
            "each on its own, {name}: {results}"
        );
        ensure!(
            batches.count()? == before + 2,
            "each on its own, {name}: not two more"
        );
        seen.push(format!(
            "a batch with {name}: {} {code} whole, {told} alone",
            refused.status
        ));
    }
    seen.push(again(&mut batches)?);
    Ok(seen)
}

/// The same key: the same answer for the same body, and a conflict for any other.
fn again(batches: &mut Batches<'_>) -> anyhow::Result<String> {
    let one = r#"{"event_type":"raw.again","payload":1}"#;
    let two = format!(r#"{one},{{"event_type":"raw.again","payload":2}}"#);
    for atomic in [true, false] {
        let key = secret_hex(8)?;
        let first = batches.send(atomic, &two, Some(&key))?;
        ensure!(first.status == 202, "{}", String::from_utf8_lossy(&first.body));
        ensure!(
            first.header("idempotent-replayed").is_none(),
            "the first is a repetition"
        );
        let before = batches.count()?;
        let repeated = batches.send(atomic, &two, Some(&key))?;
        ensure!(
            repeated.status == 202 && repeated.header("idempotent-replayed") == Some("true"),
            "a repeated batch: {} {:?}",
            repeated.status,
            repeated.header("idempotent-replayed")
        );
        ensure!(ids(&repeated)? == ids(&first)?, "a repeated batch has other ids");
        for (what, atomic, messages) in [
            ("one less", atomic, one.to_owned()),
            ("one more", atomic, format!("{two},{one}")),
            ("the other `atomic`", !atomic, two.clone()),
            (
                "another payload",
                atomic,
                format!(r#"{one},{{"event_type":"raw.again","payload":3}}"#),
            ),
        ] {
            let other = batches.send(atomic, &messages, Some(&key))?;
            let code = other.json()?["code"].as_str().unwrap_or_default().to_owned();
            ensure!(
                (other.status, code.as_str()) == (409, "idempotency_conflict"),
                "{what} under the same key: {} {}",
                other.status,
                String::from_utf8_lossy(&other.body)
            );
        }
        ensure!(batches.count()? == before, "what was refused is stored");
    }
    Ok("batches under a key used before: repeated 202 with Idempotent-Replayed; one less, one more, another payload, the \
        other `atomic`: 409 idempotency_conflict"
        .to_owned())
}

fn ids(response: &Response) -> anyhow::Result<Vec<Value>> {
    let answer = response.json()?;
    let results = answer["results"].as_array().context("no results")?;
    Ok(results.iter().map(|result| result["id"].clone()).collect())
}

struct Batches<'a> {
    connection: &'a mut Connection,
    pen: &'a Pen,
}

impl Batches<'_> {
    fn send(&mut self, atomic: bool, messages: &str, key: Option<&str>) -> anyhow::Result<Response> {
        let authorization = format!("Bearer {}", self.pen.token);
        let mut headers = vec![("authorization", authorization.as_str())];
        headers.extend(key.map(|key| ("idempotency-key", key)));
        let body = format!(r#"{{"atomic":{atomic},"messages":[{messages}]}}"#);
        let path = format!("{}/batch", self.pen.messages());
        match self.connection.post_json(&path, &headers, body.as_bytes()) {
            Outcome::Answered(response) => Ok(response),
            outcome => anyhow::bail!("{path}: {outcome:?}"),
        }
    }

    /// How many messages there are, of the first 250.
    fn count(&mut self) -> anyhow::Result<usize> {
        let authorization = format!("Bearer {}", self.pen.token);
        let path = format!("{}?limit=250", self.pen.messages());
        match self
            .connection
            .send("GET", &path, &[("authorization", &authorization)], &[])
        {
            Outcome::Answered(response) => {
                let answer = response.json()?;
                let data = answer["data"].as_array().context("no `data`")?;
                Ok(data.len())
            }
            outcome => anyhow::bail!("{path}: {outcome:?}"),
        }
    }
}

/// A good message, so that there is somebody to answer.
pub(super) fn good() -> Value {
    json!({ "event_type": "raw.good", "payload": { "n": 1 } })
}
