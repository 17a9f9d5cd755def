//! Ctrl-C and its relatives as a flag: whoever waits asks for it, returns an error, and the guards on the way out
//! clean up. Nothing is cleaned up in a signal handler.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

static RECEIVED: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// Takes SIGINT, SIGTERM and SIGHUP from now on.
pub fn install() -> anyhow::Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let number = usize::try_from(signal)?;
        signal_hook::flag::register_usize(signal, Arc::clone(&RECEIVED), number)?;
    }
    Ok(())
}

/// The signal that asked us to stop, if one did.
pub fn signal() -> Option<usize> {
    match RECEIVED.load(Ordering::SeqCst) {
        0 => None,
        signal => Some(signal),
    }
}

/// An error once a signal has come; every loop that waits calls this.
pub fn check() -> anyhow::Result<()> {
    match signal() {
        None => Ok(()),
        Some(signal) => anyhow::bail!("interrupted by signal {signal}; everything started here was stopped"),
    }
}
