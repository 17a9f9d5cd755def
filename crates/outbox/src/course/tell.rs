//! Telling a subscriber of events.

use std::{
    collections::{HashMap, HashSet},
    panic::AssertUnwindSafe,
};

use futures_util::{FutureExt as _, StreamExt as _, stream};
use postrider_application::ports::{AggregateKey, EventForm, LoggedEvent};
use tokio::time::timeout;

use super::{Answer, Course, Ended, PANICKED, Told, UNKNOWN_FORM, chain, key, millis};
use crate::{SubscriberError, Unknown};

impl Course {
    /// What is to become of each of the events; each aggregate's are told in order, those of different ones at once as
    /// far as the subscription says. When we are to stop, the rest is not begun.
    pub(super) async fn tell_all(&self, events: &[LoggedEvent]) -> Vec<Result<Answer, Ended>> {
        let wanted: Vec<&LoggedEvent> = events
            .iter()
            .filter(|event| self.subscription.wants(&event.kind))
            .collect();
        let passed = match self.passed_over(&wanted).await {
            Ok(passed) => passed,
            Err(ended) => return vec![Err(ended)],
        };
        let mut answers: Vec<_> = events.iter().map(|_| Ok(Answer::Done)).collect();
        let mut lanes: HashMap<AggregateKey, Vec<usize>> = HashMap::new();
        // Without room what comes after the first that needs it would only be told in vain, again and again.
        let all_in_order = self.subscription.at_once <= 1 || !self.has_room(0);
        for (index, event) in events.iter().enumerate() {
            if self.subscription.wants(&event.kind) && !passed.contains(&event.position) {
                let lane = if all_in_order {
                    AggregateKey::default()
                } else {
                    key(event)
                };
                lanes.entry(lane).or_default().push(index);
                // Until its lane has come to it.
                answers[index] = Ok(Answer::Untold);
            }
        }
        let lanes = lanes.into_values().map(|lane| self.tell_lane(events, lane));
        let mut lanes = stream::iter(lanes).buffer_unordered(self.subscription.at_once.max(1));
        while let Some(told) = lanes.next().await {
            for (index, answer) in told {
                answers[index] = answer;
            }
        }
        answers
    }

    /// Tells the events at these indexes, one after the other.
    async fn tell_lane(
        &self,
        events: &[LoggedEvent],
        lane: Vec<usize>,
    ) -> Vec<(usize, Result<Answer, Ended>)> {
        let mut refused = HashSet::new();
        let mut told = Vec::with_capacity(lane.len());
        let (mut ended, mut aside) = (None, 0);
        for index in lane {
            let event = &events[index];
            let of = key(event);
            let answer = if let Some(ended) = ended {
                Err(ended)
            } else if self.blocked.contains(&of) || refused.contains(&of) {
                Ok(Answer::Waits)
            } else {
                self.tell(event).await.map(|told| match told {
                    Told::Taken => Answer::Done,
                    Told::Refused { attempts, error } => Answer::Refused { attempts, error },
                })
            };
            let needs_room = match &answer {
                Ok(Answer::Refused { .. }) => true,
                Ok(Answer::Waits) => !self.blocked.is_later_in_log(&of),
                Ok(Answer::Done | Answer::Untold) => false,
                Err(why) => {
                    ended = Some(*why);
                    false
                }
            };
            if matches!(answer, Ok(Answer::Refused { .. })) {
                refused.insert(of);
            }
            told.push((index, answer));
            if needs_room && !self.has_room(aside) {
                // What comes after it stays untold, and is read again.
                break;
            }
            aside += u64::from(needs_room);
        }
        told
    }

    /// Which of the events the subscriber has nothing to do with; asks until it says so.
    pub(super) async fn passed_over(&self, events: &[&LoggedEvent]) -> Result<HashSet<i64>, Ended> {
        if events.is_empty() {
            return Ok(HashSet::new());
        }
        let otherwise = "a subscriber could not look at what comes next; trying again";
        self.insist(otherwise, || self.subscriber.passes_over(events))
            .await
    }

    /// Tells one event until it is taken, or refused as often as may be.
    pub(super) async fn tell(&self, event: &LoggedEvent) -> Result<Told, Ended> {
        if event.form == EventForm::Unknown && self.subscription.unknown == Unknown::SetAside {
            return Ok(Told::Refused {
                attempts: 1,
                error: UNKNOWN_FORM,
            });
        }
        let mut backoff = self.backoff();
        let mut attempts = 0;
        loop {
            self.may_go_on()?;
            let Err(error) = self.handled(event).await else {
                return Ok(Told::Taken);
            };
            let (code, error) = (error.code(), chain(&error));
            attempts += u32::from(code.is_some());
            if let Some(error) = code.filter(|_| attempts >= self.options.max_attempts) {
                return Ok(Told::Refused { attempts, error });
            }
            let pause = backoff.pause();
            // The kind and the position say which event it is; its body may hold what does not belong in a log.
            tracing::warn!(
                subscriber = self.subscription.name,
                kind = event.kind,
                position = event.position,
                attempts,
                pause_ms = millis(pause),
                error,
                "a subscriber could not take an event; trying again"
            );
            self.rest(pause).await?;
        }
    }

    /// What the subscriber answers. One that takes too long counts as away: what it waits for (a database that stalls, a
    /// full disk) is more likely the trouble than this event, and an outage must not set good events aside. One that
    /// panics over an event refuses it: every node would panic over it in its turn, and none would be left.
    async fn handled(&self, event: &LoggedEvent) -> Result<(), SubscriberError> {
        // Subscribers bear to be told again after a crash, so after a panic as well.
        let handled = AssertUnwindSafe(async { self.subscriber.handle(event).await }).catch_unwind();
        match timeout(self.options.handle_timeout, handled).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(SubscriberError::refused(PANICKED, "it panicked")),
            Err(elapsed) => Err(SubscriberError::away(elapsed)),
        }
    }
}
