//! A subscriber that is told what to do.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use postrider_application::ports::LoggedEvent;

use crate::{Subscriber, SubscriberError};

/// What a subscriber does with an event, by its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    Refuses,
    IsAway,
    Hangs,
    Panics,
}

/// Notes what it took.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) does: Mutex<HashMap<i64, Does>>,
    pub(crate) tries: Mutex<Vec<i64>>,
    pub(crate) taken: Mutex<Vec<(i64, String)>>,
    pub(crate) flushes: Mutex<u32>,
    pub(crate) panics_in_flush: AtomicBool,
    /// What it has nothing to do with.
    pub(crate) passes: Mutex<HashSet<i64>>,
    /// Each question for that: how many events it was of.
    pub(crate) asked: Mutex<Vec<usize>>,
}

impl Recorder {
    pub(crate) fn does(&self, position: i64, what: Option<Does>) {
        let mut does = self.does.lock().unwrap();
        match what {
            Some(what) => does.insert(position, what),
            None => does.remove(&position),
        };
    }

    pub(crate) fn positions(&self) -> Vec<i64> {
        self.taken
            .lock()
            .unwrap()
            .iter()
            .map(|(position, _)| *position)
            .collect()
    }

    pub(crate) fn tries_of(&self, position: i64) -> usize {
        let tries = self.tries.lock().unwrap();
        tries.iter().filter(|tried| **tried == position).count()
    }
}

#[async_trait]
impl Subscriber for Recorder {
    async fn passes_over(&self, events: &[&LoggedEvent]) -> Result<HashSet<i64>, SubscriberError> {
        self.asked.lock().unwrap().push(events.len());
        let passes = self.passes.lock().unwrap();
        let positions = events.iter().map(|event| event.position);
        Ok(positions.filter(|position| passes.contains(position)).collect())
    }

    async fn handle(&self, event: &LoggedEvent) -> Result<(), SubscriberError> {
        self.tries.lock().unwrap().push(event.position);
        let does = self.does.lock().unwrap().get(&event.position).copied();
        match does {
            None => {
                let taken = (event.position, event.aggregate.clone());
                self.taken.lock().unwrap().push(taken);
                Ok(())
            }
            Some(Does::Refuses) => Err(SubscriberError::refused("no_good", "not this one")),
            Some(Does::IsAway) => Err(SubscriberError::away("nothing at all")),
            Some(Does::Hangs) => std::future::pending().await,
            Some(Does::Panics) => panic!("a subscriber's own fault"),
        }
    }

    async fn flush(&self) -> Result<(), SubscriberError> {
        *self.flushes.lock().unwrap() += 1;
        let panics = self.panics_in_flush.load(Ordering::Relaxed);
        assert!(!panics, "it could keep nothing of what it took");
        Ok(())
    }
}
