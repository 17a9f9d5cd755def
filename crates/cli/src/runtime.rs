//! The async runtime that commands run on.

use std::{io, time::Duration};

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

/// Allows the process as many open files as the system lets it, and answers how many that is, if there is a limit. Every
/// connection, of clients, receivers and the database, is one or two, and the usual limit of 1,024 is met long before the
/// bounds of the configuration.
#[cfg(unix)]
pub(crate) fn raise_open_file_limit() -> Option<u64> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit of open files stays as it is");
        }
    }
    getrlimit(Resource::Nofile).current
}

/// Nothing to raise here.
#[cfg(not(unix))]
pub(crate) const fn raise_open_file_limit() -> Option<u64> {
    None
}
