//! The async runtime, and the signals that end it.

use std::io;

use tokio_util::sync::CancellationToken;

/// Runs `main` on a multi-threaded runtime.
pub(crate) fn block_on<F: Future>(main: F) -> io::Result<F::Output> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(main))
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

/// Cancels `shutdown` at the first SIGINT or SIGTERM, and ends the process at the second: whoever asks twice
/// does not want to wait. What was accepted is in the database either way.
pub(crate) async fn cancel_on_signal(shutdown: CancellationToken) -> io::Result<()> {
    next_signal().await?;
    tracing::info!("shutting down; a second signal ends at once");
    shutdown.cancel();
    next_signal().await?;
    std::process::exit(130);
}

#[cfg(unix)]
async fn next_signal() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

#[cfg(not(unix))]
async fn next_signal() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}
