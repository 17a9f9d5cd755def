use std::sync::Mutex;

use async_trait::async_trait;
use postrider_application::ports::{EventForm, EventLog, LoggedEvent, StoreError};
use postrider_domain::Timestamp;

/// A log in memory, to which tests append whatever they like.
#[derive(Default)]
pub(crate) struct Log {
    events: Mutex<Vec<LoggedEvent>>,
    pub(crate) failures: Mutex<u32>,
    /// How many reads are never answered.
    pub(crate) silences: Mutex<u32>,
    pub(crate) reads: Mutex<u32>,
}

impl Log {
    pub(crate) fn append(&self, aggregate: &str) -> i64 {
        self.append_of(aggregate, "endpoint.enabled", EventForm::Known(1))
    }

    pub(crate) fn append_of(&self, aggregate: &str, kind: &str, form: EventForm) -> i64 {
        let mut events = self.events.lock().unwrap();
        let position = events.last().map_or(1, |event| event.position + 1);
        events.push(LoggedEvent {
            position,
            tenant: None,
            kind: kind.to_owned(),
            aggregate: aggregate.to_owned(),
            version: 1,
            form,
            body: "{}".to_owned(),
            recorded_at: Timestamp::from_micros(0),
        });
        position
    }

    /// The node was upgraded: what was not known is.
    pub(crate) fn know(&self, position: i64) {
        let mut events = self.events.lock().unwrap();
        let event = events.iter_mut().find(|event| event.position == position);
        event.unwrap().form = EventForm::Known(1);
    }

    pub(crate) fn aggregates(&self) -> Vec<(i64, String)> {
        let events = self.events.lock().unwrap();
        events
            .iter()
            .map(|event| (event.position, event.aggregate.clone()))
            .collect()
    }
}

#[async_trait]
impl EventLog for Log {
    async fn head(&self) -> Result<i64, StoreError> {
        Ok(self
            .events
            .lock()
            .unwrap()
            .last()
            .map_or(0, |event| event.position))
    }

    async fn after(&self, position: i64, limit: u32) -> Result<Vec<LoggedEvent>, StoreError> {
        *self.reads.lock().unwrap() += 1;
        // As a database does: others have a turn meanwhile.
        tokio::task::yield_now().await;
        let silent = {
            let mut silences = self.silences.lock().unwrap();
            let silent = *silences > 0;
            *silences = silences.saturating_sub(1);
            silent
        };
        if silent {
            return std::future::pending().await;
        }
        let mut failures = self.failures.lock().unwrap();
        if *failures > 0 {
            *failures -= 1;
            return Err(StoreError::Unavailable("away".into()));
        }
        let events = self.events.lock().unwrap();
        let later = events.iter().filter(|event| event.position > position);
        Ok(later.take(limit as usize).cloned().collect())
    }
}
