//! Waiting for what another connection, or the server itself, is about to do.

use std::time::Duration;

/// Longer than anything takes that is waited for.
pub(crate) const SURELY: Duration = Duration::from_secs(30);

/// Asks again and again, until it is so.
pub(crate) async fn until(it_is_so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !it_is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SURELY, waiting)
        .await
        .expect("it comes to that");
}
