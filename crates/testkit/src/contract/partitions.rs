//! History has room for the messages that are to come.

use std::time::Duration;

use postrider_application::ports::MessageViews as _;
use postrider_domain::{MessageId, messages::Message};
use tokio::task::JoinSet;

use super::{
    Harness,
    claiming::given,
    queue_steps::{alone, is_stored, write_one},
    settling::history,
};

const DAY: Duration = Duration::from_hours(24);

/// Once room is made, messages of those days are stored with their history; several nodes may make it at once, and
/// what is there is not made again.
pub async fn history_has_room_ahead<H: Harness>(harness: &H) {
    const AHEAD: u32 = 20;
    let (fixture, tenant, customer) = given(harness).await;
    let mut makers = JoinSet::new();
    for _ in 0..3 {
        let partitions = fixture.ports().partitions.clone();
        makers.spawn(async move { partitions.make_ahead(DAY * AHEAD).await.unwrap() });
    }
    makers.join_all().await;
    let partitions = &fixture.ports().partitions;
    assert_eq!(partitions.make_ahead(DAY * AHEAD).await.unwrap(), 0);
    assert_eq!(partitions.make_ahead(Duration::ZERO).await.unwrap(), 0);

    let (node, endpoint) = (fixture.node().await, fixture.endpoint(&tenant, &customer).await);
    for days in [0, 1, AHEAD / 2, AHEAD] {
        // Not to the last moment: the store's clock is another.
        let ahead = (DAY * days).saturating_sub(Duration::from_mins(5));
        let at = fixture.now().plus(ahead).as_micros() / 1_000;
        let unique = fixture.uuid();
        let (_, random) = unique.as_bytes().split_last_chunk::<10>().unwrap();
        let at = u64::try_from(at).unwrap();
        let id = uuid::Builder::from_unix_timestamp_millis(at, random).into_uuid();
        let message = Message {
            id: MessageId::from_uuid(id),
            ..fixture.message(&customer)
        };
        let id = message.id;
        let answer = write_one(&*fixture.ports().writer, alone(message, None)).await;
        assert!(is_stored(&answer), "{answer:?}");
        let work = fixture.fan_out_to(node, id, endpoint).await;
        assert!(fixture.settle(node, work, fixture.delivered(id, endpoint)).await);
        let seen = history(&fixture, &tenant, &customer, id, endpoint).await;
        assert_eq!(seen, (Some(("delivered", 1)), 1), "in {days} days");
        let payload = fixture.store().payload(&tenant.scope, customer.id, id).await;
        assert!(payload.unwrap().is_some());
    }
}
