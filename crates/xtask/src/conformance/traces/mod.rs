//! The trace of a message that fails once and then succeeds, in an OTLP back end that is not ours.

mod back_end;
mod judge;

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use self::back_end::BackEnd;
use self::judge::{Published, Trace, tells_nothing_of, whole};
use super::retries::receive;
use super::stage::Stage;
use crate::chance::secret_hex;
use crate::collector::Collector;
use crate::interrupt;
use crate::process::Speaker;
use crate::product::{Database, Installation, Running, Tenant, signing_secret};
use crate::watchdog::Watchdog;

const ARRIVE_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);
/// What is nowhere in a trace: a payload, and what a receiver's URL has after its host.
const PAYLOAD: &str = r#"{"card":"pAyL0ad-4711"}"#;
const PATH: &str = "/hook/p4th-t0ken?key=qu3ry-t0ken";
/// The request that asks for a delivery to be made again.
const RESEND: &str = "POST /v1/applications/{application}/messages/{message}/deliveries/{endpoint}/resend";
const SECRETS: [&str; 3] = ["pAyL0ad-4711", "p4th-t0ken", "qu3ry-t0ken"];

/// Runs on each database, by gRPC and by HTTP.
pub(super) fn run(stage: &Stage<'_>) -> anyhow::Result<()> {
    let back_end = BackEnd::start()?;
    let by_grpc = |database: Database, installation: &mut Installation| {
        exports_to(installation, &back_end.endpoint(), "grpc");
        installation.set("OTEL_SERVICE_NAME", service(database));
    };
    stage
        .databases
        .each_with(stage.binary, by_grpc, |database, running| {
            grpc(database, running, &back_end)
        })?;
    let collector = Collector::start()?;
    let by_http = |_: Database, installation: &mut Installation| {
        exports_to(installation, &collector.endpoint(), "http/protobuf");
        // Of what nobody outside has decided, nothing.
        installation.set("OTEL_TRACES_SAMPLER", "parentbased_traceidratio");
        installation.set("OTEL_TRACES_SAMPLER_ARG", "0");
    };
    stage
        .databases
        .each_with(stage.binary, by_http, |database, running| {
            http(database, running, &collector)
        })
}

/// The service under which the spans of an installation are found.
fn service(database: Database) -> String {
    format!("postrider-{}", database.name().to_lowercase())
}

