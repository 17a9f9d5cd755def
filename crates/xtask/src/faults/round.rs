//! One round: publish to a slow receiver, strike in the middle, start again, wait for everything.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::Fault;
use super::arrivals::{Course, Standing};
use super::publisher::Publisher;
use super::report::Report;
use crate::chance::Dice;
use crate::interrupt;
use crate::postgres::Postgres;
use crate::product::{Binary, Installation, Running, signing_secret};
use crate::receiver::{Pace, Receiver};

/// Until enough is queued; with everything on two busy cores.
const FILL_LIMIT: Duration = Duration::from_mins(3);
/// For the rest, from the fault on: longer than a lease and the waits after it.
const REST_LIMIT: Duration = Duration::from_mins(4);
const SETTLE_LIMIT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(5);
/// Slow enough that a queue builds up, quick enough that deliveries are finished all the time, and far below the
/// attempts' time-out.
const SLOW: Pace = Pace {
    least: Duration::from_millis(100),
    most: Duration::from_secs(4),
};
/// To one endpoint.
const IN_FLIGHT: usize = 256;
const CLIENTS: usize = 8;
const CHECKERS: usize = 4;

/// What a round is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// What strikes.
    pub(super) fault: Fault,
    /// How many messages are published in all.
    pub(super) messages: usize,
    /// How many must be accepted and unfinished when it strikes.
    pub(super) unfinished: usize,
    /// Decides the moment.
    pub(super) seed: u64,
    /// How long the database is away.
    pub(super) away: Duration,
}

/// Plays the round; an error if anything was lost or is otherwise not as it must be.
pub(super) fn play(plan: Plan, binary: &Binary, postgres: Option<&mut Postgres>) -> anyhow::Result<()> {
    let mut installation = Installation::new(binary, postgres.as_deref())?;
    let in_flight = IN_FLIGHT.to_string();
    installation.set("POSTRIDER_DELIVERY__MAX_IN_FLIGHT_PER_ENDPOINT", in_flight);
    let secret = signing_secret()?;
    // Dropped last: while the server drains, its attempts can still end.
    let receiver = Receiver::start(&secret, SLOW)?;
    let mut running = Running::begin(installation)?;
    running.tenant.endpoint(&receiver.url(), &secret, None)?;
    let deadline = Instant::now() + FILL_LIMIT + REST_LIMIT;
    let publisher = Publisher::start(&running.tenant, plan.messages, CLIENTS, deadline);

    let standing = await_moment(plan, &publisher, &receiver)?;
    let course = strike(plan, standing, &mut running, postgres, &publisher, &receiver)?;
    await_rest(&mut running, &publisher, &receiver, course.restarted + REST_LIMIT)?;
    let ledger = publisher.ledger();
    let ids: Vec<&str> = ledger.accepted.keys().map(String::as_str).collect();
    let unsettled = await_settled(&running, &ids);
    let report = Report::of(&course, &ledger, &receiver.since(0));
    println!("{report}");
    let unsettled = unsettled?;
    println!(
        "  by the API       {} delivered, {} not",
        ledger.accepted.len() - unsettled.len(),
        unsettled.len()
    );
    let complaints = running.complaints();
    for (said, count) in complaints.others.iter().take(6) {
        println!("  logged {count} times: {said}");
    }
    let mut problems = report.problems();
    problems.extend(complaints.panics);
    if let Err(error) = ledger.judge_whole(plan.messages) {
        problems.push(error.to_string());
    }
    if plan.fault == Fault::Terminate {
        problems.extend(report.cut_attempts());
    }
    if let Some(example) = unsettled.first() {
        problems.push(format!(
            "{} not delivered by the API, for example {example}",
            unsettled.len()
        ));
    }
    ensure!(problems.is_empty(), "{}", problems.join("; "));
    Ok(())
}

/// Waits until enough is accepted and unfinished, and then a little longer.
fn await_moment(plan: Plan, publisher: &Publisher, receiver: &Receiver) -> anyhow::Result<Standing> {
    let mut dice = Dice::new(plan.seed);
    let more = usize::try_from(dice.below(200))?;
    let longer = Duration::from_millis(dice.below(250));
    let deadline = Instant::now() + FILL_LIMIT;
    loop {
        interrupt::check()?;
        let standing = standing(publisher, receiver);
        if standing.unfinished() >= plan.unfinished + more && standing.answered > 0 {
            break;
        }
        let said = format!(
            "{} accepted, {} arrived, {} answered",
            standing.accepted, standing.arrived, standing.answered
        );
        ensure!(
            !publisher.is_finished(),
            "all was published before {} were unfinished: {said}",
            plan.unfinished
        );
        ensure!(
            standing.at < deadline,
            "{} unfinished were not reached in time: {said}",
            plan.unfinished
        );
        thread::sleep(POLL);
    }
    thread::sleep(longer);
    ensure!(
        !publisher.is_finished(),
        "the fault would come after the publishing: give more messages"
    );
    let standing = standing(publisher, receiver);
    ensure!(
        standing.answered > 0 && standing.in_flight() > 0,
        "the fault would not come in the middle of delivering: {standing:?}"
    );
    Ok(standing)
}

