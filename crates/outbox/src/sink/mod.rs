//! The operator's sink: every event of the log, for systems of their own.

mod json_lines;

use std::sync::Arc;

use async_trait::async_trait;
use postrider_application::ports::{EventSink, LoggedEvent, SinkError};

pub use self::json_lines::{JsonLines, JsonLinesTarget};
use crate::{Subscriber, SubscriberError};

/// Hands every event to a sink.
pub struct SinkSubscriber {
    sink: Arc<dyn EventSink>,
}

impl SinkSubscriber {
    /// Hands them to `sink`.
    pub const fn new(sink: Arc<dyn EventSink>) -> Self {
        Self { sink }
    }
}

fn failed(error: SinkError) -> SubscriberError {
    match error {
        SinkError::Refused(cause) => SubscriberError::refused("sink_refused", cause),
        SinkError::Away(cause) => SubscriberError::away(cause),
    }
}

#[async_trait]
impl Subscriber for SinkSubscriber {
    async fn begin(&self) -> Result<(), SubscriberError> {
        self.sink.begin().await.map_err(failed)
    }

    async fn handle(&self, event: &LoggedEvent) -> Result<(), SubscriberError> {
        self.sink.write(event).await.map_err(failed)
    }

    async fn flush(&self) -> Result<(), SubscriberError> {
        self.sink.flush().await.map_err(failed)
    }
}
