//! What waits, as figures.

use std::time::Duration;

use postrider_application::ports::{Backlog, QueueBacklog, StartAt, SubscriberBacklog};

use super::{
    Fixture, Harness,
    claiming::given,
    queue_steps::LEASE,
    relaying::{NAME, refused, waiting},
    scheduling::scheduled,
};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
/// More than there is in any case.
const MANY: u32 = 1_000;

impl<H: Harness> Fixture<'_, H> {
    pub(super) async fn backlog(&self) -> Backlog {
        self.ports().backlogs.backlog(MANY).await.unwrap()
    }

    /// What waits in the queue: due, scheduled, parked.
    async fn queue_backlog(&self) -> [u64; 3] {
        let queue = self.backlog().await.queue;
        [queue.due, queue.scheduled, queue.parked]
    }

    async fn oldest_due(&self) -> Duration {
        self.backlog().await.queue.oldest_due
    }
}

/// What nobody holds is due or will be; what is parked is neither; what a living node holds is counted by that node. The
/// age is that of the oldest that is due.
pub async fn what_waits_is_counted_by_its_state<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (node, endpoint) = (fixture.node().await, fixture.endpoint(&tenant, &customer).await);
    assert_eq!(fixture.backlog().await.queue, QueueBacklog::default());

    let (message, row) = fixture.delivery(node, &customer, endpoint).await;
    let retried = fixture.failed(message, endpoint).0;
    assert!(fixture.settle(node, row, retried).await);
    let (_, row) = fixture.delivery(node, &customer, endpoint).await;
    fixture.ports().queue.park(node, vec![row]).await.unwrap();
    fixture.delivery(node, &customer, endpoint).await;
    scheduled(&fixture, &customer, fixture.now().plus(HOUR)).await;
    assert_eq!(fixture.queue_backlog().await, [0, 2, 1]);
    assert_eq!(fixture.oldest_due().await, Duration::ZERO);

    fixture.accepted(&customer).await;
    assert_eq!(fixture.queue_backlog().await, [1, 2, 1]);
    harness.age(MINUTE * 10).await;
    assert_eq!(
        fixture.queue_backlog().await,
        [2, 1, 1],
        "it is time for the retry"
    );
    let oldest = fixture.oldest_due().await;
    assert!(
        (MINUTE * 10..MINUTE * 20).contains(&oldest),
        "{oldest:?}: of the one that was due first"
    );

    let heir = fixture.node().await;
    assert_eq!(fixture.claim(heir).await.len(), 2);
    assert_eq!(fixture.queue_backlog().await, [0, 1, 1]);
    assert_eq!(fixture.oldest_due().await, Duration::ZERO);
}

/// What a dead node held waits for somebody to take it over.
pub async fn what_dead_nodes_hold_is_due<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (node, endpoint) = (fixture.node().await, fixture.endpoint(&tenant, &customer).await);
    for _ in 0..2 {
        fixture.delivery(node, &customer, endpoint).await;
    }
    assert_eq!(fixture.queue_backlog().await, [0, 0, 0]);
    harness.age(LEASE).await;
    assert_eq!(fixture.ports().nodes.bury().await.unwrap(), [node]);
    assert_eq!(fixture.queue_backlog().await, [2, 0, 0]);
    let oldest = fixture.oldest_due().await;
    assert!((LEASE..LEASE + MINUTE * 10).contains(&oldest), "{oldest:?}");
}

/// However much there is, no count goes further than it was asked to.
pub async fn no_count_goes_beyond_its_bound<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (node, endpoint) = (fixture.node().await, fixture.endpoint(&tenant, &customer).await);
    for _ in 0..3 {
        let (_, row) = fixture.delivery(node, &customer, endpoint).await;
        fixture.ports().queue.park(node, vec![row]).await.unwrap();
    }
    for _ in 0..3 {
        fixture.accepted(&customer).await;
        scheduled(&fixture, &customer, fixture.now().plus(HOUR)).await;
    }
    let backlogs = &fixture.ports().backlogs;
    for most in [1, 2, 3] {
        let queue = backlogs.backlog(most).await.unwrap().queue;
        let most = u64::from(most);
        assert_eq!([queue.due, queue.scheduled, queue.parked], [most; 3]);
    }
    assert_eq!(fixture.queue_backlog().await, [3; 3]);
}

/// How far it is behind, and since when; what it could not take, without what only waits for that.
pub async fn a_subscriber_is_behind_by_events_and_by_time<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    fixture.tenant("acme").await;
    let cursors = &fixture.ports().cursors;
    assert_eq!(fixture.backlog().await.subscribers, []);
    cursors.declare(NAME, StartAt::Beginning).await.unwrap();
    harness.age(HOUR).await;
    let head = fixture.ports().events.head().await.unwrap();
    assert!(head >= 3);
    let behind = fixture.backlog().await.subscribers;
    let [behind] = &behind[..] else {
        panic!("{behind:?}")
    };
    assert_eq!((behind.subscriber.as_str(), behind.dead_letters), (NAME, 0));
    assert_eq!(behind.lag, head.unsigned_abs());
    assert!((HOUR..HOUR + MINUTE * 10).contains(&behind.age), "{behind:?}");

    let node = fixture.node().await;
    assert_eq!(cursors.take(node, &[NAME]).await.unwrap().len(), 1);
    let aside = [refused(head - 2, "b"), refused(head - 1, "a"), waiting(head, "a")];
    assert!(cursors.advance(node, NAME, head, &aside).await.unwrap());
    let done = SubscriberBacklog {
        subscriber: NAME.to_owned(),
        lag: 0,
        age: Duration::ZERO,
        dead_letters: 2,
    };
    assert_eq!(fixture.backlog().await.subscribers, [done]);
    let bounded = fixture.ports().backlogs.backlog(1).await.unwrap();
    assert_eq!(bounded.subscribers[0].dead_letters, 1, "up to a bound");
}
