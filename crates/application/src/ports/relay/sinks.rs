//! Where events go besides, who wants to hear of them, and what is counted on the way.

use std::collections::HashSet;

use async_trait::async_trait;
use postrider_domain::TenantId;

use crate::ports::{LoggedEvent, StoreError};

/// Why a sink did not take an event.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// It takes every other, but not this one.
    #[error("the event is refused")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It takes none for now.
    #[error("the sink takes nothing for now")]
    Away(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Where the operator has the installation's events go.
#[async_trait]
pub trait EventSink: Send + Sync {
    /// Forgets what was taken and not made durable: it comes again, and another node may have written more meanwhile.
    async fn begin(&self) -> Result<(), SinkError> {
        Ok(())
    }

    /// Takes an event; it may come again.
    async fn write(&self, event: &LoggedEvent) -> Result<(), SinkError>;

    /// Makes durable what was taken. After an error it is asked again, without what was taken being written anew.
    async fn flush(&self) -> Result<(), SinkError>;
}

/// Which tenants listen to operational webhooks.
#[async_trait]
pub trait OperationalApplications: Send + Sync {
    /// Those of the tenants that have an application of the reserved uid and are not being deleted; in one question.
    async fn listening(&self, tenants: &[TenantId]) -> Result<HashSet<TenantId>, StoreError>;
}

/// Counts what the relay does.
pub trait RelayMetrics: Send + Sync {
    /// An event was set aside.
    fn set_aside(&self, subscriber: &'static str);
}
