//! What the relay keeps: cursors, events that were set aside, how far nodes have seen the log.

mod cursors;
mod listeners;
mod operator;
mod sight;

use std::collections::BTreeMap;

use postrider_application::ports::{DeadLetterId, Epoch, SetAside};
use postrider_domain::Timestamp;

use super::{bell::Bell, state::State};

/// A subscriber's cursor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor {
    position: i64,
    owner: i64,
    moved_at: Timestamp,
}

/// An event that was set aside.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    pub(super) event: SetAside,
    again: bool,
    set_aside_at: Timestamp,
}

impl Letter {
    fn is_refused(&self) -> bool {
        self.event.attempts > 0
    }

    /// Whether the operator is told of it: refused, and not given up.
    fn is_dead(&self) -> bool {
        self.is_refused() && !self.event.discarded
    }

    /// Whether whoever runs the subscriber is to look at it.
    fn is_wanted(&self) -> bool {
        self.again || self.event.discarded
    }
}

/// Everything of the relay's.
#[derive(Debug, Default)]
pub(super) struct Relayed {
    pub(super) cursors: BTreeMap<String, Cursor>,
    /// By position first, as the operator lists them.
    pub(super) letters: BTreeMap<DeadLetterId, Letter>,
}

impl Relayed {
    fn letters_of<'l>(&'l self, subscriber: &'l str) -> impl Iterator<Item = &'l Letter> {
        let of = self
            .letters
            .iter()
            .filter(move |(id, _)| id.subscriber == subscriber);
        of.map(|(_, letter)| letter)
    }

    /// Where the cursors are, by subscriber.
    pub(super) fn positions(&self) -> impl Iterator<Item = (&str, i64)> {
        let cursors = self.cursors.iter();
        cursors.map(|(name, cursor)| (name.as_str(), cursor.position))
    }

    /// What the subscriber could not take.
    pub(super) fn refused<'l>(&'l self, subscriber: &'l str) -> impl Iterator<Item = &'l Letter> {
        let of = self.letters_of(subscriber);
        of.filter(|letter| letter.is_dead())
    }

    /// What is there already stays as it is.
    fn set_aside(&mut self, subscriber: &str, aside: &[SetAside], set_aside_at: Timestamp) {
        for event in aside {
            let letter = Letter {
                event: event.clone(),
                again: false,
                set_aside_at,
            };
            let id = letter_id(subscriber, event.position);
            self.letters.entry(id).or_insert(letter);
        }
    }

    fn is_held_by(&self, node: Epoch, subscriber: &str) -> bool {
        self.cursors
            .get(subscriber)
            .is_some_and(|cursor| cursor.owner == node.0)
    }
}

/// Hears of events, and of what nodes have seen.
#[derive(Debug, Clone)]
pub(super) struct EventBells {
    pub(super) events: Bell,
    pub(super) seen: Bell,
}

impl EventBells {
    pub(super) fn new() -> Self {
        Self {
            events: Bell::new(),
            seen: Bell::new(),
        }
    }
}

fn letter_id(subscriber: &str, position: i64) -> DeadLetterId {
    DeadLetterId {
        position,
        subscriber: subscriber.to_owned(),
    }
}

impl State {
    pub(super) fn head(&self) -> i64 {
        self.events.last().map_or(0, |event| event.position)
    }

    fn lives(&self, node: i64, now: Timestamp) -> bool {
        let node = self.hot.nodes.get(&Epoch(node));
        node.is_some_and(|node| !node.dead && node.lease_until > now)
    }

    /// Marks what the operator has given up.
    pub(super) fn discard(&mut self, ids: &[DeadLetterId]) {
        for id in ids {
            if let Some(letter) = self.relayed.letters.get_mut(id) {
                letter.event.discarded = true;
            }
        }
    }

    /// Marks what is to be delivered again.
    pub(super) fn deliver_again(&mut self, ids: &[DeadLetterId]) {
        for id in ids {
            if let Some(letter) = self.relayed.letters.get_mut(id) {
                letter.again = true;
            }
        }
    }
}
