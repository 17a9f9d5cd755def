//! Calls of the store, which are not waited for for ever.

use std::time::Duration;

use postrider_application::ports::StoreError;
use tokio::time;

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
