//! The generator's one loop.

use anyhow::{Context, bail};

use super::client::{Client, Request};
use super::tally::Tally;
use super::{LoadOptions, Report};
use crate::bench::clock::{SECOND, now, own_cpu};
use crate::bench::events::{Alarm, Events, Happened};
use crate::bench::numbers::{count, float, length, whole};
use crate::bench::payload::Stamp;
use crate::interrupt;

/// How long the last answers are waited for.
const FAREWELL: u64 = 60 * SECOND;
/// How long a silent loop sleeps at most.
const IDLE: u64 = 200_000_000;
/// Time to get ready before the first message is due.
const LEAD: u64 = 20_000_000;
const ALARM: u64 = u64::MAX;

struct Generator<'a> {
    options: &'a LoadOptions,
    events: Events,
    alarm: Alarm,
    clients: Vec<Client>,
    /// Clients that have nothing under way.
    idle: Vec<usize>,
    tally: Tally,
    begins: u64,
    ends: u64,
    /// The number of the next message.
    next: u64,
}

/// Publishes as the options say.
pub(super) fn generate(options: &LoadOptions, key: &str) -> anyhow::Result<Report> {
    let (events, alarm) = (Events::new()?, Alarm::new()?);
    events.add(&alarm, ALARM)?;
    let request = Request::new(options, key);
    let mut clients = Vec::with_capacity(options.connections);
    for token in 0..options.connections {
        let client = Client::connect(options.address, request.clone())?;
        events.add(&client.stream, count(token))?;
        clients.push(client);
    }
    let begins = now() + LEAD;
    let mut generator = Generator {
        idle: (0..clients.len()).rev().collect(),
        begins,
        ends: begins.saturating_add(whole(options.seconds * 1e9)),
        options,
        events,
        alarm,
        clients,
        tally: Tally::default(),
        next: 0,
    };
    generator.run()?;
    let mut report = generator.tally.close(&options.fates, generator.next)?;
    report.cpu = own_cpu();
    Ok(report)
}

impl Generator<'_> {
    fn run(&mut self) -> anyhow::Result<()> {
        self.alarm.set(self.begins)?;
        loop {
            let over = self.send_what_is_due()?;
            let busy = self.clients.len() - self.idle.len();
            if (over && busy == 0) || self.tally.is_hopeless() {
                return Ok(());
            }
            if now() > self.ends.saturating_add(FAREWELL) {
                bail!("{busy} publishes were not answered within a minute");
            }
            interrupt::check()?;
            for happened in self.events.wait(Some(IDLE))? {
                if happened.token != ALARM {
                    self.attend(happened)?;
                }
            }
        }
    }

    /// Sends as much as is due and as there are idle connections; whether nothing will ever be due any more.
    fn send_what_is_due(&mut self) -> anyhow::Result<bool> {
        let now = now();
        loop {
            let due = self.due(now);
            if due >= self.ends || self.options.messages.is_some_and(|most| self.next >= most) {
                self.alarm.set(0)?;
                return Ok(true);
            }
            if due > now {
                self.alarm.set(due)?;
                return Ok(false);
            }
            let Some(client) = self.idle.pop() else {
                // The next answer makes room; a clock that rings meanwhile helps nobody.
                self.alarm.set(0)?;
                return Ok(false);
            };
            self.send(client, due)?;
        }
    }

    /// When the next message is to be sent: on the schedule, or now.
    fn due(&self, now: u64) -> u64 {
        match self.options.rate {
            None => now.max(self.begins),
            Some(rate) => {
                self.begins.saturating_add(whole(float(self.next) / rate * 1e9))
            }
        }
    }

    fn send(&mut self, client: usize, at: u64) -> anyhow::Result<()> {
        let stamp = Stamp {
            run: self.options.run,
            number: self.next,
            at,
        };
        self.next += 1;
        self.tally.sent(stamp);
        match self.clients[client].send(stamp) {
            Ok(blocked) => self.block(client, blocked),
            Err(error) => self.replace(client, &error),
        }
    }

    fn attend(&mut self, happened: Happened) -> anyhow::Result<()> {
        let token = length(happened.token);
        if happened.writable && self.clients[token].blocked {
            match self.clients[token].flush() {
                Ok(blocked) => self.block(token, blocked)?,
                Err(error) => return self.replace(token, &error),
            }
        }
        if !happened.readable {
            return Ok(());
        }
        match self.clients[token].answer() {
            Ok(None) => Ok(()),
            Ok(Some(answer)) => {
                let stamp = self.clients[token].busy.take().context("an answer to no question")?;
                self.tally.answered(stamp, answer, now());
                self.idle.push(token);
                Ok(())
            }
            Err(error) => self.replace(token, &error),
        }
    }

    fn block(&mut self, client: usize, blocked: bool) -> anyhow::Result<()> {
        if self.clients[client].blocked != blocked {
            self.clients[client].blocked = blocked;
            self.events.want_write(&self.clients[client].stream, count(client), blocked)?;
        }
        Ok(())
    }

    /// A new connection for one that broke. One that was idle may be closed by the server at any time.
    fn replace(&mut self, client: usize, why: &std::io::Error) -> anyhow::Result<()> {
        if self.clients[client].busy.is_some() {
            self.tally.broken(why);
            self.idle.push(client);
        }
        self.clients[client] = self.clients[client].reconnect(self.options.address)?;
        self.events.add(&self.clients[client].stream, count(client))
    }
}
