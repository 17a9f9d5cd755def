//! Replays: the same steps as on the databases, in a loop over everything.

use std::time::Duration;

use async_trait::async_trait;
use postrider_application::{
    access::TenantScope,
    ports::{
        Ids, Page, PageRequest, ReplayLimits, ReplayRepository, ReplayStep, ReplayViews, ReplayWorker,
        RunningReplays, StoreError,
    },
};
use postrider_domain::{
    Aggregate as _, ApplicationId, Change, EndpointId, MessageId, ReplayId, TenantId, Timestamp, WorkId,
    deliveries::Delivery,
    endpoints::{EndpointRef, Filter},
    events::DomainEvent,
    messages::{Message, TraceParent},
    replays::{Progress, Replay, ReplayFailure, ReplayMode, ReplayState},
};

use super::{
    hot::{Hot, Requeue},
    log::PendingEvent,
    repositories::write,
    state::State,
    store::{MemoryStore, MemoryTx},
    tables::Kept as _,
    views::{Order, page_of},
};

/// How long a finished replay is kept, to be looked at.
const KEPT: Duration = Duration::from_hours(30 * 24);
/// A fan-out that is due later than this is not waited for.
const SCHEDULED: Duration = Duration::from_mins(1);

/// Whether a replay has been finished for so long that it goes.
pub(super) fn is_over(replay: &ReplayState, now: Timestamp) -> bool {
    replay.finished_at.is_some_and(|at| at.plus(KEPT) <= now)
}

impl ReplayRepository for MemoryTx {
    /// Nobody else is at it: writers take turns.
    async fn hold_replay(&mut self, scope: &TenantScope, id: ReplayId) -> Result<Option<Replay>, StoreError> {
        let Some(tenant) = self.visible(scope) else {
            return Ok(None);
        };
        let row = Replay::find(&self.configuration, tenant, &id);
        Ok(row.map(|row| Replay::restore(row.state.clone(), row.version)))
    }

    async fn count_running(
        &mut self,
        scope: &TenantScope,
        endpoint: EndpointId,
    ) -> Result<RunningReplays, StoreError> {
        let Some(tenant) = self.visible(scope) else {
            return Ok(RunningReplays::default());
        };
        let replays = self.configuration.replays.values().map(|row| &row.state);
        let mut running = RunningReplays::default();
        for replay in replays.filter(|replay| replay.tenant == tenant && !replay.status.is_finished()) {
            running.of_tenant += 1;
            running.of_endpoint += u32::from(replay.endpoint == endpoint);
        }
        Ok(running)
    }

    async fn note_asked_in(
        &mut self,
        scope: &TenantScope,
        id: ReplayId,
        asked_in: &TraceParent,
    ) -> Result<(), StoreError> {
        if self.visible(scope).is_some() {
            // Of a replay that is not kept in the end nobody looks it up.
            self.store.state().hot.asked_in.insert(id, asked_in.clone());
        }
        Ok(())
    }
}

impl ReplayViews for MemoryStore {
    async fn replay(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        endpoint: EndpointId,
        id: ReplayId,
    ) -> Result<Option<ReplayState>, StoreError> {
        let state = self.state();
        let found = state.configuration.replays.get(&id).map(|row| row.state.clone());
        Ok(found.filter(|replay| is_of(replay, scope.tenant(), application, endpoint)))
    }

    async fn replays(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        endpoint: EndpointId,
        page: PageRequest<ReplayId>,
    ) -> Result<Page<ReplayState, ReplayId>, StoreError> {
        let state = self.state();
        let rows = state.configuration.replays.values().rev();
        let rows = rows
            .map(|row| row.state.clone())
            .filter(|replay| is_of(replay, scope.tenant(), application, endpoint));
        Ok(page_of(rows, &page, |replay| replay.id, Order::Descending))
    }
}

fn is_of(replay: &ReplayState, tenant: TenantId, application: ApplicationId, endpoint: EndpointId) -> bool {
    (replay.tenant, replay.application, replay.endpoint) == (tenant, application, endpoint)
}

#[async_trait]
impl ReplayWorker for MemoryStore {
    async fn step(
        &self,
        limits: &ReplayLimits,
        ids: &dyn Ids,
        now: Timestamp,
    ) -> Result<ReplayStep, StoreError> {
        let _turn = self.turn().await;
        let (mut state, stored) = (self.state(), self.now());
        let told = state.last_position;
        let step = state.step(limits, ids, now, stored);
        if state.last_position > told {
            self.event_bells.events.ring();
        }
        step
    }
}

