use std::{sync::Arc, time::Duration};

use thiserror::Error;
use tokio::time;
use tokio_util::sync::CancellationToken;

use crate::{
    EngineHandle, EngineOptions, EnginePorts, OptionsError,
    backoff::Backoff,
    handle::Shared,
    lease::Lease,
    life::{End, Life},
};

/// Why the engine did not run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// An option that cannot be worked with.
    #[error("the engine's options cannot be worked with")]
    Options(#[from] OptionsError),
}

/// Works the queue: one life after the other, each with a lease of its own.
pub struct Engine {
    ports: Arc<EnginePorts>,
    options: Arc<EngineOptions>,
    shared: Arc<Shared>,
}

impl Engine {
    /// An engine that does not run yet, and a handle to it.
    pub fn new(ports: EnginePorts, options: EngineOptions) -> (Self, EngineHandle) {
        let shared = Arc::new(Shared::new(&options));
        let engine = Self {
            ports: Arc::new(ports),
            options: Arc::new(options),
            shared: Arc::clone(&shared),
        };
        (engine, EngineHandle { shared })
    }

    /// Runs until `shutdown`, then ends what is under way within `drain_timeout`, hands the rest back and leaves.
    ///
    /// Fails at once if an option is invalid, and for no other reason: while the database is away it tries again,
    /// and when the lease is lost it joins anew. Dropping the future is like a crash: nothing is lost, but others
    /// take over only when the lease has run out.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), EngineError> {
        self.options.validate()?;
        let mut backoff = Backoff::default();
        loop {
            let lease = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                lease = Lease::join(&self.ports, &self.options) => lease,
            };
            let begun = self.ports.clock.monotonic();
            // While this node had no lease nobody waited for what it has seen.
            self.ports.material.forget_all();
            self.shared.set_lease(Some(Arc::clone(&lease)));
            let life = Life::new(&self.ports, &self.options, &self.shared, lease);
            let end = life.run(&shutdown).await;
            self.shared.set_lease(None);
            match end {
                End::Shutdown => return Ok(()),
                End::Lost(why) => tracing::warn!(?why, "the lease was lost; joining anew"),
                End::Broken => tracing::error!("a task of the engine panicked; joining anew"),
            }
            // A life that ends as soon as it begins must not make a busy loop.
            if self.ports.clock.monotonic().saturating_sub(begun) < self.options.lease_ttl {
                let wait: Duration = backoff.next();
                let _ = time::timeout(wait, shutdown.cancelled()).await;
            } else {
                backoff.reset();
            }
        }
    }
}
