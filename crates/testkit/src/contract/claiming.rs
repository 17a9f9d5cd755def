//! Claiming: each row has one holder, the longest due goes first, and what is not due waits.

use std::{collections::HashSet, time::Duration};

use postrider_application::ports::{ClaimedWork, ErasureStep, WorkRef};
use postrider_domain::{MessageId, WorkId};
use tokio::task::JoinSet;

use super::{
    Customer, Fixture, Harness, Tenancy,
    queue_steps::{FROM_QUEUE, WAIT},
};

pub(super) async fn given<H: Harness>(harness: &H) -> (Fixture<'_, H>, Tenancy, Customer) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    (fixture, tenant, customer)
}

fn messages(rows: &[ClaimedWork]) -> Vec<MessageId> {
    rows.iter().map(|row| row.message).collect()
}

/// A claimed fan-out says everything about itself.
pub async fn a_claimed_row_says_what_it_is<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let node = fixture.node().await;
    let message = fixture.accepted(&customer).await;
    let row = fixture.claim_one(node).await;
    let work = WorkRef {
        id: WorkId::from(message),
        claim: 1,
    };
    assert_eq!(row.work, work);
    assert_eq!((row.tenant, row.application), (tenant.id, customer.id));
    assert_eq!((row.message, row.endpoint), (message, None));
    assert_eq!((row.attempts, row.failures), (0, 0));
    assert_eq!((row.asked_for, row.asked_in), (false, None));
}

/// Of racing claimers exactly one gets a row, and no row is left.
pub async fn racing_claimers_share_no_row<H: Harness>(harness: &H) {
    const ROWS: usize = 60;
    let (fixture, _, customer) = given(harness).await;
    let mut accepted = HashSet::new();
    for _ in 0..ROWS {
        accepted.insert(fixture.accepted(&customer).await);
    }
    let mut racers = JoinSet::new();
    for _ in 0..8 {
        let (queue, node) = (fixture.ports().queue.clone(), fixture.node().await);
        racers.spawn(async move {
            let mut mine = Vec::new();
            loop {
                let rows = queue.claim(node, FROM_QUEUE, 7).await.unwrap();
                assert!(rows.len() <= 7);
                if rows.is_empty() {
                    return mine;
                }
                mine.extend(rows);
            }
        });
    }
    let claimed = racers.join_all().await.concat();
    assert!(claimed.iter().all(|row| row.work.claim == 1));
    assert_eq!(claimed.len(), ROWS, "no row twice");
    assert_eq!(messages(&claimed).into_iter().collect::<HashSet<_>>(), accepted);
}

/// The longest due goes first, and never more than asked for.
pub async fn the_longest_due_goes_first<H: Harness>(harness: &H) {
    let (fixture, _, customer) = given(harness).await;
    let (node, queue) = (fixture.node().await, &fixture.ports().queue);
    let mut accepted = Vec::new();
    for _ in 0..4 {
        accepted.push(fixture.accepted(&customer).await);
        harness.age(Duration::from_secs(1)).await;
    }
    assert!(queue.claim(node, FROM_QUEUE, 0).await.unwrap().is_empty());
    let rows = queue.claim(node, FROM_QUEUE, 3).await.unwrap();
    assert_eq!(messages(&rows), accepted[..3]);
    assert!(rows.is_sorted_by_key(|row| row.due_at));
    assert!(
        rows.is_sorted_by_key(|row| row.seq),
        "accepted one after the other"
    );
    let rows = queue.claim(node, FROM_QUEUE, 3).await.unwrap();
    assert_eq!(messages(&rows), accepted[3..]);
    assert!(fixture.claim(node).await.is_empty());
}

/// What is not due is not claimed; when its time has come it is.
pub async fn what_is_not_due_is_not_claimed<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let node = fixture.node().await;
    let endpoint = fixture.endpoint(&tenant, &customer).await;
    let (message, work) = fixture.delivery(node, &customer, endpoint).await;
    let (settled, retry) = fixture.failed(message, endpoint);
    assert!(fixture.settle(node, work, settled).await);

    assert!(fixture.claim(node).await.is_empty());
    harness.age(Duration::from_mins(4)).await;
    assert!(fixture.claim(node).await.is_empty());
    harness.age(Duration::from_mins(1)).await;
    let row = fixture.claim_one(node).await;
    assert_eq!(row.work, WorkRef { id: retry, claim: 1 });
}

/// How long until the next row is due: of those that nobody holds.
pub async fn the_next_due_time_is_known<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (node, queue) = (fixture.node().await, &fixture.ports().queue);
    assert_eq!(queue.next_due(None).await.unwrap(), None, "the queue is empty");

    let endpoint = fixture.endpoint(&tenant, &customer).await;
    let (message, work) = fixture.delivery(node, &customer, endpoint).await;
    assert_eq!(queue.next_due(None).await.unwrap(), None, "its only row is held");

    let (settled, _) = fixture.failed(message, endpoint);
    assert!(fixture.settle(node, work, settled).await);
    let wait = queue.next_due(None).await.unwrap().unwrap();
    assert!(wait <= WAIT && wait > Duration::from_mins(4), "{wait:?}");

    fixture.accepted(&customer).await;
    assert_eq!(
        queue.next_due(None).await.unwrap(),
        Some(Duration::ZERO),
        "the earliest counts"
    );
    fixture.claim_one(node).await;
    harness.age(WAIT * 2).await;
    assert_eq!(
        queue.next_due(None).await.unwrap(),
        Some(Duration::ZERO),
        "overdue is due"
    );
}

