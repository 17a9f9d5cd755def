//! Calls of the store, which are not waited for for ever: a connection that fell silent answers nobody, and whoever waits
//! for it would stand still with all that waits behind it.

use std::time::Duration;

use postrider_application::ports::StoreError;
use tokio::time;

/// How long a call may take: longer than a connection is waited for and a statement may run, so that only one is given
/// up that nobody works at any more.
pub(crate) const STORE_TIMEOUT: Duration = Duration::from_secs(30);

/// `call`, given up after `longest`. Whether it took effect is then as unknown as after a lost connection.
pub(crate) async fn bounded<T>(
    longest: Duration,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    time::timeout(longest, call)
        .await
        .unwrap_or_else(|elapsed| Err(StoreError::Unavailable(elapsed.into())))
}