/// How many messages may be queued now, while so many of the replay's are in the queue; none if it is not worth a step
/// yet: not one for every row that goes, but half a batch at least.
fn room(limits: &ReplayLimits, busy: u32, replay: &ReplayState) -> Option<u32> {
    let room = limits.outstanding.saturating_sub(busy);
    let left = u32::try_from(replay.room()).unwrap_or(u32::MAX);
    let worth = (limits.batch.min(limits.outstanding) / 2).clamp(1, left.max(1));
    (room >= worth || left == 0).then_some(room.min(left))
}

/// What a step found.
#[derive(Default)]
struct Found {
    wanted: Vec<Delivery>,
    considered: u64,
    cursor: Option<MessageId>,
    waits: bool,
    ended: bool,
}

impl State {
    fn step(
        &mut self,
        limits: &ReplayLimits,
        ids: &dyn Ids,
        now: Timestamp,
        stored: Timestamp,
    ) -> Result<ReplayStep, StoreError> {
        let Some(mut replay) = self.next_replay(stored) else {
            return Ok(ReplayStep::Nothing);
        };
        let id = replay.state().id;
        let filter = match self.wants(replay.state()) {
            Ok(filter) => filter,
            Err(why) => {
                let change = replay.fail(why, now);
                return self.finish_replay(replay, change, 0, stored);
            }
        };
        let Some(room) = room(limits, self.outstanding(replay.state()), replay.state()) else {
            self.replays_due.insert(id, stored.plus(limits.wait));
            return Ok(ReplayStep::Waiting {
                replay: id,
                queued: 0,
            });
        };
        let found = self
            .hot
            .look(replay.state(), &filter, limits, room, (now, stored));
        let queued = u32::try_from(found.wanted.len()).unwrap_or(u32::MAX);
        for delivery in found.wanted {
            self.replays_queued.entry(id).or_default().push(delivery.message);
            self.hot
                .queue_again(replay.state(), delivery, WorkId::from_uuid(ids.next()), stored)?;
        }
        let step = Progress {
            considered: found.considered,
            queued: u64::from(queued),
            skipped: found.considered - u64::from(queued),
        };
        replay.advance(found.cursor, step);
        if found.ended || replay.state().room() == 0 {
            let change = replay.complete(now);
            return self.finish_replay(replay, change, queued, stored);
        }
        self.save_replay(replay, stored)?;
        let wait = if found.waits { limits.wait } else { Duration::ZERO };
        self.replays_due.insert(id, stored.plus(wait));
        Ok(if found.waits {
            ReplayStep::Waiting { replay: id, queued }
        } else {
            ReplayStep::Made {
                replay: id,
                queued,
                finished: false,
            }
        })
    }

    /// How many of the messages that the replay has put into the queue are still there.
    fn outstanding(&self, replay: &ReplayState) -> u32 {
        let put = self.replays_queued.get(&replay.id).into_iter().flatten();
        let there = put.filter(|message| self.hot.queued(**message, replay.endpoint).is_some());
        u32::try_from(there.count()).unwrap_or(u32::MAX)
    }

    fn next_replay(&self, stored: Timestamp) -> Option<Replay> {
        let due = |id: &ReplayId| {
            self.replays_due
                .get(id)
                .copied()
                .unwrap_or(Timestamp::from_micros(0))
        };
        let replays = self.configuration.replays.iter();
        let (_, row) = replays
            .filter(|(id, row)| {
                !row.state.status.is_finished()
                    && due(id) <= stored
                    && self.configuration.is_there(row.state.tenant)
            })
            .min_by_key(|(id, _)| due(id))?;
        Some(Replay::restore(row.state.clone(), row.version))
    }

    /// What the endpoint wants, or why it is sent nothing.
    fn wants(&self, replay: &ReplayState) -> Result<Filter, ReplayFailure> {
        let reference = EndpointRef::Id(replay.endpoint);
        let row = self
            .configuration
            .endpoint(replay.tenant, replay.application, &reference)
            .ok_or(ReplayFailure::EndpointGone)?;
        if row.state.status.is_disabled() {
            return Err(ReplayFailure::EndpointDisabled);
        }
        Ok(row.state.filter.clone())
    }

