//! What the relay keeps: cursors, events that were set aside, how far nodes have seen the log.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use async_trait::async_trait;
use postrider_application::{
    access::OperatorScope,
    ports::{
        AggregateKey, Blocked, BlockedAggregate, DeadLetterId, DeadLetterRepository, DeadLetterView,
        EndpointHealth as _, Epoch, EventBell, Heard, HeldCursor, NodeSight, NodeView,
        OperationalApplications, OperatorViews, Page, PageRequest, QueueDepth, RelayCursors, SetAside,
        StartAt, StatusView, StoreError, SubscriberView, Unseen,
    },
};
use postrider_domain::{TenantId, Timestamp, Uid, applications::OPERATIONAL_UID};

use super::{
    bell::Bell,
    hot::{NOBODY, PARKED},
    state::State,
    store::{MemoryStore, MemoryTx},
    views::{Order, page_of},
};

/// How long the cursor of a subscriber that no living node holds still counts.
const ABANDONED_AFTER: Duration = Duration::from_hours(7 * 24);

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
        of.filter(|letter| letter.event.attempts > 0 && !letter.event.discarded)
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
}

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

#[async_trait]
impl NodeSight for MemoryStore {
    async fn note_seen(&self, node: Epoch, position: i64) -> Result<(), StoreError> {
        let further = {
            let mut state = self.state();
            let node = state.hot.nodes.get_mut(&node);
            node.is_some_and(|node| {
                let further = node.seen < Some(position);
                node.seen = node.seen.max(Some(position));
                further
            })
        };
        if further {
            self.event_bells.seen.ring();
        }
        Ok(())
    }

    async fn unseen(&self, position: Option<i64>) -> Result<Unseen, StoreError> {
        let (state, now) = (self.state(), self.now());
        let position = position.unwrap_or_else(|| state.head());
        let behind = state.hot.nodes.values().filter(|node| {
            let lives = !node.dead && node.lease_until > now;
            lives && node.seen.is_some_and(|seen| seen < position)
        });
        Ok(Unseen {
            position,
            nodes: u32::try_from(behind.count()).unwrap_or(u32::MAX),
        })
    }
}

#[async_trait]
impl EventBell for MemoryStore {
    async fn heard(&self) -> Result<Heard, StoreError> {
        tokio::select! {
            biased;
            () = self.event_bells.events.rung() => Ok(Heard::Events),
            () = self.event_bells.seen.rung() => Ok(Heard::Seen),
        }
    }
}

#[async_trait]
impl OperationalApplications for MemoryStore {
    async fn listening(&self, tenants: &[TenantId]) -> Result<HashSet<TenantId>, StoreError> {
        let state = self.state();
        let configuration = &state.configuration;
        let listens = |tenant: &&TenantId| {
            let mut applications = configuration.applications.values();
            configuration.is_there(**tenant)
                && applications.any(|row| {
                    let uid = row.state.uid.as_ref().map(Uid::as_str);
                    row.state.tenant == **tenant && uid == Some(OPERATIONAL_UID)
                })
        };
        Ok(tenants.iter().filter(listens).copied().collect())
    }
}

impl OperatorViews for MemoryStore {
    async fn status(&self, _: &OperatorScope) -> Result<StatusView, StoreError> {
        let failing = self.failing_for(Duration::ZERO, StatusView::MOST).await?;
        let (state, now) = (self.state(), self.now());
        let nodes = state.hot.nodes.iter().filter(|(_, node)| !node.dead);
        let nodes = nodes.map(|(epoch, node)| NodeView {
            epoch: *epoch,
            joined_at: node.joined_at,
            lease_us: node.lease_until.as_micros() - now.as_micros(),
            seen: node.seen,
        });
        let depth = |part: &'static str, counts: &dyn Fn(i64, Timestamp) -> bool| {
            let rows = state.hot.work.values();
            let rows = rows.filter(|row| counts(row.owner, row.due_at)).count();
            QueueDepth {
                part,
                rows: u32::try_from(rows).unwrap_or(u32::MAX).min(QueueDepth::MOST),
            }
        };
        let letters = |name: &str, refused: bool| {
            let of = state.relayed.letters_of(name);
            of.filter(|letter| letter.is_refused() == refused && !letter.event.discarded)
                .count() as u64
        };
        let subscribers = state.relayed.cursors.iter();
        Ok(StatusView {
            nodes: nodes.take(StatusView::MOST as usize).collect(),
            head: state.head(),
            queue: vec![
                depth("due", &|owner, due_at| owner == NOBODY && due_at <= now),
                depth("scheduled", &|owner, due_at| owner == NOBODY && due_at > now),
                depth("parked", &|owner, _| owner == PARKED),
                depth("held", &|owner, _| owner > 0),
            ],
            subscribers: subscribers
                .map(|(name, cursor)| SubscriberView {
                    name: name.clone(),
                    position: cursor.position,
                    lag: (state.head() - cursor.position).max(0),
                    node: state.lives(cursor.owner, now).then_some(Epoch(cursor.owner)),
                    dead_letters: letters(name, true),
                    held_back: letters(name, false),
                })
                .collect(),
            failing,
        })
    }

    async fn dead_letters(
        &self,
        _: &OperatorScope,
        page: PageRequest<DeadLetterId>,
    ) -> Result<Page<DeadLetterView, DeadLetterId>, StoreError> {
        let state = self.state();
        let refused = state.relayed.letters.iter();
        let refused = refused.filter(|(_, letter)| letter.is_refused() && !letter.event.discarded);
        let views = refused.map(|(id, letter)| {
            let event = &letter.event;
            let waits = |other: &&Letter| other.event.attempts == 0 && other.event.of == event.of;
            let behind = state.relayed.letters_of(&id.subscriber).filter(waits).count();
            DeadLetterView {
                id: id.clone(),
                tenant: event.of.tenant,
                kind: event.kind.clone(),
                aggregate: event.of.aggregate.clone(),
                attempts: event.attempts,
                error: event.error.clone().unwrap_or_default(),
                set_aside_at: letter.set_aside_at,
                holds_back: u32::try_from(behind).unwrap_or(u32::MAX),
                again: letter.again,
            }
        });
        Ok(page_of(
            views,
            &page,
            |view: &DeadLetterView| view.id.clone(),
            Order::Ascending,
        ))
    }
}

impl DeadLetterRepository for MemoryTx {
    async fn deliver_again(&mut self, _: &OperatorScope, id: &DeadLetterId) -> Result<bool, StoreError> {
        self.of_operator()?;
        let state = self.store.state();
        let letter = state.relayed.letters.get(id);
        let found = letter.is_some_and(|letter| letter.is_refused() && !letter.event.discarded)
            && !self.discarded.contains(id);
        if found {
            self.again.push(id.clone());
        }
        Ok(found)
    }

    async fn discard(&mut self, _: &OperatorScope, id: &DeadLetterId) -> Result<Option<u32>, StoreError> {
        self.of_operator()?;
        let state = self.store.state();
        let letter = state.relayed.letters.get(id);
        let Some(letter) = letter.filter(|letter| letter.is_refused() && !letter.event.discarded) else {
            return Ok(None);
        };
        let waits = |other: &&Letter| !other.is_refused() && other.event.of == letter.event.of;
        let behind = state.relayed.letters_of(&id.subscriber).filter(waits).count();
        self.discarded.push(id.clone());
        Ok(Some(u32::try_from(behind).unwrap_or(u32::MAX)))
    }
}

impl State {
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
