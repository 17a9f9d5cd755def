//! The async runtime, and the signals that end it.

use std::{io, sync::Arc, time::Duration};

use postrider_api::Health;
use tokio_util::sync::CancellationToken;

/// How long calls that block may go on after the end, before they are left alone.
const ABANDON: Duration = Duration::from_secs(1);

/// Runs `main` on a multi-threaded runtime.
pub(crate) fn block_on<F: Future>(main: F) -> io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let output = runtime.block_on(main);
    // A look-up of a name that hangs must not hold up the end.
    runtime.shutdown_timeout(ABANDON);
    Ok(output)
}

/// Allows the process as many open files as the system lets it: every connection, of clients, receivers and the
/// database, is one, and the usual limit of 1,024 is met long before the bounds of the configuration.
#[cfg(unix)]
pub(crate) fn raise_open_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// Nothing to raise here.
#[cfg(not(unix))]
pub(crate) const fn raise_open_file_limit() {}

/// SIGINT and SIGTERM, from the moment on when this is made: none is lost between two looks.
pub(crate) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    /// Listens from now on.
    #[cfg(unix)]
    pub(crate) fn install() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Listens from now on.
    #[cfg(not(unix))]
    pub(crate) fn install() -> io::Result<Self> {
        Ok(Self {})
    }

    /// The next one.
    #[cfg(unix)]
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// The next one.
    #[cfg(not(unix))]
    pub(crate) async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Ends the process at the next one: whoever asks twice does not want to wait. What was accepted is in the database
    /// either way.
    async fn end_at_once(&mut self) {
        self.next().await;
        tracing::warn!("a second signal: ended at once");
        std::process::exit(130);
    }
}

/// Cancels `shutdown` at the first SIGINT or SIGTERM, and ends the process at the second.
pub(crate) async fn cancel_on_signal(shutdown: CancellationToken) -> io::Result<()> {
    let mut signals = Signals::install()?;
    signals.next().await;
    tracing::info!("shutting down; a second signal ends at once");
    shutdown.cancel();
    signals.end_at_once().await;
    Ok(())
}

/// What a server is told when it is to end.
pub(crate) struct Farewell {
    /// Where load balancers learn of it.
    pub(crate) health: Arc<Health>,
    /// How long they have for that, before anything else ends.
    pub(crate) grace: Duration,
    /// Cancelled at once.
    pub(crate) asked: CancellationToken,
    /// Cancelled after the grace.
    pub(crate) shutdown: CancellationToken,
}

/// At the first SIGINT or SIGTERM says that this node is not ready any more, and cancels `shutdown` when load balancers
/// had time to hear of it. Ends the process at the second signal.
pub(crate) async fn farewell_on_signal(mut signals: Signals, farewell: Farewell) {
    signals.next().await;
    let grace = farewell.grace;
    tracing::info!(
        grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
        "shutting down: not ready any more, requests are still served; a second signal ends at once"
    );
    farewell.health.drain();
    farewell.asked.cancel();
    tokio::select! {
        () = tokio::time::sleep(grace) => {}
        () = signals.end_at_once() => {}
    }
    tracing::info!("draining: no new attempts begin, those under way end");
    farewell.shutdown.cancel();
    signals.end_at_once().await;
}
