//! What whoever runs the installation asks of one process: its metrics, its health, and what it logs.
//!
//! It is a listener of its own, on loopback by default, with a thread of its own: it answers while the API is overloaded
//! or not yet up. Nothing on it asks for a credential, and nothing on it shows or takes one: whoever reaches it may look; what
//! is logged, only who asks from the same machine may change, unless the operator says otherwise.

mod health;
mod log_level;
mod metrics;
mod server;

use std::sync::Arc;

use thiserror::Error;

pub use server::ManagementServer;
pub(crate) use server::{HEAD_TIMEOUT, MAX_BODY, MAX_CONNECTIONS};

use crate::Health;

/// The metrics of this process, as Prometheus reads them.
pub trait MetricsPage: Send + Sync {
    /// The media type of the page.
    fn content_type(&self) -> &'static str;

    /// The page as of now.
    fn write(&self) -> Result<Vec<u8>, MetricsError>;
}

/// Why there is no page.
#[derive(Debug, Error)]
#[error("the metrics cannot be written: {0}")]
pub struct MetricsError(pub String);

/// What is logged.
pub trait LogControl: Send + Sync {
    /// The directives in force, as `tracing` writes them: `info,postrider_engine=debug`.
    fn directives(&self) -> String;

    /// Puts other directives in force, until they are changed again or the process ends.
    fn change(&self, directives: &str) -> Result<(), LogControlError>;
}

/// Why what is logged did not change.
#[derive(Debug, Error)]
pub enum LogControlError {
    /// These are no directives.
    #[error("must be a level or a list of tracing directives")]
    Unreadable,
    /// Logging has ended.
    #[error("logging has ended")]
    Gone,
}

/// What the management listener shows.
#[derive(Clone)]
pub struct ManagementContext {
    /// The metrics of this process.
    pub metrics: Arc<dyn MetricsPage>,
    /// What is known of how the process is.
    pub health: Arc<Health>,
    /// What is logged.
    pub logs: Arc<dyn LogControl>,
    /// Whether other machines may change what is logged.
    pub remote_log_level: bool,
}
