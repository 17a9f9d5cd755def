//! The generator's one loop.

use anyhow::bail;

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
/// With so many connections a schedule begins.
const FIRST: usize = 16;

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
    // On a schedule there are as many connections as it takes, and no more.
    let first = options
        .rate
        .map_or(options.connections, |_| options.connections.min(FIRST));
    for token in 0..first {
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
            let Some(client) = self.idle_client()? else {
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
            Some(rate) => self.begins.saturating_add(whole(float(self.next) / rate * 1e9)),
        }
    }

    /// A connection with nothing under way: the one that was used last, or a new one while there may be more.
    fn idle_client(&mut self) -> anyhow::Result<Option<usize>> {
        let Some(client) = self.idle.pop() else {
            let more = self.clients.len();
            if more >= self.options.connections {
                return Ok(None);
            }
            let client = self.clients[0].reconnect(self.options.address)?;
            self.events.add(&client.stream, count(more))?;
            self.clients.push(client);
            return Ok(Some(more));
        };
        if self.clients[client].closed {
            self.open_again(client)?;
        }
        Ok(Some(client))
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
                if let Some(stamp) = self.clients[token].busy.take() {
                    self.tally.answered(stamp, answer, now());
                    self.idle.push(token);
                    if self.clients[token].closed {
                        self.events.remove(&self.clients[token].stream)?;
                    }
                    return Ok(());
                }
                // A server that has waited long enough for a request says so (408), and closes.
                self.replace(token, &std::io::Error::other("an answer to no question"))
            }
            Err(error) => self.replace(token, &error),
        }
    }

    fn block(&mut self, client: usize, blocked: bool) -> anyhow::Result<()> {
        if self.clients[client].blocked != blocked {
            self.clients[client].blocked = blocked;
            self.events
                .want_write(&self.clients[client].stream, count(client), blocked)?;
        }
        Ok(())
    }

    /// A new connection for one that broke. One with nothing under way may be closed by the server at any time, and
    /// is opened again when it is needed.
    fn replace(&mut self, client: usize, why: &std::io::Error) -> anyhow::Result<()> {
        if self.clients[client].busy.take().is_some() {
            self.tally.broken(why);
            self.idle.push(client);
            return self.open_again(client);
        }
        self.clients[client].closed = true;
        self.events.remove(&self.clients[client].stream)?;
        self.idle.retain(|other| *other != client);
        self.idle.insert(0, client);
        Ok(())
    }

    fn open_again(&mut self, client: usize) -> anyhow::Result<()> {
        self.clients[client] = self.clients[client].reconnect(self.options.address)?;
        self.events.add(&self.clients[client].stream, count(client))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::fate;
    use crate::http::Message;
    use std::io::{BufReader, Write as _};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    const BUSY: &str = "503 Service Unavailable";
    const LAST: &str = "429 Too Many Requests\r\nconnection: close";
    const LINGER: Duration = Duration::from_millis(100);

    /// A server that refuses every tenth message with this head, and accepts the others.
    fn server(refusal: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let served = Arc::new(AtomicUsize::new(0));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let served = Arc::clone(&served);
                std::thread::spawn(move || serve(stream, refusal, &served));
            }
        });
        address
    }

    fn serve(stream: TcpStream, refusal: &str, served: &AtomicUsize) -> Option<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let request = Message::read(&mut stream).ok()??;
            assert_eq!(request.header("authorization"), Some("Bearer k"));
            let (head, body) = match served.fetch_add(1, Ordering::SeqCst) % 10 {
                9 => (refusal, r#"{"code":"later"}"#.to_owned()),
                n => ("202 Accepted", format!(r#"{{"id":"msg_{n}"}}"#)),
            };
            let length = body.len();
            let answer = format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n{body}");
            stream.get_mut().write_all(answer.as_bytes()).ok()?;
            if head.contains("connection: close") {
                // As a server does that has not read the whole request: what still comes is thrown away.
                stream.get_ref().set_read_timeout(Some(LINGER)).ok()?;
                let _ = std::io::copy(&mut stream, &mut std::io::sink());
                return None;
            }
        }
    }

    fn publish(
        server: SocketAddr,
        messages: Option<u64>,
        rate: Option<f64>,
        seconds: f64,
    ) -> (Report, Vec<u64>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let options = LoadOptions {
            address: server,
            path: "/v1/x".to_owned(),
            run: 1,
            connections: 4,
            seconds,
            messages,
            rate,
            keyed: false,
            event_type: "a.b".to_owned(),
            fates: file.path().to_owned(),
        };
        let report = generate(&options, "k").unwrap();
        let bytes = std::fs::read(file.path()).unwrap();
        let (fates, _) = bytes.as_chunks::<8>();
        (
            report,
            fates.iter().map(|fate| u64::from_le_bytes(*fate)).collect(),
        )
    }

    #[test]
    fn a_closed_loop_publishes_as_many_as_are_wanted() {
        let (report, fates) = publish(server(BUSY), Some(200), None, 60.0);
        assert_eq!((fates.len(), report.wrong.len(), report.unknown), (200, 0, 0));
        assert_eq!(report.accepted + report.refused[&503], 200);
        let accepted = fates.iter().filter(|fate| **fate > fate::ACCEPTED).count();
        assert_eq!(count(accepted), report.accepted);
    }

    #[test]
    fn after_an_answer_that_ends_the_connection_nothing_is_sent_there() {
        let (report, fates) = publish(server(LAST), Some(200), None, 60.0);
        assert_eq!((report.wrong, report.unknown), (Vec::new(), 0));
        assert_eq!(
            (report.refused[&429], report.accepted, fates.len()),
            (20, 180, 200)
        );
    }

    #[test]
    fn an_open_loop_keeps_to_its_schedule() {
        let (report, fates) = publish(server(BUSY), None, Some(400.0), 0.5);
        assert_eq!(fates.len(), 200);
        assert!(report.last_at - report.first_at >= SECOND * 45 / 100);
        assert!(report.latency.count == report.accepted && report.cpu > 0);
    }
}