/// How things stand now.
fn standing(publisher: &Publisher, receiver: &Receiver) -> Standing {
    Standing {
        accepted: publisher.accepted(),
        arrived: receiver.count(),
        answered: receiver.answered(),
        at: Instant::now(),
    }
}

/// Strikes and starts again.
fn strike(
    plan: Plan,
    standing: Standing,
    running: &mut Running,
    postgres: Option<&mut Postgres>,
    publisher: &Publisher,
    receiver: &Receiver,
) -> anyhow::Result<Course> {
    let mut gone = None;
    let restarted = match plan.fault {
        Fault::Kill => {
            running.server.kill_hard();
            *gone.insert(Instant::now())
        }
        Fault::Terminate => {
            publisher.take_it_easy(true);
            let ended = terminate(running, postgres.as_deref())?;
            *gone.insert(ended)
        }
        Fault::Rolling => bail!("played elsewhere"),
        Fault::Database => {
            let postgres = postgres.context("no PostgreSQL to kill")?;
            postgres.kill_hard()?;
            sleep(plan.away)?;
            let restarted = Instant::now();
            postgres.start_again()?;
            restarted
        }
    };
    receiver.hurry();
    publisher.take_it_easy(false);
    if plan.fault == Fault::Database {
        ensure!(
            running.server.ended()?.is_none(),
            "the server ended when its database did"
        );
        running.server.await_ready()?;
    } else {
        running.server.start_again()?;
    }
    Ok(Course {
        standing,
        gone,
        restarted,
        over: Instant::now(),
    })
}

/// SIGTERM, which the server must obey in order, with nothing left leased; when it was gone.
fn terminate(running: &mut Running, postgres: Option<&Postgres>) -> anyhow::Result<Instant> {
    let began = Instant::now();
    let status = running
        .server
        .stop()
        .context("SIGTERM did not end the server in time")?;
    let ended = Instant::now();
    ensure!(
        status.code() == Some(0),
        "after SIGTERM the server ended with {status}"
    );
    println!(
        "  SIGTERM          exit code 0 after {:.2} s",
        (ended - began).as_secs_f64()
    );
    let left = running.installation.leases(postgres)?;
    println!(
        "  at the end       {} rows leased, {} nodes that have not left, {} rows in the queue",
        left.rows, left.nodes, left.waiting
    );
    ensure!(
        (left.rows, left.nodes) == (0, 0),
        "the server left behind: {left:?}"
    );
    Ok(ended)
}

/// Sleeps, unless a signal comes.
fn sleep(time: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + time;
    while Instant::now() < deadline {
        interrupt::check()?;
        thread::sleep(POLL);
    }
    Ok(())
}

/// Waits until all is published and all that was accepted has arrived. What is missing at the deadline is lost.
fn await_rest(
    running: &mut Running,
    publisher: &Publisher,
    receiver: &Receiver,
    deadline: Instant,
) -> anyhow::Result<()> {
    let mut seen = 0;
    let mut missing: Option<std::collections::BTreeSet<String>> = None;
    let mut early = Vec::new();
    while Instant::now() < deadline {
        interrupt::check()?;
        if let Some(status) = running.server.ended()? {
            bail!(
                "the server ended by itself ({status}): {}",
                crate::process::tail(&running.server.log(), 5)
            );
        }
        let news = receiver.since(seen);
        seen += news.len();
        early.extend(news.into_iter().map(|arrival| arrival.id));
        if missing.is_none() && publisher.is_finished() {
            missing = Some(publisher.ledger().accepted.into_keys().collect());
        }
        if let Some(missing) = &mut missing {
            for id in early.drain(..) {
                missing.remove(&id);
            }
            if missing.is_empty() {
                return Ok(());
            }
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// Asks the API about every message until it says `delivered`; answers those of which it does not.
fn await_settled(running: &Running, ids: &[&str]) -> anyhow::Result<Vec<String>> {
    let deadline = Instant::now() + SETTLE_LIMIT;
    let next = AtomicUsize::new(0);
    let check = || {
        let mut api = running.tenant.api();
        let mut unsettled = Vec::new();
        while let Some(id) = ids.get(next.fetch_add(1, Ordering::SeqCst)) {
            loop {
                interrupt::check()?;
                let deliveries = running.tenant.deliveries(&mut api, id)?;
                if deliveries.len() == 1 && deliveries[0]["status"] == "delivered" {
                    break;
                }
                if Instant::now() >= deadline {
                    unsettled.push(format!("{id}: {deliveries:?}"));
                    break;
                }
                thread::sleep(POLL);
            }
        }
        anyhow::Ok(unsettled)
    };
    thread::scope(|scope| {
        let checkers: Vec<_> = (0..CHECKERS).map(|_| scope.spawn(check)).collect();
        let mut all = Vec::new();
        for checker in checkers {
            all.extend(
                checker
                    .join()
                    .map_err(|_| anyhow::anyhow!("a checker panicked"))??,
            );
        }
        Ok(all)
    })
}
