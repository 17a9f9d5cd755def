use crate::{
    ApplicationId, Change, EndpointId, InvalidValue, MessageId, ReplayId, Rule, TenantId, Timestamp,
    aggregate::aggregate,
    deliveries::{Delivery, DeliveryStatus},
};

/// Which messages a replay delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplayMode {
    /// Every message that the endpoint's filter wants now, whatever became of it.
    All,
    /// Those whose delivery to the endpoint failed or was cancelled.
    Failed,
    /// Those that the endpoint's filter wants now and that it never got: there is no delivery at all.
    Missing,
}

impl ReplayMode {
    /// Every mode there is.
    pub const ALL: [Self; 3] = [Self::All, Self::Failed, Self::Missing];

    /// The stable public name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Failed => "failed",
            Self::Missing => "missing",
        }
    }

    /// The mode of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text)
    }

    /// Whether it delivers a message of which the endpoint has that delivery, or none. What is pending is on its way
    /// anyway, and in no mode queued twice.
    pub fn wants(self, delivery: Option<&Delivery>) -> bool {
        match (self, delivery.map(|delivery| delivery.status)) {
            (_, Some(DeliveryStatus::Pending { .. })) => false,
            (Self::All, _) => true,
            (Self::Failed, status) => {
                matches!(
                    status,
                    Some(DeliveryStatus::Failed(_) | DeliveryStatus::Cancelled)
                )
            }
            (Self::Missing, status) => status.is_none(),
        }
    }
}

/// Why a replay came to no good end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplayFailure {
    /// Its endpoint was disabled: what is queued for it would only be cancelled.
    EndpointDisabled,
    /// Its endpoint is gone.
    EndpointGone,
}

impl ReplayFailure {
    /// Every reason there is.
    pub const ALL: [Self; 2] = [Self::EndpointDisabled, Self::EndpointGone];

    /// The stable public name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EndpointDisabled => "endpoint_disabled",
            Self::EndpointGone => "endpoint_gone",
        }
    }

    /// The reason of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.as_str() == text)
    }
}

/// Where a replay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplayStatus {
    /// Messages are still looked through.
    Running,
    /// All were looked through, or as many queued as it may. What it queued may still be on its way.
    Completed,
    /// Somebody stopped it. What it had queued goes on.
    Cancelled,
    /// It cannot go on. What it had queued is cancelled when its turn comes.
    Failed(ReplayFailure),
}

impl ReplayStatus {
    /// The stable public name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Failed(_) => "failed",
        }
    }

    /// Whether it will do nothing more.
    pub const fn is_finished(self) -> bool {
        !matches!(self, Self::Running)
    }
}

/// The most messages that a replay queues: 1 to 1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplayLimit(u32);

impl ReplayLimit {
    /// The highest limit.
    pub const MAX: u32 = 1_000_000;

    /// A limit of so many messages.
    pub fn new(messages: u32) -> Result<Self, InvalidValue> {
        if (1..=Self::MAX).contains(&messages) {
            Ok(Self(messages))
        } else {
            Err(InvalidValue::new(Rule::Range, "must be from 1 to 1000000"))
        }
    }

    /// So many messages.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl Default for ReplayLimit {
    /// 100,000 messages.
    fn default() -> Self {
        Self(100_000)
    }
}

/// How far a replay came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Messages (of the failed mode: deliveries) that were looked at.
    pub considered: u64,
    /// Those of them that were queued.
    pub queued: u64,
    /// Those of them that were not: not wanted, pending already, without payload, or still being fanned out when the
    /// replay's patience was at its end.
    pub skipped: u64,
}

impl Progress {
    /// Both together.
    #[must_use]
    pub const fn and(self, more: Self) -> Self {
        Self {
            considered: self.considered + more.considered,
            queued: self.queued + more.queued,
            skipped: self.skipped + more.skipped,
        }
    }
}

/// All stored facts of a [`Replay`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayState {
    /// Its id.
    pub id: ReplayId,
    /// The tenant.
    pub tenant: TenantId,
    /// The endpoint's application.
    pub application: ApplicationId,
    /// The endpoint that receives.
    pub endpoint: EndpointId,
    /// Which messages.
    pub mode: ReplayMode,
    /// Messages accepted at this time or later.
    pub from: Timestamp,
    /// Messages accepted before this time, which is not after the replay's own beginning.
    pub to: Timestamp,
    /// The most messages to queue.
    pub limit: ReplayLimit,
    /// Where it stands.
    pub status: ReplayStatus,
    /// How far it came.
    pub progress: Progress,
    /// The last message that was looked at; none at the beginning.
    pub cursor: Option<MessageId>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it came to an end.
    pub finished_at: Option<Timestamp>,
}

