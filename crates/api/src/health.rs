//! How this process is: whether its loop turns, whether it has started, and whether it can serve.
//!
//! [`Health`] is what is known of it. Others report: the main runtime its heartbeat, one prober what it finds, whoever
//! starts and stops the process how far that is. Whoever asks is answered from here, so that probes, however many, cost
//! the database nothing. What nobody has looked at for too long counts as not ready, so that a prober that is stuck is
//! no reason to believe that all is well.

use std::{
    borrow::Cow,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use opentelemetry::{KeyValue, global};
use postrider_application::ports::Clock;

/// How often the main runtime shows that it turns.
const BEAT: Duration = Duration::from_secs(1);
/// After this long without a heartbeat it does not turn any more.
const STUCK_AFTER: Duration = Duration::from_secs(10);

/// What readiness consists of, besides the process itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The database answers.
    Database,
    /// Its tables are of this version, or of a newer one.
    Migrations,
    /// The engine holds its lease.
    Engine,
}

impl Subject {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Database, Self::Migrations, Self::Engine];

    /// Its name, in answers and as a label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Migrations => "migrations",
            Self::Engine => "engine",
        }
    }

    /// After this long without a look nothing is known of it any more: some of the prober's rounds, time-outs included.
    const fn stale_after(self) -> Duration {
        match self {
            Self::Database | Self::Engine => Duration::from_secs(20),
            Self::Migrations => Duration::from_mins(1),
        }
    }
}

/// How far the process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Serving,
    Draining,
}

/// One of the things without which this node cannot serve, as it was last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at: `process`, `database`, `migrations`, `engine`.
    pub name: &'static str,
    /// Whether it is as it should be.
    pub ready: bool,
    /// A few words for the operator; public, so nothing of hosts, names or versions.
    pub detail: Cow<'static, str>,
    /// For how long it has been so.
    pub since: Duration,
    /// How long ago it was last looked at; none: never.
    pub looked: Option<Duration>,
}

/// Whether the main runtime turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Liveness {
    /// Whether it does.
    pub live: bool,
    /// How long ago it last showed it.
    pub heartbeat: Duration,
}

/// Whether the process has started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Startup {
    /// Whether it has.
    pub started: bool,
    /// What it is at; public.
    pub detail: &'static str,
    /// For how long.
    pub since: Duration,
}

/// What is known of one subject.
#[derive(Debug, Clone)]
struct Seen {
    ready: bool,
    detail: Cow<'static, str>,
    since: Duration,
    looked: Option<Duration>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    doing: &'static str,
    since: Duration,
    seen: [Seen; Subject::ALL.len()],
}

/// What is known of how this process is. All times are the clock's monotonic ones.
pub struct Health {
    clock: Arc<dyn Clock>,
    /// Milliseconds of the last heartbeat.
    beat: AtomicU64,
    draining: AtomicBool,
    state: Mutex<State>,
}

