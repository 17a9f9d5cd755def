//! What a subscriber cannot take: one event that stands aside until the operator drops it, and a disk that is full.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::crash::{SINK, Scene, WEBHOOKS, await_that};
use super::log::Told;
use crate::conformance::ground;
use crate::tenancy::client::{Client, text};

const LETTERS: &str = "/v1/operator/dead-letters";
/// A file that takes nothing.
const FULL: &str = "/dev/full";
/// How long the disk stays full.
const HOLDS: Duration = Duration::from_secs(3);
const COMMANDS: usize = 20;

/// An endpoint of its own; its path and id.
fn endpoint(client: &mut Client, application: &str) -> anyhow::Result<(String, String)> {
    let path = format!("/v1/applications/{application}/endpoints");
    let made = client.create(&path, &json!({ "url": "http://127.0.0.1:9/nobody" }))?;
    let id = text(&made, "id")?;
    Ok((format!("{path}/{id}"), id))
}

/// An event of a version that no release knows: it is set aside and holds back what comes after it of its endpoint,
/// and nothing else; once the operator has dropped it the rest comes.
pub(super) fn unknown_form(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let mut client = scene.ground.client(0);
    let application = ground::application(&mut client, "Aside")?;
    let (held, held_id) = endpoint(&mut client, &application)?;
    let (other, _) = endpoint(&mut client, &application)?;
    scene.caught_up()?;
    scene.sql.append_unknown(&held_id, "endpoint.enabled")?;
    for path in [&held, &other] {
        client.expect(200, "POST", &format!("{path}/disable"), None)?;
    }
    scene.caught_up()?;
    let letter = only_letter(scene)?;
    ensure!(
        letter["kind"] == "endpoint.enabled"
            && letter["aggregate"] == held_id.as_str()
            && letter["error"] == "unknown_form"
            && letter["holds_back"] == 1,
        "another dead letter: {letter}"
    );
    // The sink takes everything, and tenants hear of all but what is held back.
    let mut log = scene.sql.events()?;
    Told::read(&scene.sink)?.judge(&log, scene.kills)?;
    let (strange, _) = log
        .iter()
        .rev()
        .find(|(_, event)| event.aggregate == held_id && event.kind == "endpoint.enabled")
        .context("the event is not in the log")?;
    let strange = *strange;
    log.remove(&strange);
    let mut heard = log.clone();
    heard.retain(|position, event| event.aggregate != held_id || *position < strange);
    scene.webhooks(&heard)?;
    let id = text(&letter, "id")?;
    let mut operator = scene.operator();
    let discarded = operator.expect(200, "DELETE", &format!("{LETTERS}/{id}"), None)?;
    ensure!(discarded["released"] == 1, "another answer: {discarded}");
    await_that(
        || Ok(scene.subscriber(WEBHOOKS)?["held_back"] == 0),
        || "what a dropped dead letter held back is not delivered".to_owned(),
    )?;
    scene.webhooks(&log)?;
    println!(
        "  an event of an unknown version: set aside, seen by the operator, held back 1 of its aggregate and nothing \
         else; dropped, and that came"
    );
    Ok(())
}

fn only_letter(scene: &Scene<'_>) -> anyhow::Result<Value> {
    let mut letters = scene.operator().get(LETTERS)?;
    let Value::Array(mut letters) = letters["data"].take() else {
        anyhow::bail!("no list of dead letters: {letters}");
    };
    ensure!(letters.len() == 1, "not one dead letter but {letters:?}");
    letters.pop().context("no dead letter")
}

/// The sink's disk is full for a while: the sink holds, tenants hear nevertheless, and afterwards nothing lacks.
pub(super) fn full_disk(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let mut client = scene.ground.client(0);
    let application = ground::application(&mut client, "Full disk")?;
    let (path, _) = endpoint(&mut client, &application)?;
    scene.caught_up()?;
    lead(&scene.link, Path::new(FULL))?;
    for number in 0..COMMANDS {
        let body = json!({ "description": number.to_string() });
        client.expect(200, "PATCH", &path, Some(&body))?;
    }
    thread::sleep(HOLDS);
    await_that(
        || Ok(scene.subscriber(WEBHOOKS)?["lag"] == 0),
        || "a full disk of the sink holds the webhooks".to_owned(),
    )?;
    let sink = scene.subscriber(SINK)?;
    ensure!(
        sink["lag"].as_u64() >= Some(u64::try_from(COMMANDS)?),
        "a full disk does not hold the sink: {sink}"
    );
    lead(&scene.link, &scene.sink)?;
    let took = scene.caught_up()?;
    let letters = scene.operator().get(LETTERS)?;
    ensure!(
        letters["data"] == json!([]),
        "a full disk set events aside: {letters}"
    );
    let (log, told) = (scene.sql.events()?, Told::read(&scene.sink)?);
    told.judge(&log, scene.kills)?;
    println!(
        "  a full disk for {} s: the sink held {COMMANDS} events while webhooks flowed, none was set aside; all \
         written {:.1} s after",
        HOLDS.as_secs(),
        took.as_secs_f64()
    );
    Ok(())
}

/// Has the link lead there from now on, in one step.
fn lead(link: &Path, to: &Path) -> anyhow::Result<()> {
    let new = link.with_extension("new");
    std::os::unix::fs::symlink(to, &new)?;
    std::fs::rename(&new, link)?;
    Ok(())
}
