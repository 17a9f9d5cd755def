use std::time::Duration;

use async_trait::async_trait;
use postrider_application::ports::{
    AggregateKey, Blocked, BlockedAggregate, DeadLetterId, Epoch, HeldCursor, RelayCursors, SetAside,
    StartAt, StoreError,
};

use super::{
    super::{hot::NOBODY, store::MemoryStore},
    Cursor, Letter, letter_id,
};

/// How long the cursor of a subscriber that no living node holds still counts.
const ABANDONED_AFTER: Duration = Duration::from_hours(7 * 24);

#[async_trait]
impl RelayCursors for MemoryStore {
    async fn declare(&self, subscriber: &str, start: StartAt) -> Result<(), StoreError> {
        let (mut state, moved_at) = (self.state(), self.now());
        let position = match start {
            StartAt::Beginning => 0,
            StartAt::Head => state.head(),
            StartAt::After(position) => position,
        };
        let cursor = Cursor {
            position,
            owner: NOBODY,
            moved_at,
        };
        state
            .relayed
            .cursors
            .entry(subscriber.to_owned())
            .or_insert(cursor);
        Ok(())
    }

    async fn take(&self, node: Epoch, subscribers: &[&str]) -> Result<Vec<HeldCursor>, StoreError> {
        let (mut state, now) = (self.state(), self.now());
        let lives = state.lives(node.0, now);
        let mut held = Vec::new();
        for name in subscribers {
            let Some(cursor) = state.relayed.cursors.get(*name).copied() else {
                continue;
            };
            let free = cursor.owner != node.0 && !state.lives(cursor.owner, now);
            if free && lives {
                let taken = Cursor {
                    owner: node.0,
                    moved_at: now,
                    ..cursor
                };
                state.relayed.cursors.insert((*name).to_owned(), taken);
            } else if cursor.owner != node.0 {
                continue;
            }
            held.push(HeldCursor {
                subscriber: (*name).to_owned(),
                position: cursor.position,
                again: state.relayed.letters_of(name).any(Letter::is_wanted),
            });
        }
        held.sort_by(|a, b| a.subscriber.cmp(&b.subscriber));
        Ok(held)
    }

    async fn advance(
        &self,
        node: Epoch,
        subscriber: &str,
        position: i64,
        aside: &[SetAside],
    ) -> Result<bool, StoreError> {
        let (mut state, now) = (self.state(), self.now());
        let held = state
            .relayed
            .cursors
            .get_mut(subscriber)
            .filter(|cursor| cursor.owner == node.0 && cursor.position <= position);
        let Some(cursor) = held else { return Ok(false) };
        (cursor.position, cursor.moved_at) = (position, now);
        let there = |event: &&SetAside| {
            event
                .of
                .tenant
                .is_none_or(|tenant| state.configuration.is_there(tenant))
        };
        let aside: Vec<_> = aside.iter().filter(there).cloned().collect();
        state.relayed.set_aside(subscriber, &aside, now);
        Ok(true)
    }

    async fn blocked(&self, subscriber: &str) -> Result<Blocked, StoreError> {
        let state = self.state();
        let mut blocked = Blocked::default();
        for Letter { event, .. } in state.relayed.letters_of(subscriber) {
            if let Some(known) = blocked.aggregates.iter_mut().find(|known| known.of == event.of) {
                known.events += 1;
                known.later_in_log |= event.later_in_log;
            } else {
                blocked.aggregates.push(BlockedAggregate {
                    of: event.of.clone(),
                    events: 1,
                    later_in_log: event.later_in_log,
                });
            }
        }
        Ok(blocked)
    }

    async fn reconsider(&self, subscriber: &str, error: &str) -> Result<(), StoreError> {
        let mut state = self.state();
        for (id, letter) in &mut state.relayed.letters {
            letter.again |= id.subscriber == subscriber && letter.event.error.as_deref() == Some(error);
        }
        Ok(())
    }

    async fn to_deliver_again(&self, subscriber: &str, limit: u32) -> Result<Vec<SetAside>, StoreError> {
        let state = self.state();
        let mut seen: Vec<&AggregateKey> = Vec::new();
        let again = state.relayed.letters_of(subscriber).filter(|letter| {
            // What waits for nothing: the one before it was delivered, and then its node died.
            let first = !seen.contains(&&letter.event.of);
            seen.push(&letter.event.of);
            letter.is_wanted() || (first && letter.event.attempts == 0)
        });
        Ok(again
            .map(|letter| letter.event.clone())
            .take(limit as usize)
            .collect())
    }

    async fn first_set_aside(
        &self,
        subscriber: &str,
        of: &AggregateKey,
    ) -> Result<Option<SetAside>, StoreError> {
        let state = self.state();
        let mut letters = state.relayed.letters_of(subscriber);
        Ok(letters
            .find(|letter| letter.event.of == *of)
            .map(|letter| letter.event.clone()))
    }

    async fn delivered(
        &self,
        node: Epoch,
        subscriber: &str,
        position: i64,
        next: &[SetAside],
    ) -> Result<bool, StoreError> {
        let (mut state, now) = (self.state(), self.now());
        let held = state.relayed.is_held_by(node, subscriber);
        let id = letter_id(subscriber, position);
        let done = held && state.relayed.letters.remove(&id).is_some();
        if done {
            state.relayed.set_aside(subscriber, next, now);
        }
        Ok(done)
    }

    async fn refused_again(
        &self,
        node: Epoch,
        subscriber: &str,
        position: i64,
        attempts: u32,
        error: &str,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        let held = state.relayed.is_held_by(node, subscriber);
        let letter = state.relayed.letters.get_mut(&letter_id(subscriber, position));
        let Some(letter) = letter.filter(|_| held) else {
            return Ok(false);
        };
        letter.event.attempts += attempts;
        letter.event.error = Some(error.to_owned());
        letter.again = false;
        Ok(true)
    }

    async fn all_done_up_to(&self) -> Result<i64, StoreError> {
        let (state, now) = (self.state(), self.now());
        let counts =
            |cursor: &&Cursor| cursor.moved_at.plus(ABANDONED_AFTER) > now || state.lives(cursor.owner, now);
        let cursors = state.relayed.cursors.values().filter(counts);
        let of_counted = |id: &&DeadLetterId| {
            state
                .relayed
                .cursors
                .get(&id.subscriber)
                .as_ref()
                .is_some_and(counts)
        };
        let letters = state.relayed.letters.keys().filter(of_counted);
        let letters = letters.map(|id| id.position - 1);
        let nodes = state.hot.nodes.values().filter(|node| !node.dead);
        let needed = cursors
            .map(|cursor| cursor.position)
            .chain(letters)
            .chain(nodes.filter_map(|node| node.seen))
            .chain([state.head()]);
        Ok(needed.min().unwrap_or(0))
    }
}