impl ReplayState {
    /// How many messages it may still queue.
    pub const fn room(&self) -> u64 {
        (self.limit.0 as u64).saturating_sub(self.progress.queued)
    }

    fn apply(&mut self, event: &ReplayEvent) {
        match event {
            ReplayEvent::Created { .. } => {}
            ReplayEvent::Finished { status, at, .. } => {
                self.status = *status;
                self.finished_at = Some(*at);
            }
        }
    }
}

/// What can happen to a [`Replay`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayEvent {
    /// It was asked for.
    Created {
        /// The endpoint that receives.
        endpoint: EndpointId,
        /// Which messages.
        mode: ReplayMode,
        /// Messages accepted at this time or later.
        from: Timestamp,
        /// Messages accepted before this time.
        to: Timestamp,
    },
    /// It came to an end.
    Finished {
        /// The endpoint that receives.
        endpoint: EndpointId,
        /// Which end.
        status: ReplayStatus,
        /// How far it came.
        progress: Progress,
        /// When.
        at: Timestamp,
    },
}

aggregate!(
    /// A job that queues many messages for one endpoint.
    ///
    /// How far it came is no event: a job of a million messages takes thousands of steps, and the log is to hold what
    /// happened, not how it was done. [`Replay::advance`] is therefore the one mutator that records nothing.
    Replay, ReplayState, ReplayEvent
);

/// What a new replay is made of.
#[derive(Debug, Clone, Copy)]
pub struct NewReplay {
    /// Which messages.
    pub mode: ReplayMode,
    /// Messages accepted at this time or later.
    pub from: Timestamp,
    /// Messages accepted before this time; until now, if absent.
    pub to: Option<Timestamp>,
    /// The most messages to queue.
    pub limit: ReplayLimit,
}

impl Replay {
    /// A new replay. Messages that are published after it began are none of its business: the endpoint gets them as
    /// it gets every other.
    pub fn begin(
        id: ReplayId,
        tenant: TenantId,
        (application, endpoint): (ApplicationId, EndpointId),
        new: NewReplay,
        at: Timestamp,
    ) -> Result<Self, InvalidValue> {
        let to = new.to.map_or(at, |to| to.min(at));
        if new.from >= to {
            return Err(InvalidValue::new(
                Rule::Range,
                "must be before `to`, and in the past",
            ));
        }
        let state = ReplayState {
            id,
            tenant,
            application,
            endpoint,
            mode: new.mode,
            from: new.from,
            to,
            limit: new.limit,
            status: ReplayStatus::Running,
            progress: Progress::default(),
            cursor: None,
            created_at: at,
            finished_at: None,
        };
        let event = ReplayEvent::Created {
            endpoint,
            mode: new.mode,
            from: new.from,
            to,
        };
        Ok(Self::born(state, event))
    }

    /// A step was made, up to and with the message `cursor`, if it came to one.
    pub fn advance(&mut self, cursor: Option<MessageId>, step: Progress) {
        self.state.cursor = cursor.or(self.state.cursor);
        self.state.progress = self.state.progress.and(step);
    }

    /// All was looked through, or as many were queued as may be.
    pub fn complete(&mut self, at: Timestamp) -> Change {
        self.finish(ReplayStatus::Completed, at)
    }

    /// Nothing more is queued.
    pub fn cancel(&mut self, at: Timestamp) -> Change {
        self.finish(ReplayStatus::Cancelled, at)
    }

    /// It cannot go on.
    pub fn fail(&mut self, why: ReplayFailure, at: Timestamp) -> Change {
        self.finish(ReplayStatus::Failed(why), at)
    }

    fn finish(&mut self, status: ReplayStatus, at: Timestamp) -> Change {
        if self.state.status.is_finished() {
            return Change::None;
        }
        self.record(ReplayEvent::Finished {
            endpoint: self.state.endpoint,
            status,
            progress: self.state.progress,
            at,
        });
        Change::Made
    }

    fn record(&mut self, event: ReplayEvent) {
        self.state.apply(&event);
        self.pending.push(event);
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
