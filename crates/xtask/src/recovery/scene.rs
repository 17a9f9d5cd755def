//! A tenant whose messages go to two endpoints: one that takes its time, and one that is down until after the restore.
//! So before the point everything was tried, nothing was finished, and after it everything must arrive.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use crate::chance::secret_hex;
use crate::http::Outcome;
use crate::interrupt;
use crate::postgres::free_port;
use crate::product::{Api, Installation, Running, signing_secret};
use crate::receiver::{Arrival, Pace, Receiver};

/// Of the endpoint that is up: some attempts are under way whenever anything happens.
const PACE: Pace = Pace {
    least: Duration::from_millis(20),
    most: Duration::from_millis(800),
};
/// Soon, and for longer than the whole takes.
const SCHEDULE: [u64; 14] = [1, 1, 2, 2, 3, 3, 5, 5, 5, 10, 10, 30, 60, 60];
const ARRIVAL_LIMIT: Duration = Duration::from_mins(3);
const POLL: Duration = Duration::from_millis(100);

/// A message that was accepted: what it was published with, and its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Accepted {
    event: String,
    id: String,
}

/// The scene. Dropping it stops everything.
pub(super) struct Scene {
    /// The node with its installation.
    pub(super) running: Running,
    up: Receiver,
    /// Where the endpoint listens that is down, and with which secret.
    down: (u16, String),
}

impl Scene {
    /// Begins on an installation that is new.
    pub(super) fn begin(installation: Installation) -> anyhow::Result<Self> {
        let running = Running::begin(installation)?;
        let (secret, other) = (signing_secret()?, signing_secret()?);
        let up = Receiver::start(&secret, PACE)?;
        let port = free_port()?;
        running.tenant.endpoint(&up.url(), &secret, Some(&SCHEDULE))?;
        let url = format!("http://127.0.0.1:{port}/webhooks");
        running.tenant.endpoint(&url, &other, Some(&SCHEDULE))?;
        Ok(Self {
            running,
            up,
            down: (port, other),
        })
    }

    /// Publishes so many messages, each with an id of the publisher's own.
    pub(super) fn publish(&self, count: u32) -> anyhow::Result<Vec<Accepted>> {
        let mut api = self.running.tenant.api();
        (0..count)
            .map(|_| {
                let event = format!("recovery-{}", secret_hex(8)?);
                let id = self.offer(&mut api, &event)?;
                interrupt::check()?;
                Ok(Accepted { event, id })
            })
            .collect()
    }

    /// Publishes what was published before, once more; how many were recognised, by having the id that they had.
    pub(super) fn repeat(&self, messages: &[Accepted]) -> anyhow::Result<usize> {
        let mut api = self.running.tenant.api();
        let mut recognised = 0;
        for message in messages {
            recognised += usize::from(self.offer(&mut api, &message.event)? == message.id);
            interrupt::check()?;
        }
        Ok(recognised)
    }

    fn offer(&self, api: &mut Api, event: &str) -> anyhow::Result<String> {
        let body = json!({ "event_type": "recovery.tried", "event_id": event, "payload": { "of": event } });
        match api.try_post(&self.running.tenant.messages(), body.to_string().as_bytes()) {
            Outcome::Answered(response) if (200..300).contains(&response.status) => {
                let answer: Value = response.json()?;
                Ok(answer["id"].as_str().context("no id")?.to_owned())
            }
            Outcome::Answered(response) => {
                bail!("{}: {}", response.status, String::from_utf8_lossy(&response.body))
            }
            outcome => bail!("publishing: {outcome:?}"),
        }
    }

    /// Waits until the endpoint that is up has got all of them.
    pub(super) fn await_up(&self, messages: &[Accepted]) -> anyhow::Result<()> {
        await_all(&self.up, messages, "the endpoint that is up")
    }

    /// How many the endpoint that is up has got so far.
    pub(super) fn arrived(&self) -> usize {
        self.up.count()
    }

    /// `kill -9` of the node.
    pub(super) fn kill(&mut self) {
        self.running.server.kill_hard();
    }

