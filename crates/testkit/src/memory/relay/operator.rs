//! What the operator sees, and what becomes of events that were set aside.

use std::time::Duration;

use postrider_application::{
    access::OperatorScope,
    ports::{
        DeadLetterId, DeadLetterRepository, DeadLetterView, EndpointHealth as _, Epoch, NodeView,
        OperatorViews, Page, PageRequest, QueueDepth, StatusView, StoreError, SubscriberView,
    },
};
use postrider_domain::Timestamp;

use super::{
    super::{
        hot::{NOBODY, PARKED},
        store::{MemoryStore, MemoryTx},
        views::{Order, page_of},
    },
    Letter,
};

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
        let refused = refused.filter(|(_, letter)| letter.is_dead());
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
        let found = letter.is_some_and(Letter::is_dead) && !self.discarded.contains(id);
        if found {
            self.again.push(id.clone());
        }
        Ok(found)
    }

    async fn discard(&mut self, _: &OperatorScope, id: &DeadLetterId) -> Result<Option<u32>, StoreError> {
        self.of_operator()?;
        let state = self.store.state();
        let letter = state.relayed.letters.get(id);
        let given_up = self.discarded.contains(id);
        let Some(letter) = letter.filter(|letter| letter.is_dead() && !given_up) else {
            return Ok(None);
        };
        let waits = |other: &&Letter| !other.is_refused() && other.event.of == letter.event.of;
        let behind = state.relayed.letters_of(&id.subscriber).filter(waits).count();
        self.discarded.push(id.clone());
        Ok(Some(u32::try_from(behind).unwrap_or(u32::MAX)))
    }
}