    fn finish_replay(
        &mut self,
        replay: Replay,
        change: Change,
        queued: u32,
        stored: Timestamp,
    ) -> Result<ReplayStep, StoreError> {
        let id = replay.state().id;
        if change == Change::Made {
            self.save_replay(replay, stored)?;
        }
        self.replays_due.remove(&id);
        self.replays_queued.remove(&id);
        Ok(ReplayStep::Made {
            replay: id,
            queued,
            finished: true,
        })
    }

    fn save_replay(&mut self, mut replay: Replay, stored: Timestamp) -> Result<(), StoreError> {
        let (state, read) = (replay.state().clone(), replay.version());
        let version = write(
            &mut self.configuration.replays,
            state.id,
            read,
            state.clone(),
            Replay::taken,
        )?;
        for event in replay.take_events() {
            let event = DomainEvent::Replay(state.application, state.id, event);
            let position = self.next_position();
            let pending = PendingEvent {
                tenant: Some(state.tenant),
                version,
                event,
            };
            self.events.push(pending.at(position, stored));
        }
        Ok(())
    }
}

impl Hot {
    fn look(
        &self,
        replay: &ReplayState,
        filter: &Filter,
        limits: &ReplayLimits,
        room: u32,
        (now, stored): (Timestamp, Timestamp),
    ) -> Found {
        let mut found = Found::default();
        let whose = (replay.tenant, replay.application);
        let candidates = self.messages.values().filter(|message| {
            (message.tenant, message.application) == whose
                && replay.cursor.is_none_or(|cursor| message.id > cursor)
                && (replay.from..replay.to).contains(&message.created_at)
        });
        for message in candidates {
            let delivery = self.delivery(replay.tenant, replay.application, message.id, replay.endpoint);
            let failed = replay.mode == ReplayMode::Failed;
            if failed && !replay.mode.wants(delivery.as_ref()) {
                continue;
            }
            if found.considered >= u64::from(limits.batch) || found.wanted.len() >= room as usize {
                return found;
            }
            let fan_out = self.work.get(&WorkId::from(message.id));
            let goes_out = fan_out.is_some_and(|row| row.due_at.since(stored) <= SCHEDULED);
            if goes_out && now.since(replay.created_at) < limits.patience {
                found.waits = true;
                return found;
            }
            found.considered += 1;
            found.cursor = Some(message.id);
            let under_way = fan_out.is_some() || self.queued(message.id, replay.endpoint).is_some();
            let deliverable = self.is_deliverable(message, replay.endpoint, stored);
            if deliverable
                && !under_way
                && replay.mode.wants(delivery.as_ref())
                && (failed || wants(filter, message))
            {
                let new = || Delivery::begin(message.id, replay.endpoint, stored);
                found.wanted.push(delivery.unwrap_or_else(new));
            }
        }
        found.ended = true;
        found
    }

    /// Whether it can be sent to that endpoint: its payload is there, nobody has cancelled it, its time has come, and it
    /// is not another endpoint's alone.
    fn is_deliverable(&self, message: &Message, endpoint: EndpointId, stored: Timestamp) -> bool {
        let fate = self.fate(message.id);
        fate.cancelled_at.is_none()
            && self.has_payload(message.id)
            && message.deliver_at.is_none_or(|at| at <= stored)
            && fate.only_endpoint.is_none_or(|only| only == endpoint)
    }

    /// What a resend does; what has no history yet gets none before it is attempted.
    fn queue_again(
        &mut self,
        replay: &ReplayState,
        mut delivery: Delivery,
        work: WorkId,
        stored: Timestamp,
    ) -> Result<(), StoreError> {
        let known = self
            .deliveries
            .contains_key(&(delivery.message, delivery.endpoint));
        // What is pending is no candidate, so this changes what is to be changed.
        let _ = delivery.resend(stored);
        let key = (delivery.message, delivery.endpoint);
        let requeue = Requeue {
            tenant: replay.tenant,
            application: replay.application,
            delivery,
            work,
            asked_in: self.asked_in.get(&replay.id).cloned(),
        };
        self.may_requeue(&requeue)?;
        self.requeue(requeue, stored);
        if !known {
            self.deliveries.remove(&key);
        }
        Ok(())
    }
}

fn wants(filter: &Filter, message: &Message) -> bool {
    filter.wants(&message.event_type, &message.channels)
}