    /// Starts the node on what was restored, lets the other endpoint come up, and judges.
    pub(super) fn judge(
        mut self,
        before: &[Accepted],
        after: &[Accepted],
        seen: usize,
    ) -> anyhow::Result<()> {
        let other = Receiver::start_at(self.down.0, &self.down.1, Pace::AT_ONCE)?;
        let began = Instant::now();
        self.running
            .server
            .start_again()
            .context("on what was restored")?;
        println!(
            "  started          {:.1} s after the restore, ready",
            began.elapsed().as_secs_f64()
        );

        let (there, missing) = self.look(before)?;
        ensure!(
            missing == 0,
            "{missing} messages that were accepted before the point are gone"
        );
        let (surplus, lost) = self.look(after)?;
        ensure!(
            surplus == 0,
            "{surplus} messages that were accepted after the point are there"
        );
        println!("  before the point {there} messages accepted, {there} there");
        println!("  after the point  {lost} messages accepted, none there: this is what going back means");

        await_all(&other, before, "the endpoint that was down")?;
        println!(
            "  delivered        all {there} to the endpoint that had been down, {:.1} s after the start",
            began.elapsed().as_secs_f64()
        );
        self.count_repetitions(before, after, seen, &other)?;

        let recognised = self.repeat(before)?;
        ensure!(
            recognised == before.len(),
            "{} messages were published anew when they were repeated",
            before.len() - recognised
        );
        let again = self.repeat(after)?;
        println!(
            "  repeated         by the publisher, with the same event ids: {recognised} recognised, {} accepted anew",
            after.len() - again
        );
        ensure!(again == 0, "what is not there was recognised");
        let complaints = self.running.complaints();
        ensure!(
            complaints.panics.is_empty(),
            "panicked: {}",
            complaints.panics.join(" | ")
        );
        Ok(())
    }

    /// How many of them the API knows, and how many it does not.
    fn look(&self, messages: &[Accepted]) -> anyhow::Result<(usize, usize)> {
        let mut api = self.running.tenant.api();
        let mut known = 0;
        for message in messages {
            let path = format!("{}/{}", self.running.tenant.messages(), message.id);
            match api.get(&path) {
                Ok(_) => known += 1,
                Err(error) if error.to_string().contains(": 404 ") => {}
                Err(error) => return Err(error),
            }
            interrupt::check()?;
        }
        Ok((known, messages.len() - known))
    }

    /// What the endpoint that is up got twice, and that it got nothing that it should not.
    fn count_repetitions(
        &self,
        before: &[Accepted],
        after: &[Accepted],
        seen: usize,
        other: &Receiver,
    ) -> anyhow::Result<()> {
        let known: BTreeSet<&str> = before.iter().map(|message| message.id.as_str()).collect();
        let gone: BTreeSet<&str> = after.iter().map(|message| message.id.as_str()).collect();
        await_all(&self.up, before, "the endpoint that is up")?;
        let (up, other) = (self.up.since(0), other.since(0));
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for arrival in &up {
            *times.entry(&arrival.id).or_default() += 1;
        }
        for arrival in up.iter().chain(&other) {
            ensure!(arrival.fault.is_none(), "{}: {:?}", arrival.id, arrival.fault);
        }
        for arrival in up.iter().skip(seen).chain(&other) {
            ensure!(
                !gone.contains(arrival.id.as_str()),
                "{} was delivered, which is not there",
                arrival.id
            );
            ensure!(known.contains(arrival.id.as_str()), "{} is nobody's", arrival.id);
        }
        let twice = times.values().filter(|times| **times > 1).count();
        println!(
            "  delivered twice  {twice} of {} to the endpoint that was up: they were delivered after the point, or their \
             outcome was not yet written; receivers know them by webhook-id",
            known.len()
        );
        Ok(())
    }
}

fn await_all(receiver: &Receiver, messages: &[Accepted], who: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + ARRIVAL_LIMIT;
    loop {
        let well_signed = |arrival: Arrival| arrival.fault.is_none().then_some(arrival.id);
        let got: BTreeSet<String> = receiver.since(0).into_iter().filter_map(well_signed).collect();
        let missing = messages
            .iter()
            .filter(|message| !got.contains(&message.id))
            .count();
        if missing == 0 {
            return Ok(());
        }
        interrupt::check()?;
        ensure!(
            Instant::now() < deadline,
            "{missing} of {} messages did not arrive at {who}",
            messages.len()
        );
        std::thread::sleep(POLL);
    }
}