fn exports_to(installation: &mut Installation, endpoint: &str, protocol: &str) {
    installation.set("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    installation.set("OTEL_EXPORTER_OTLP_PROTOCOL", protocol);
    installation.set("OTEL_METRICS_EXPORTER", "none");
    installation.set("OTEL_BSP_SCHEDULE_DELAY", "200");
}

/// A receiver that fails this often, with an endpoint of it.
struct Receiver {
    speaker: Speaker,
    address: SocketAddr,
    endpoint: String,
    secret: String,
    _watchdog: Watchdog,
}

impl Receiver {
    fn start(running: &Running, fails: usize) -> anyhow::Result<Self> {
        let secret = signing_secret()?;
        let (speaker, address) = receive(running.installation.binary(), &secret, fails)?;
        // It knows nothing of us and would stay.
        let pid_file = running.installation.folder().join("receiver.pid");
        std::fs::write(&pid_file, format!("{}\n", speaker.id()))?;
        let endpoint = running
            .tenant
            .endpoint(&format!("http://{address}{PATH}"), &secret, Some(&[1]))?;
        Ok(Self {
            _watchdog: Watchdog::over_process(&pid_file, Path::new(""))?,
            speaker,
            address,
            endpoint,
            secret,
        })
    }

    /// Waits for so many arrivals.
    fn arrivals(&self, count: usize) -> anyhow::Result<()> {
        let deadline = Instant::now() + ARRIVE_LIMIT;
        for number in 1..=count {
            while self.speaker.line(POLL)?.is_none() {
                interrupt::check()?;
                ensure!(Instant::now() < deadline, "attempt {number} did not arrive");
            }
        }
        Ok(())
    }
}

/// A caller's own trace.
struct Caller {
    trace: String,
    span: String,
    sampled: bool,
}

impl Caller {
    fn new(sampled: bool) -> anyhow::Result<Self> {
        Ok(Self {
            trace: secret_hex(16)?,
            span: secret_hex(8)?,
            sampled,
        })
    }

    fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

fn grpc(database: Database, running: &Running, back_end: &BackEnd) -> anyhow::Result<()> {
    let (service, tenant) = (service(database), &running.tenant);
    let receiver = Receiver::start(running, 1)?;
    let (quiet, again) = (Caller::new(false)?, Caller::new(true)?);
    let message = tenant.publish(&mut tenant.api(), "invoice.paid", PAYLOAD)?;
    receiver.arrivals(2)?;
    let host = receiver.address.ip().to_string();
    let published = Published {
        message: &message,
        endpoint: &receiver.endpoint,
        host: &host,
        database: match database {
            Database::Sqlite => "sqlite",
            Database::Postgres => "postgresql",
        },
    };
    let all = || back_end.traces(&service);
    let traces = until(all, |traces| {
        Trace::of_message(traces, &message).is_some_and(|trace| whole(trace, &published).is_ok())
    })?;
    let trace = Trace::of_message(&traces, &message).context("the trace did not arrive")?;
    whole(trace, &published)?;
    let (with_resent, asked) = resent(&receiver, tenant, &message, back_end, &service, &again)?;

    let unheard = tenant.publish_in(&quiet.traceparent(), "invoice.paid", PAYLOAD)?;
    receiver.arrivals(2)?;
    // What is exported in the same breath comes first.
    let marker = tenant.publish(&mut tenant.api(), "invoice.paid", PAYLOAD)?;
    receiver.arrivals(2)?;
    let traces = until(all, |traces| {
        Trace::of_message(traces, &marker).is_some_and(|trace| trace.named("POST").len() == 2)
    })?;
    ensure!(
        Trace::of_message(&traces, &marker).is_some(),
        "the trace of what was published after it did not arrive"
    );
    ensure!(
        back_end.trace(&quiet.trace)?.is_empty(),
        "a trace that its caller does not record was exported"
    );
    let secrets = [&SECRETS[..], &[&receiver.secret, tenant.key(), &unheard]].concat();
    tells_nothing_of(&[traces, with_resent, asked].concat(), &secrets)?;
    println!(
        "{}, gRPC: {} spans from the request to two attempts, the retry linked to the first; an attempt that was asked \
         for linked to who asked; nothing of what is not recorded, and no secret",
        database.name(),
        trace.spans().len()
    );
    Ok(())
}

/// Asks for the message to be sent again, in a trace of the caller's; both traces.
fn resent(
    receiver: &Receiver,
    tenant: &Tenant,
    message: &str,
    back_end: &BackEnd,
    service: &str,
    caller: &Caller,
) -> anyhow::Result<(Vec<Value>, Vec<Value>)> {
    let path = format!(
        "{}/{message}/deliveries/{}/resend",
        tenant.messages(),
        receiver.endpoint
    );
    tenant.post_in(&caller.traceparent(), &path, b"")?;
    receiver.arrivals(1)?;
    let traces = until(
        || back_end.traces(service),
        |traces| Trace::of_message(traces, message).is_some_and(|trace| trace.named("POST").len() == 3),
    )?;
    let asked = until(
        || back_end.trace(&caller.trace),
        |traces| Trace::find(traces, &caller.trace).is_some_and(|trace| !trace.named(RESEND).is_empty()),
    )?;
    joined(&traces, message, &asked, caller)?;
    Ok((traces, asked))
}

/// Waits until the traces are as they must be, or time is up: whoever asks judges them as they are.
fn until(
    get: impl Fn() -> anyhow::Result<Vec<Value>>,
    holds: impl Fn(&[Value]) -> bool,
) -> anyhow::Result<Vec<Value>> {
    let deadline = Instant::now() + ARRIVE_LIMIT;
    loop {
        let traces = get()?;
        if holds(&traces) || Instant::now() >= deadline {
            return Ok(traces);
        }
        interrupt::check()?;
        thread::sleep(POLL);
    }
}

/// The attempt that was asked for is linked to the attempt before it, and to whoever asked, whose own trace is joined.
fn joined(traces: &[Value], message: &str, asked: &[Value], caller: &Caller) -> anyhow::Result<()> {
    let trace = Trace::of_message(traces, message).context("the trace did not arrive")?;
    let publish = trace.named("publish");
    let publish = publish.first().context("the trace has no publish")?;
    let attempts = trace.attempts(publish.id())?;
    ensure!(attempts.len() == 3, "there are {} attempts", attempts.len());
    let resend = Trace::find(asked, &caller.trace).context("the trace of the resend did not arrive")?;
    let request = resend.child(RESEND, Some(&caller.span))?;
    let resend = resend.child("delivery.resend", Some(request.id()))?;
    let expected = [
        (trace.id(), attempts[1].id()),
        (caller.trace.as_str(), resend.id()),
    ];
    ensure!(
        attempts[2].links() == expected,
        "the resent attempt is linked to {:?} and not {expected:?}",
        attempts[2].links()
    );
    Ok(())
}

/// By HTTP, a sampler that leaves everything out but what callers record.
fn http(database: Database, running: &Running, collector: &Collector) -> anyhow::Result<()> {
    let tenant = &running.tenant;
    let receiver = Receiver::start(running, 0)?;
    let (quiet, caller) = (Caller::new(false)?, Caller::new(true)?);
    let mut api = tenant.api();
    let left_out = [
        tenant.publish(&mut api, "invoice.paid", PAYLOAD)?,
        tenant.publish_in(&quiet.traceparent(), "invoice.paid", PAYLOAD)?,
    ];
    let recorded = tenant.publish_in(&caller.traceparent(), "invoice.paid", PAYLOAD)?;
    receiver.arrivals(3)?;
    let holds = |text: &str| {
        let posts = collector.posts();
        posts.iter().any(|post| contains(&post.body, text.as_bytes()))
    };
    let deadline = Instant::now() + ARRIVE_LIMIT;
    // Of the last thing that is done for it: its attempt.
    while !(holds(&recorded) && holds(&receiver.endpoint)) {
        interrupt::check()?;
        ensure!(Instant::now() < deadline, "the recorded publish was not exported");
        thread::sleep(POLL);
    }
    for post in &collector.posts() {
        ensure!(
            post.start.starts_with("POST /v1/traces ")
                && post.header("content-type") == Some("application/x-protobuf"),
            "the exporter sent {} of type {:?}",
            post.start,
            post.header("content-type")
        );
    }
    for text in SECRETS
        .into_iter()
        .chain(left_out.iter().map(String::as_str))
        .chain([receiver.secret.as_str(), tenant.key()])
    {
        ensure!(!holds(text), "`{text}` was exported");
    }
    let posts = collector.posts();
    let bytes: usize = posts.iter().map(|post| post.body.len()).sum();
    println!(
        "{}, HTTP: {} posts, {bytes} bytes; with a ratio of 0 only what its caller records",
        database.name(),
        posts.len()
    );
    Ok(())
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_found_wherever_it_is() {
        assert!(contains(b"abc", b"bc") && !contains(b"abc", b"cb") && !contains(b"", b"a"));
    }

    #[test]
    fn a_caller_says_whether_it_records() {
        let caller = Caller::new(true).unwrap();
        assert!(caller.traceparent().ends_with("-01") && caller.trace.len() == 32);
        assert!(Caller::new(false).unwrap().traceparent().ends_with("-00"));
    }
}