/// A row that is handed back is anybody's at once, under a higher claim number.
pub async fn a_row_handed_back_is_claimed_anew<H: Harness>(harness: &H) {
    let (fixture, _, customer) = given(harness).await;
    let (node, other) = (fixture.node().await, fixture.node().await);
    fixture.accepted(&customer).await;
    let row = fixture.claim_one(node).await;
    assert!(fixture.claim(other).await.is_empty());

    fixture
        .ports()
        .queue
        .hand_back(node, vec![row.work])
        .await
        .unwrap();
    let again = fixture.claim_one(other).await;
    let expected = WorkRef {
        id: row.work.id,
        claim: 2,
    };
    assert_eq!(again.work, expected);
    assert_eq!((again.seq, again.message), (row.seq, row.message));
}

/// Nobody hands back what they do not hold.
pub async fn only_the_holder_hands_back<H: Harness>(harness: &H) {
    let (fixture, _, customer) = given(harness).await;
    let (node, other) = (fixture.node().await, fixture.node().await);
    let queue = &fixture.ports().queue;
    fixture.accepted(&customer).await;
    let row = fixture.claim_one(node).await;
    let earlier = WorkRef {
        claim: row.work.claim - 1,
        ..row.work
    };
    queue.hand_back(other, vec![row.work]).await.unwrap();
    queue.hand_back(node, vec![earlier]).await.unwrap();
    queue.hand_back(node, Vec::new()).await.unwrap();
    assert!(fixture.claim(other).await.is_empty());
}

/// Of many rows, a node is told which it still holds: not those that it gave back, claimed earlier or settled, that
/// are another's, or that never were.
pub async fn a_node_learns_which_rows_it_still_holds<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (node, other) = (fixture.node().await, fixture.node().await);
    let queue = &fixture.ports().queue;
    let endpoint = fixture.endpoint(&tenant, &customer).await;
    let (_, held) = fixture.delivery(node, &customer, endpoint).await;
    let (message, settled) = fixture.delivery(node, &customer, endpoint).await;
    assert!(
        fixture
            .settle(node, settled, fixture.delivered(message, endpoint))
            .await
    );
    let (_, foreign) = fixture.delivery(other, &customer, endpoint).await;
    fixture.accepted(&customer).await;
    let earlier = fixture.claim_one(node).await.work;
    queue.hand_back(node, vec![earlier]).await.unwrap();
    let again = fixture.claim_one(node).await.work;
    let (_, returned) = fixture.delivery(node, &customer, endpoint).await;
    queue.hand_back(node, vec![returned]).await.unwrap();
    let unknown = WorkRef {
        id: fixture.work_id(),
        claim: 1,
    };

    let rows = [held, settled, foreign, returned, unknown];
    assert_eq!(queue.still_held(node, &rows).await.unwrap(), [held.id]);
    assert!(queue.still_held(node, &[earlier]).await.unwrap().is_empty());
    let found = queue.still_held(node, &[held, again]).await.unwrap();
    assert_eq!(
        found.into_iter().collect::<HashSet<_>>(),
        HashSet::from([held.id, again.id])
    );
    assert_eq!(queue.still_held(other, &rows).await.unwrap(), [foreign.id]);
    assert!(queue.still_held(node, &[]).await.unwrap().is_empty());
}

/// Rows of a tenant that is to be deleted are nobody's to work any more, whether the eraser was here or not.
pub async fn rows_of_a_tenant_to_be_deleted_are_held_no_more<H: Harness>(harness: &H) {
    const GRACE: Duration = Duration::from_hours(1);
    let (fixture, ours, customer) = given(harness).await;
    let theirs = fixture.tenant("theirs").await;
    let their_customer = fixture.application(&theirs).await;
    let node = fixture.node().await;
    fixture.accepted(&customer).await;
    let our_row = fixture.claim_one(node).await.work;
    fixture.accepted(&their_customer).await;
    let their_row = fixture.claim_one(node).await.work;
    let (queue, rows) = (&fixture.ports().queue, [our_row, their_row]);
    fixture.suspend(&ours, fixture.now()).await;
    assert_eq!(queue.still_held(node, &rows).await.unwrap().len(), 2);

    fixture.order_deletion(&ours, fixture.now()).await;
    assert_eq!(queue.still_held(node, &rows).await.unwrap(), [their_row.id]);
    let step = fixture.ports().housekeeping.erase(100, GRACE).await.unwrap();
    let tenant = ours.id;
    assert_eq!(step, ErasureStep::Removed { tenant, rows: 1 });
    assert_eq!(queue.still_held(node, &rows).await.unwrap(), [their_row.id]);
}
