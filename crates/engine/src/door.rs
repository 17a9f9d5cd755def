//! The door between the intake and the engine: a message is promised a place in memory before it is committed, and
//! goes through the door when it is.

use std::sync::{Arc, Mutex, PoisonError};

use postrider_application::ports::{ClaimedWork, Epoch};
use postrider_domain::messages::Message;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{
    budget::{Budget, Permit},
    lease::Lease,
};

/// A message that is durable and whose row is this node's from the beginning.
pub(crate) struct HandedOff {
    pub(crate) work: ClaimedWork,
    pub(crate) message: Arc<Message>,
    /// One row, and the payload's bytes.
    pub(crate) permit: Permit,
}

/// Who takes messages over: a life of the engine, while it takes anything in.
struct Open {
    lease: Arc<Lease>,
    inside: UnboundedSender<HandedOff>,
}

/// Open while a life takes messages in.
pub(crate) struct Door {
    open: Mutex<Option<Open>>,
    budget: Arc<Budget>,
}

/// A place in memory for a message that is about to be committed.
pub(crate) struct Place {
    pub(crate) epoch: Epoch,
    permit: Permit,
    /// Not bounded by itself: whatever goes through has a permit.
    inside: UnboundedSender<HandedOff>,
}

impl Door {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self {
            open: Mutex::new(None),
            budget,
        }
    }

    /// A life begins to take messages in.
    pub(crate) fn open(&self, lease: &Arc<Lease>) -> UnboundedReceiver<HandedOff> {
        let (inside, taken) = unbounded_channel();
        let lease = Arc::clone(lease);
        *self.lock() = Some(Open { lease, inside });
        taken
    }

    /// No more places. What has one already still comes.
    pub(crate) fn close(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a message of `bytes`, if the engine takes messages in and has room for it.
    pub(crate) fn reserve(&self, bytes: usize) -> Option<Place> {
        let (epoch, inside) = {
            let open = self.lock();
            let open = open.as_ref().filter(|open| open.lease.holds())?;
            (open.lease.epoch, open.inside.clone())
        };
        let permit = self
            .budget
            .take_row_for_new()?
            .and(self.budget.take_bytes_for_new(bytes)?);
        Some(Place {
            epoch,
            permit,
            inside,
        })
    }
}

impl Place {
    /// Whether the life that promised it still takes messages in.
    pub(crate) fn is_open(&self) -> bool {
        !self.inside.is_closed()
    }

    /// The message is committed. If nobody is inside any more, its row is a dead epoch's, and is taken over like all
    /// of them.
    pub(crate) fn enter(self, work: ClaimedWork, message: Arc<Message>) {
        let permit = self.permit;
        let _ = self.inside.send(HandedOff {
            work,
            message,
            permit,
        });
    }
}
