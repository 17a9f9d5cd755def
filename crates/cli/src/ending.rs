//! How a process ends: the signals that ask it to, and by when all of it must be over.

use std::{
    io,
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};

use postrider_api::{Health, composition::SystemClock};
use postrider_application::ports::Clock as _;
use tokio_util::sync::CancellationToken;

/// What a process ends with at a second signal: 128 and the number of SIGINT, as shells have it.
const AT_ONCE: i32 = 130;
/// What a process ends with that is not done at its deadline.
const OVERDUE: i32 = 1;

/// SIGINT and SIGTERM, from the moment on when this is made until the process is gone.
///
/// They are watched on a thread of its own, which nothing waits for: a second signal ends the process whatever it is at, and
/// so does the deadline. Whoever asks twice does not want to wait. What was accepted is in the database either way.
pub(crate) struct Signals {
    asked: CancellationToken,
}

impl Signals {
    /// Listens from now on. The process is gone so long after the first signal, if a `limit` is given.
    pub(crate) fn install(limit: Option<Duration>) -> io::Result<Self> {
        let asked = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let entered = runtime.enter();
        let streams = Streams::open()?;
        drop(entered);
        let told = asked.clone();
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || std::process::exit(runtime.block_on(watch(streams, told, limit))))?;
        Ok(Self { asked })
    }

    /// The first one.
    pub(crate) async fn asked(&self) {
        self.asked.cancelled().await;
    }
}

/// Tells of the first signal, and answers the code to end with when it is time to end without waiting for anybody.
async fn watch(mut streams: Streams, told: CancellationToken, limit: Option<Duration>) -> i32 {
    streams.next().await;
    told.cancel();
    let overdue = async {
        match limit {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = streams.next() => {
            tracing::warn!("a second signal: ended at once");
            AT_ONCE
        }
        () = overdue => {
            tracing::warn!("the shutdown is not over at its deadline: ended at once");
            OVERDUE
        }
    }
}

/// Where signals come in.
struct Streams {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Streams {
    #[cfg(unix)]
    fn open() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    #[cfg(not(unix))]
    fn open() -> io::Result<Self> {
        Ok(Self {})
    }

    /// The next one.
    #[cfg(unix)]
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// The next one.
    #[cfg(not(unix))]
    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Cancels `shutdown` at the first SIGINT or SIGTERM.
pub(crate) async fn cancel_on_signal(signals: Signals, shutdown: CancellationToken) {
    signals.asked().await;
    tracing::info!("shutting down; a second signal ends at once");
    shutdown.cancel();
}

/// By when a process must have ended, from the moment on when its end began.
pub(crate) struct Deadline {
    limit: Duration,
    clock: SystemClock,
    began: OnceLock<Duration>,
}

impl Deadline {
    /// The end may take so long, once it begins.
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            clock: SystemClock::new(),
            began: OnceLock::new(),
        }
    }

    /// It begins now, unless it had begun before.
    pub(crate) fn begin(&self) {
        self.began.get_or_init(|| self.clock.monotonic());
    }

    /// What is left; all of it before it began.
    pub(crate) fn left(&self) -> Duration {
        match self.began.get() {
            Some(began) => self
                .limit
                .saturating_sub(self.clock.monotonic().saturating_sub(*began)),
            None => self.limit,
        }
    }
}

/// What a server is told when it is to end.
pub(crate) struct Farewell {
    /// Where load balancers learn of it.
    pub(crate) health: Arc<Health>,
    /// How long they have for that, before anything else ends.
    pub(crate) grace: Duration,
    /// Begun at once.
    pub(crate) deadline: Arc<Deadline>,
    /// Cancelled at once.
    pub(crate) asked: CancellationToken,
    /// Cancelled after the grace.
    pub(crate) shutdown: CancellationToken,
}

/// At the first SIGINT or SIGTERM says that this node is not ready any more, and cancels `shutdown` when load balancers
/// had time to hear of it.
pub(crate) async fn farewell_on_signal(signals: Signals, farewell: Farewell) {
    signals.asked().await;
    farewell.deadline.begin();
    let grace = farewell.grace;
    tracing::info!(
        grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
        "shutting down: not ready any more, requests are still served; a second signal ends at once"
    );
    farewell.health.drain();
    farewell.asked.cancel();
    tokio::time::sleep(grace).await;
    tracing::info!("draining: no new attempts begin, those under way end");
    farewell.shutdown.cancel();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_all_of_it_until_the_end_begins() {
        let deadline = Deadline::new(Duration::from_secs(30));
        assert_eq!(deadline.left(), Duration::from_secs(30));
        deadline.begin();
        let left = deadline.left();
        assert!(left <= Duration::from_secs(30));
        deadline.begin();
        assert!(deadline.left() <= left, "it begins once");
        let over = Deadline::new(Duration::ZERO);
        over.begin();
        assert_eq!(over.left(), Duration::ZERO);
    }
}
