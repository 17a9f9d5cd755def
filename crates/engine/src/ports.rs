use std::{sync::Arc, time::Duration};

use postrider_application::ports::{
    Clock, DeliveryMaterial, DeliveryQueue, EndpointGuard, Ids, NodeRegistry, Randomness, Sender, StoreError,
    WebhookSigner, WorkBell,
};
use tokio::time;

/// Everything of the outside that the engine uses.
#[derive(Clone)]
pub struct EnginePorts {
    /// The work queue.
    pub queue: Arc<dyn DeliveryQueue>,
    /// Which nodes live.
    pub nodes: Arc<dyn NodeRegistry>,
    /// Tells other nodes of work.
    pub bell: Arc<dyn WorkBell>,
    /// Disables endpoints that are gone.
    pub guard: Arc<dyn EndpointGuard>,
    /// Messages and endpoints, to deliver.
    pub material: Arc<dyn DeliveryMaterial>,
    /// Makes attempts.
    pub sender: Arc<dyn Sender>,
    /// Signs them.
    pub signer: Arc<dyn WebhookSigner>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids of queue rows.
    pub ids: Arc<dyn Ids>,
    /// Jitter.
    pub randomness: Arc<dyn Randomness>,
}

/// A call of the store took longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("no answer in time")]
pub(crate) struct NoAnswerInTime;

/// Whether `error` is that a call was given up here. What was asked may have been too much at a time.
pub(crate) fn is_given_up(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(cause) if cause.is::<NoAnswerInTime>())
}

/// `call`, given up after `timeout`: a connection that fell silent must not hold us up for ever. Whether the call
/// took effect is then as unknown as after a lost connection.
pub(crate) async fn bounded<T>(
    timeout: Duration,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    time::timeout(timeout, call)
        .await
        .unwrap_or_else(|_| Err(StoreError::Unavailable(NoAnswerInTime.into())))
}

/// Logs what the store did not do. Its own text names no tenant's data.
pub(crate) fn warn(what: &'static str, error: &StoreError) {
    tracing::warn!(%error, cause = ?std::error::Error::source(error), "{what}");
}