impl Health {
    /// A process that is starting, and of which nothing is known.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let now = clock.monotonic();
        let unknown = Seen {
            ready: false,
            detail: Cow::Borrowed("not looked at yet"),
            since: now,
            looked: None,
        };
        Self {
            beat: AtomicU64::new(millis(now)),
            draining: AtomicBool::new(false),
            state: Mutex::new(State {
                phase: Phase::Starting,
                doing: "starts",
                since: now,
                seen: [unknown.clone(), unknown.clone(), unknown],
            }),
            clock,
        }
    }

    /// Says what the start is at, in public words.
    pub fn starting(&self, doing: &'static str) {
        let mut state = self.state();
        if state.phase == Phase::Starting && state.doing != doing {
            state.doing = doing;
            state.since = self.clock.monotonic();
        }
    }

    /// The process serves.
    pub fn serves(&self) {
        self.enter(Phase::Starting, Phase::Serving, "serves");
    }

    /// The process is about to end: from now on it is not ready, whatever else is.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.enter(Phase::Starting, Phase::Draining, "ends");
        self.enter(Phase::Serving, Phase::Draining, "ends");
    }

    /// Whether it is about to end.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    fn enter(&self, from: Phase, to: Phase, doing: &'static str) {
        let mut state = self.state();
        if state.phase == from {
            state.phase = to;
            state.doing = doing;
            state.since = self.clock.monotonic();
        }
    }

    /// Notes what a look found.
    pub fn report(&self, subject: Subject, ready: bool, detail: impl Into<Cow<'static, str>>) {
        let now = self.clock.monotonic();
        let mut state = self.state();
        let seen = &mut state.seen[subject as usize];
        // What nobody looked at for too long was not ready meanwhile.
        let overdue = seen
            .looked
            .is_some_and(|looked| now.saturating_sub(looked) > subject.stale_after());
        if seen.ready != ready || seen.looked.is_none() || (overdue && ready) {
            seen.since = now;
        }
        seen.ready = ready;
        seen.detail = detail.into();
        seen.looked = Some(now);
    }

    /// The main runtime turns.
    pub fn beat(&self) {
        self.beat.store(millis(self.clock.monotonic()), Ordering::Relaxed);
    }

    /// Shows again and again that the runtime which polls this turns; never ends.
    pub async fn keep_beating(&self) {
        loop {
            self.beat();
            tokio::time::sleep(BEAT).await;
        }
    }

    /// Whether the main runtime turns.
    pub fn liveness(&self) -> Liveness {
        let beat = Duration::from_millis(self.beat.load(Ordering::Relaxed));
        let heartbeat = self.clock.monotonic().saturating_sub(beat);
        Liveness {
            live: heartbeat <= STUCK_AFTER,
            heartbeat,
        }
    }

    /// Whether the process has started. One that ends has.
    pub fn startup(&self) -> Startup {
        let state = self.state();
        Startup {
            started: state.phase != Phase::Starting,
            detail: state.doing,
            since: self.clock.monotonic().saturating_sub(state.since),
        }
    }

    /// All that readiness consists of, always the same checks in the same order: the process itself first.
    pub fn checks(&self) -> Vec<Check> {
        let now = self.clock.monotonic();
        let state = self.state();
        let process = Check {
            name: "process",
            ready: state.phase == Phase::Serving,
            detail: Cow::Borrowed(state.doing),
            since: now.saturating_sub(state.since),
            looked: Some(Duration::ZERO),
        };
        let others = Subject::ALL
            .into_iter()
            .map(|subject| state.seen[subject as usize].check(subject, now));
        std::iter::once(process).chain(others).collect()
    }

    /// Begins to measure readiness; once, by whoever serves.
    pub fn observe(self: &Arc<Self>) {
        let health = Arc::clone(self);
        global::meter("postrider")
            .u64_observable_gauge("postrider.ready")
            .with_description("1: this check says ready")
            .with_callback(move |observer| {
                for check in health.checks() {
                    observer.observe(u64::from(check.ready), &[KeyValue::new("check", check.name)]);
                }
            })
            .build();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half-written where it could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn check(&self, subject: Subject, now: Duration) -> Check {
        let looked = self.looked.map(|looked| now.saturating_sub(looked));
        let limit = subject.stale_after();
        let overdue = looked.and_then(|looked| looked.checked_sub(limit));
        match overdue {
            Some(overdue) if self.ready && !overdue.is_zero() => Check {
                name: subject.name(),
                ready: false,
                detail: Cow::Borrowed("nobody has looked for too long"),
                since: overdue,
                looked,
            },
            _ => Check {
                name: subject.name(),
                ready: self.ready,
                detail: self.detail.clone(),
                since: now.saturating_sub(self.since),
                looked,
            },
        }
    }
}

/// Whether all of them are as they should be.
pub(crate) fn all_ready(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.ready)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
