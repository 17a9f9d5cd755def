//! Replays: what is queued, once; what is waited for; and how a replay ends.

mod asking;
mod choosing;
mod stepping;

use std::{collections::BTreeSet, time::Duration};

use postrider_application::ports::{ReplayLimits, ReplayStep, ReplayViews as _, WorkRef};
use postrider_domain::{
    Aggregate as _, EndpointId, MessageId, ReplayId, Timestamp,
    replays::{Progress, ReplayLimit, ReplayMode, ReplayState},
};

pub use self::{
    asking::what_a_replay_queues_says_in_which_trace_it_was_asked_for,
    choosing::{
        a_message_to_one_endpoint_is_not_replayed_to_others, all_is_everything_but_what_is_pending,
        failed_is_what_came_to_no_good_end, missing_is_exactly_what_the_endpoint_lacks,
        missing_is_only_what_the_filter_wants, what_is_not_to_be_sent_is_not_replayed,
    },
    stepping::{
        a_cancelled_replay_goes_no_further, a_fan_out_under_way_is_waited_for,
        a_finished_replay_is_kept_for_a_month, a_replay_does_not_fill_the_queue, a_replay_ends_at_its_limit,
        a_replay_fails_without_its_endpoint, a_replay_is_counted_while_it_is_under_way,
        a_replay_that_is_held_takes_no_step, a_replay_waits_for_its_own_rows_only,
        racing_steps_queue_each_message_once, replays_are_listed_and_counted_by_endpoint, replays_take_turns,
    },
};
use super::{Customer, Fixture, Harness, Tenancy};
use crate::memory::SequentialIds;

/// No bound is met by chance, and nothing is put off.
const LIMITS: ReplayLimits = ReplayLimits {
    batch: 100,
    outstanding: 100,
    wait: Duration::ZERO,
    patience: Duration::from_hours(1),
};

struct Scene<'h, H: Harness> {
    fixture: Fixture<'h, H>,
    tenant: Tenancy,
    customer: Customer,
    ids: SequentialIds,
}

impl<'h, H: Harness> Scene<'h, H> {
    async fn new(harness: &'h H) -> Self {
        let fixture = Fixture::new(harness);
        let tenant = fixture.tenant("acme").await;
        let customer = fixture.application(&tenant).await;
        Self {
            ids: SequentialIds::new(harness.clock()),
            fixture,
            tenant,
            customer,
        }
    }

    async fn endpoint(&self) -> EndpointId {
        self.fixture.endpoint(&self.tenant, &self.customer).await
    }

    /// Later than everything that was published so far.
    fn now(&self) -> Timestamp {
        self.fixture.now().plus(Duration::from_secs(1))
    }

    /// A new replay of everything so far, stored.
    async fn replay(&self, endpoint: EndpointId, mode: ReplayMode) -> ReplayId {
        self.replay_up_to(endpoint, mode, ReplayLimit::default()).await
    }

    async fn replay_up_to(&self, endpoint: EndpointId, mode: ReplayMode, limit: ReplayLimit) -> ReplayId {
        let (of, now) = ((self.customer.id, endpoint), self.now());
        let mut replay = self.fixture.new_replay(&self.tenant, of, mode, limit, now);
        self.fixture.save(&self.tenant.scope, &mut replay).await.unwrap();
        replay.state().id
    }

    async fn step(&self, limits: ReplayLimits) -> ReplayStep {
        let worker = self.fixture.ports().replays.clone();
        worker.step(&limits, &self.ids, self.now()).await.unwrap()
    }

    /// Steps until the replay is finished, or waits.
    async fn steps(&self, limits: ReplayLimits) -> ReplayStep {
        for _ in 0..100 {
            match self.step(limits).await {
                ReplayStep::Made { finished: false, .. } => {}
                step => return step,
            }
        }
        panic!("the replay does not end");
    }

    async fn view(&self, endpoint: EndpointId, id: ReplayId) -> ReplayState {
        let (scope, application) = (&self.tenant.scope, self.customer.id);
        let view = self
            .fixture
            .store()
            .replay(scope, application, endpoint, id)
            .await;
        view.unwrap().unwrap()
    }

    /// A message that went to these endpoints, and was delivered there.
    async fn published(&self, endpoints: &[EndpointId]) -> MessageId {
        let node = self.fixture.node().await;
        let (message, rows) = self.fixture.fanned_out(node, &self.customer, endpoints).await;
        for (endpoint, row) in endpoints.iter().zip(rows) {
            let delivered = self.fixture.delivered(message, *endpoint);
            assert!(self.fixture.settle(node, row, delivered).await);
        }
        message
    }

    /// The messages that wait for the endpoint in the queue, claimed.
    async fn queued(&self, endpoint: EndpointId) -> Vec<(MessageId, WorkRef)> {
        let node = self.fixture.node().await;
        let rows = self.fixture.claim(node).await;
        assert!(rows.iter().all(|row| row.endpoint == Some(endpoint)), "{rows:?}");
        rows.iter().map(|row| (row.message, row.work)).collect()
    }

    /// What is queued for the endpoint is delivered.
    async fn deliver(&self, endpoint: EndpointId) -> BTreeSet<MessageId> {
        let node = self.fixture.node().await;
        let mut delivered = BTreeSet::new();
        for row in self.fixture.claim(node).await {
            assert_eq!(row.endpoint, Some(endpoint));
            let concluded = self.fixture.delivered(row.message, endpoint);
            assert!(self.fixture.settle(node, row.work, concluded).await);
            assert!(delivered.insert(row.message), "each is queued once");
        }
        delivered
    }

    async fn kinds_since(&self, position: i64) -> Vec<String> {
        let events = self.fixture.ports().events.after(position, 100).await.unwrap();
        events.into_iter().map(|event| event.kind).collect()
    }
}

/// The queued messages, once each.
fn only(rows: &[(MessageId, WorkRef)]) -> BTreeSet<MessageId> {
    let messages: BTreeSet<_> = rows.iter().map(|(message, _)| *message).collect();
    assert_eq!(messages.len(), rows.len(), "each is queued once");
    messages
}

const fn progress(considered: u64, queued: u64) -> Progress {
    Progress {
        considered,
        queued,
        skipped: considered - queued,
    }
}
