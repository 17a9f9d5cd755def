use async_trait::async_trait;
use postrider_application::ports::LoggedEvent;
use postrider_cache::CacheInvalidation;
use postrider_outbox::{Subscriber, SubscriberError};
use postrider_persistence::SqlStore;

/// This node's caches, as a subscriber of the event log: what changed on any node is forgotten here.
pub(super) struct CacheSubscriber(pub(super) CacheInvalidation<SqlStore, SqlStore>);

#[async_trait]
impl Subscriber for CacheSubscriber {
    fn name(&self) -> &'static str {
        "caches"
    }

    /// Every kind: what the caches do not know makes them forget everything.
    fn wants(&self, _kind: &str) -> bool {
        true
    }

    async fn handle(&self, event: &LoggedEvent) -> Result<(), SubscriberError> {
        self.0.apply(event);
        Ok(())
    }
}
