//! Commits batches: each caller gets its own true answer, whatever becomes of the batch.

use std::{collections::HashSet, sync::Arc, time::Duration};

use postrider_application::ports::{
    Accepted, ClaimedWork, Clock, IntakeError, MessageWriter, NewMessage, StoreError, WorkRef, WriteError,
    Written,
};
use postrider_domain::{ApplicationId, TenantId, WorkId};
use tokio::time;
use tracing::Span;

use super::{
    IntakeOptions,
    waiting::{Pending, Waiting},
};
use crate::{
    backoff::Backoff,
    door::Place,
    handle::Shared,
    store_calls::{NoAnswerInTime, warn},
    trace,
};

/// The wait before a batch is tried again, doubled each time: callers wait for it.
const FIRST_WAIT: Duration = Duration::from_millis(10);

/// One of those who commit what waits.
pub(super) struct Committer {
    pub(super) waiting: Arc<Waiting>,
    pub(super) writer: Arc<dyn MessageWriter>,
    pub(super) engine: Arc<Shared>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) options: IntakeOptions,
}

type Key = (TenantId, ApplicationId, [u8; 32]);

fn key_of(pending: &Pending) -> Option<Key> {
    let message = &pending.new.message;
    let dedup = pending.new.dedup.as_ref()?;
    Some((message.tenant, message.application, dedup.key_hash))
}

impl Committer {
    /// Commits until the queue is closed and empty.
    pub(super) async fn run(self) {
        while let Some(batch) = self.waiting.take().await {
            self.commit(batch).await;
        }
    }

    /// Commits a batch, in as many rounds as it needs: a round names no key twice.
    async fn commit(&self, batch: Vec<Pending>) {
        // Who went away is spared a message that they may repeat.
        let mut left: Vec<_> = batch
            .into_iter()
            .filter(|pending| !pending.is_abandoned())
            .collect();
        while !left.is_empty() {
            let mut later = Vec::new();
            let mut seen = HashSet::new();
            let mut followers: Vec<Pending> = Vec::new();
            let mut round = Vec::with_capacity(left.len());
            let now = self.clock.monotonic();
            for pending in left {
                match key_of(&pending) {
                    _ if now >= pending.deadline => give_up(pending),
                    Some(key) if !seen.insert(key) => followers.push(pending),
                    _ => round.push(pending),
                }
            }
            // In parts, once a row of it was refused.
            let mut parts = vec![round];
            while let Some(part) = parts.pop() {
                self.write(part, &mut parts, &mut followers, &mut later).await;
            }
            later.append(&mut followers);
            left = later;
        }
    }

    /// Writes one part of a round, again and again while the database is away and somebody waits for it.
    async fn write(
        &self,
        mut part: Vec<Pending>,
        parts: &mut Vec<Vec<Pending>>,
        followers: &mut Vec<Pending>,
        later: &mut Vec<Pending>,
    ) {
        // An earlier part may have taken long.
        part = self.without_late(part);
        if part.is_empty() {
            return;
        }
        let mut places: Vec<Option<Place>> = part.iter().map(|pending| self.place_for(pending)).collect();
        let mut backoff = Backoff::from_first(FIRST_WAIT);
        loop {
            let rows: Vec<NewMessage> = part
                .iter()
                .zip(&places)
                .map(|(pending, place)| NewMessage {
                    owner: place.as_ref().map(|place| place.epoch),
                    ..pending.new.clone()
                })
                .collect();
            let spans = self.spans(&part);
            let outcome = self.try_to_write(&rows).await;
            if let Err(error) = &outcome {
                for span in &spans {
                    trace::record_failure(span, kind_of(error));
                }
            }
            drop(spans);
            match outcome {
                Ok(written) => return self.written(part, places, &written, followers, later),
                Err(WriteError::Refused(error)) if part.len() == 1 => {
                    warn("a message is refused by the database", &error);
                    if let Some(pending) = part.pop() {
                        pending.answer(Err(IntakeError::Store(error)));
                    }
                    return;
                }
                Err(WriteError::Refused(_)) => {
                    let rest = part.split_off(part.len() / 2);
                    return parts.extend([rest, part]);
                }
                Err(WriteError::Unavailable(error)) => warn("messages could not be stored", &error),
                Err(WriteError::Unknown(error)) => {
                    warn("whether messages were stored is unknown", &error);
                    for pending in &mut part {
                        pending.uncertain = true;
                    }
                }
            }
            time::sleep(backoff.next()).await;
            self.give_up_late(&mut part, &mut places);
            if part.is_empty() {
                return;
            }
            self.renew(&part, &mut places);
        }
    }

    /// A span of this try for each who is waited for in a span: one that were shared would be in one of their traces
    /// only, and nothing of what they waited for in the others.
    fn spans(&self, part: &[Pending]) -> Vec<Span> {
        let callers = part.iter().map(|pending| &pending.span);
        callers
            .filter(|caller| !caller.is_none())
            .map(|caller| trace::commit_span(caller, self.writer.system(), part.len()))
            .collect()
    }

    async fn try_to_write(&self, rows: &[NewMessage]) -> Result<Vec<Written>, WriteError> {
        let written = time::timeout(self.options.write_timeout, self.writer.write(rows))
            .await
            .unwrap_or_else(|_| {
                Err(WriteError::Unknown(StoreError::Unavailable(
                    NoAnswerInTime.into(),
                )))
            })?;
        if written.len() == rows.len() {
            Ok(written)
        } else {
            // Which of them are stored cannot be told; asking again can.
            let cause = "a batch was answered with another number of rows";
            Err(WriteError::Unknown(StoreError::Internal(cause.into())))
        }
    }

