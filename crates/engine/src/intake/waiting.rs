//! The bounded queue in front of the committers.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use postrider_application::ports::{Accepted, IntakeError, NewMessage};
use postrider_domain::TenantId;
use tokio::sync::{Notify, oneshot};
use tracing::Span;

use super::IntakeOptions;
use crate::trace;

/// What a message costs besides its payload.
const OVERHEAD_BYTES: usize = 512;

/// A message that waits to be committed, and its caller for the answer.
pub(super) struct Pending {
    pub(super) new: NewMessage,
    /// Its room in the queue, until it is dropped.
    _room: Room,
    /// Until when the caller waits, by the monotonic clock.
    pub(super) deadline: Duration,
    /// Whether a try may have committed it.
    pub(super) uncertain: bool,
    answer: oneshot::Sender<Result<Accepted, IntakeError>>,
    /// The span that it waits in; none if nobody records it.
    pub(super) span: Span,
}

impl Pending {
    fn bytes(&self) -> usize {
        bytes_of(&self.new)
    }

    /// Whether nobody waits for the answer any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    /// Tells the caller, who may have gone away.
    pub(super) fn answer(self, answer: Result<Accepted, IntakeError>) {
        let _ = self.answer.send(answer);
    }
}

fn bytes_of(new: &NewMessage) -> usize {
    new.message.payload.bytes().len() + OVERHEAD_BYTES
}

/// What a message counts for until it has its answer, whatever becomes of who commits it.
struct Room {
    waiting: Arc<Waiting>,
    tenant: TenantId,
    bytes: usize,
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut state = self.waiting.state();
        state.load.remove(self.bytes);
        if let Some(theirs) = state.of_tenants.get_mut(&self.tenant) {
            theirs.remove(self.bytes);
            if theirs.rows == 0 {
                state.of_tenants.remove(&self.tenant);
            }
        }
    }
}

/// Rows and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Load {
    rows: usize,
    bytes: usize,
}

impl Load {
    const fn add(&mut self, bytes: usize) {
        self.rows += 1;
        self.bytes += bytes;
    }

    const fn remove(&mut self, bytes: usize) {
        self.rows -= 1;
        self.bytes -= bytes;
    }

    /// Whether one more of `bytes` fits below `limit`; alone it always does.
    const fn has_room(self, bytes: usize, limit: Self) -> bool {
        self.rows == 0 || (self.rows < limit.rows && self.bytes + bytes <= limit.bytes)
    }

    const fn share(self, of_four: usize) -> Self {
        Self {
            rows: self.rows * of_four / 4,
            bytes: self.bytes / 4 * of_four,
        }
    }
}

#[derive(Default)]
struct State {
    queue: VecDeque<Pending>,
    /// All that is not answered yet, in the queue or under way.
    load: Load,
    of_tenants: HashMap<TenantId, Load>,
    closed: bool,
}

/// Messages that wait to be committed. What is taken counts until it is answered.
pub(super) struct Waiting {
    state: Mutex<State>,
    more: Notify,
    limit: Load,
    batch: Load,
}

impl Waiting {
    pub(super) fn new(options: &IntakeOptions) -> Self {
        Self {
            state: Mutex::default(),
            more: Notify::new(),
            limit: Load {
                rows: options.max_rows,
                bytes: options.max_bytes,
            },
            batch: Load {
                rows: options.batch_rows,
                bytes: options.batch_bytes,
            },
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is whole before anything that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a message wait until `deadline`, or says why it may not. The answer comes by what is returned.
    pub(super) fn push(
        self: &Arc<Self>,
        new: NewMessage,
        deadline: Duration,
        of_system: bool,
    ) -> Result<oneshot::Receiver<Result<Accepted, IntakeError>>, IntakeError> {
        let (tenant, bytes) = (new.message.tenant, bytes_of(&new));
        let mut state = self.state();
        if state.closed || !state.load.has_room(bytes, self.limit) {
            return Err(IntakeError::Full);
        }
        let theirs = state.of_tenants.get(&tenant).copied().unwrap_or_default();
        // The last quarter is never one tenant's alone: who comes then must find room.
        let alone = theirs == state.load;
        let share = self.limit.share(if alone { 3 } else { 1 });
        // What the system says to a tenant is little, and others wait behind it.
        if !of_system && !theirs.has_room(bytes, share) {
            return Err(IntakeError::ShareExceeded);
        }
        state.load.add(bytes);
        state.of_tenants.entry(tenant).or_default().add(bytes);
        let (answer, answered) = oneshot::channel();
        let span = if trace::is_sampled(&new.message) {
            Span::current()
        } else {
            Span::none()
        };
        state.queue.push_back(Pending {
            new,
            deadline,
            uncertain: false,
            answer,
            span,
            _room: Room {
                waiting: Arc::clone(self),
                tenant,
                bytes,
            },
        });
        drop(state);
        self.more.notify_one();
        Ok(answered)
    }

    /// A batch of what waits, at least one message; none once it is closed and empty.
    pub(super) async fn take(&self) -> Option<Vec<Pending>> {
        loop {
            {
                let mut state = self.state();
                let batch = self.batch_of(&mut state);
                if !batch.is_empty() {
                    let more = !state.queue.is_empty();
                    drop(state);
                    if more {
                        self.more.notify_one();
                    }
                    return Some(batch);
                }
                if state.closed {
                    drop(state);
                    // For the next committer.
                    self.more.notify_one();
                    return None;
                }
            }
            self.more.notified().await;
        }
    }

    fn batch_of(&self, state: &mut State) -> Vec<Pending> {
        let mut load = Load::default();
        let fits = |pending: &Pending, load: Load| load.has_room(pending.bytes(), self.batch);
        let mut batch = Vec::new();
        while state
            .queue
            .front()
            .is_some_and(|pending| load.rows < self.batch.rows && fits(pending, load))
        {
            let Some(pending) = state.queue.pop_front() else {
                break;
            };
            load.add(pending.bytes());
            batch.push(pending);
        }
        batch
    }

    /// Nothing more is let in; what waits is still taken.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.more.notify_one();
    }

    /// How many wait, those under way included.
    pub(super) fn rows(&self) -> usize {
        self.state().load.rows
    }
}
