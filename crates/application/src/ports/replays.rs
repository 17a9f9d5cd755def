//! Replays: the jobs, and the steps that they are made in.

use std::time::Duration;

use async_trait::async_trait;
use postrider_domain::{
    ApplicationId, EndpointId, ReplayId, Timestamp,
    messages::TraceParent,
    replays::{Replay, ReplayState},
};

use super::{Ids, Page, PageRequest, StoreError};
use crate::access::TenantScope;

/// How many replays are under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunningReplays {
    /// Of the endpoint.
    pub of_endpoint: u32,
    /// Of the whole tenant.
    pub of_tenant: u32,
}

/// What a replay needs besides [`super::Repository`].
pub trait ReplayRepository: Send {
    /// The replay, which nobody else changes before this transaction ends: a step that is under way is waited for.
    fn hold_replay(
        &mut self,
        scope: &TenantScope,
        id: ReplayId,
    ) -> impl Future<Output = Result<Option<Replay>, StoreError>> + Send;

    /// How many are under way. Nobody else's transaction can begin one of the tenant's before this one ends.
    fn count_running(
        &mut self,
        scope: &TenantScope,
        endpoint: EndpointId,
    ) -> impl Future<Output = Result<RunningReplays, StoreError>> + Send;

    /// Notes the trace that a saved replay was asked for in, so that the attempts that it leads to are joined to it.
    fn note_asked_in(
        &mut self,
        scope: &TenantScope,
        id: ReplayId,
        asked_in: &TraceParent,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Replays, to look at.
pub trait ReplayViews: Send + Sync {
    /// One replay of an endpoint.
    fn replay(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        endpoint: EndpointId,
        id: ReplayId,
    ) -> impl Future<Output = Result<Option<ReplayState>, StoreError>> + Send;

    /// The replays of an endpoint, the newest first.
    fn replays(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        endpoint: EndpointId,
        page: PageRequest<ReplayId>,
    ) -> impl Future<Output = Result<Page<ReplayState, ReplayId>, StoreError>> + Send;
}

/// The bounds of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayLimits {
    /// The most messages that it looks at.
    pub batch: u32,
    /// The most rows of the queue that a replay's messages have at a time: it waits while there are as many.
    pub outstanding: u32,
    /// How long a replay stands back that has to wait.
    pub wait: Duration,
    /// How long after a replay began a message whose fan-out is still under way is waited for; then it is passed over.
    pub patience: Duration,
}

impl Default for ReplayLimits {
    fn default() -> Self {
        Self {
            batch: 500,
            outstanding: 1_000,
            wait: Duration::from_secs(1),
            patience: Duration::from_hours(1),
        }
    }
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayStep {
    /// There is nothing to be done now: no replay is under way whose turn it is, or another node is at it.
    Nothing,
    /// A replay went on, or came to its end.
    Made {
        /// Which.
        replay: ReplayId,
        /// How many rows were queued.
        queued: u32,
        /// Whether it will do nothing more.
        finished: bool,
    },
    /// A replay could not go on now: its rows fill the queue, or a fan-out is under way.
    Waiting {
        /// Which.
        replay: ReplayId,
        /// How many rows were queued before it had to wait.
        queued: u32,
    },
}

/// Works replays, a bounded piece at a time. Each step is one transaction, so that whoever takes the next one, after
/// whatever crash, goes on exactly where the last one ended.
#[async_trait]
pub trait ReplayWorker: Send + Sync {
    /// Takes the next step of the replay that has waited the longest: looks at the next messages, queues those that
    /// are wanted (the rows get `ids`), and writes how far it came. A replay whose step failed stands back behind the
    /// others for a while.
    async fn step(
        &self,
        limits: &ReplayLimits,
        ids: &dyn Ids,
        now: Timestamp,
    ) -> Result<ReplayStep, StoreError>;
}