    /// The engine may have begun another life meanwhile. What may be committed under the old one stays with it.
    fn renew(&self, part: &[Pending], places: &mut [Option<Place>]) {
        for (pending, place) in part.iter().zip(places) {
            if !pending.uncertain && !place.as_ref().is_some_and(Place::is_open) {
                *place = None;
                *place = self.place_for(pending);
            }
        }
    }

    /// A message whose time has not come is never this node's from the beginning: it waits in the queue, where it can be
    /// cancelled.
    fn place_for(&self, pending: &Pending) -> Option<Place> {
        let deliver_at = pending.new.message.deliver_at;
        if deliver_at.is_some_and(|at| at > self.clock.now()) {
            return None;
        }
        let bytes = pending.new.message.payload.bytes().len();
        self.engine.door.reserve(bytes)
    }

    /// Those whose callers go on waiting; the others have their answer.
    fn without_late(&self, part: Vec<Pending>) -> Vec<Pending> {
        let now = self.clock.monotonic();
        let (kept, late): (Vec<_>, Vec<_>) = part.into_iter().partition(|pending| now < pending.deadline);
        late.into_iter().for_each(give_up);
        kept
    }

    /// Answers those whose callers have waited long enough.
    fn give_up_late(&self, part: &mut Vec<Pending>, places: &mut Vec<Option<Place>>) {
        let now = self.clock.monotonic();
        let mut kept = Vec::with_capacity(part.len());
        let mut kept_places = Vec::with_capacity(part.len());
        for (pending, place) in part.drain(..).zip(places.drain(..)) {
            if now < pending.deadline {
                kept.push(pending);
                kept_places.push(place);
            } else {
                give_up(pending);
            }
        }
        (*part, *places) = (kept, kept_places);
    }

    /// The part is committed: everybody gets an answer, and what has a place is handed off.
    fn written(
        &self,
        part: Vec<Pending>,
        places: Vec<Option<Place>>,
        written: &[Written],
        followers: &mut Vec<Pending>,
        later: &mut Vec<Pending>,
    ) {
        let stored = part.iter().zip(written);
        let stored = stored.filter(|(_, written)| matches!(written, Written::Stored { .. }));
        let stored = stored.map(|(pending, _)| &*pending.new.message);
        self.engine.figures.accepted(stored.clone());
        self.engine.metrics.accepted(stored);
        let mut unclaimed = false;
        for ((pending, place), written) in part.into_iter().zip(places).zip(written) {
            match *written {
                Written::Stored { endpoints_version } => {
                    let id = pending.new.message.id;
                    answer_followers(&pending, Accepted::Replayed(id), followers);
                    if let Some(place) = place {
                        let message = Arc::clone(&pending.new.message);
                        place.enter(self.claimed(&pending, endpoints_version), message);
                    } else {
                        unclaimed = true;
                    }
                    pending.answer(Ok(Accepted::New));
                }
                Written::Replayed(earlier) => {
                    answer_followers(&pending, Accepted::Replayed(earlier), followers);
                    pending.answer(Ok(Accepted::Replayed(earlier)));
                }
                // What is stored may be a follower's body: those are looked at by themselves.
                Written::KeyConflict => pending.answer(Err(IntakeError::KeyConflict)),
                Written::Again => later.push(pending),
            }
        }
        if unclaimed {
            self.engine.work.notify_one();
        }
    }

    /// The row that was written, as if it had been claimed.
    fn claimed(&self, pending: &Pending, endpoints_version: i64) -> ClaimedWork {
        let message = &pending.new.message;
        ClaimedWork {
            work: WorkRef {
                id: WorkId::from(message.id),
                claim: 0,
            },
            tenant: message.tenant,
            application: message.application,
            message: message.id,
            endpoint: None,
            due_at: self.clock.now(),
            attempts: 0,
            failures: 0,
            seq: 0,
            payload_bytes: u32::try_from(message.payload.bytes().len()).unwrap_or(u32::MAX),
            endpoints_version,
            asked_for: false,
            asked_in: None,
        }
    }
}

/// What a try failed of, for its span.
pub(super) const fn kind_of(error: &WriteError) -> &'static str {
    match error {
        WriteError::Refused(_) => "refused",
        WriteError::Unavailable(_) => "unavailable",
        WriteError::Unknown(_) => "outcome_unknown",
    }
}

/// Those that came with the key of `first` have their answer with it.
fn answer_followers(first: &Pending, same: Accepted, followers: &mut Vec<Pending>) {
    let (Some(key), Some(body)) = (key_of(first), first.new.dedup.as_ref()) else {
        return;
    };
    for follower in followers.extract_if(.., |follower| key_of(follower) == Some(key)) {
        let is_same = follower
            .new
            .dedup
            .as_ref()
            .is_some_and(|dedup| dedup.body_hash == body.body_hash);
        let answer = if is_same {
            Ok(same)
        } else {
            Err(IntakeError::KeyConflict)
        };
        follower.answer(answer);
    }
}

fn give_up(pending: Pending) {
    let cause = StoreError::Unavailable("the database did not store it in time".into());
    let error = if pending.uncertain {
        IntakeError::OutcomeUnknown(cause)
    } else {
        IntakeError::Store(cause)
    };
    pending.answer(Err(error));
}
