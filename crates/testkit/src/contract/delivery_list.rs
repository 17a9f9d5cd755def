//! Deliveries of many messages: found by what they are looked for by, in both directions, and nobody else's.

use std::{collections::HashSet, time::Duration};

use postrider_application::ports::{
    DeliveryFilter, DeliveryKey, DeliveryState, DeliveryViews as _, ListedDelivery, MessageViews as _, Page,
    PageRequest,
};
use postrider_domain::{EndpointId, MessageId, Timestamp, access::Visibility};

use super::{
    Customer, Fixture, Harness, Tenancy,
    paging::{first, pieces},
};

struct Scene<'h, H: Harness> {
    fixture: Fixture<'h, H>,
    tenant: Tenancy,
    customers: [Customer; 2],
    /// Three of the first application, one of the second.
    endpoints: [EndpointId; 4],
    /// One of each application: delivered to the first endpoint, failed at the second, not wanted by the third any more;
    /// and to be attempted again at the fourth.
    messages: Vec<[MessageId; 2]>,
}

impl<'h, H: Harness> Scene<'h, H> {
    async fn new(harness: &'h H) -> Self {
        let fixture = Fixture::new(harness);
        let tenant = fixture.tenant("acme").await;
        let customers = [
            fixture.application(&tenant).await,
            fixture.application(&tenant).await,
        ];
        let endpoints = [
            fixture.endpoint(&tenant, &customers[0]).await,
            fixture.endpoint(&tenant, &customers[0]).await,
            fixture.endpoint(&tenant, &customers[0]).await,
            fixture.endpoint(&tenant, &customers[1]).await,
        ];
        let node = fixture.node().await;
        let mut messages = Vec::new();
        for _ in 0..3 {
            let [one, two, three, four] = endpoints;
            let (message, rows) = fixture.fanned_out(node, &customers[0], &[one, two, three]).await;
            let ends = [
                fixture.delivered(message, one),
                fixture.given_up(message, two),
                fixture.cancelled(message, three),
            ];
            for (row, concluded) in rows.into_iter().zip(ends) {
                assert!(fixture.settle(node, row, concluded).await);
            }
            let (other, row) = fixture.delivery(node, &customers[1], four).await;
            let (failed, _) = fixture.failed(other, four);
            assert!(fixture.settle(node, row, failed).await);
            messages.push([message, other]);
        }
        Self {
            fixture,
            tenant,
            customers,
            endpoints,
            messages,
        }
    }

    async fn page(
        &self,
        tenant: &Tenancy,
        visible: &Visibility,
        filter: &DeliveryFilter,
        page: PageRequest<DeliveryKey>,
    ) -> Page<ListedDelivery, DeliveryKey> {
        let store = self.fixture.store();
        let page = store
            .search_deliveries(&tenant.scope, visible, filter, page)
            .await
            .unwrap();
        assert!(page.items.iter().all(|item| visible.shows(item.application)));
        page
    }

    async fn found(&self, filter: DeliveryFilter) -> Vec<(MessageId, EndpointId)> {
        let page = self.page(&self.tenant, &Visibility::All, &filter, first()).await;
        keys(&page.items)
    }

    /// The expected ones, newest message first.
    fn expected(
        &self,
        which: impl Fn(&[MessageId; 2]) -> Vec<(MessageId, EndpointId)>,
    ) -> Vec<(MessageId, EndpointId)> {
        let mut all: Vec<_> = self.messages.iter().flat_map(which).collect();
        all.sort();
        all.reverse();
        all
    }
}

fn keys(items: &[ListedDelivery]) -> Vec<(MessageId, EndpointId)> {
    items
        .iter()
        .map(|item| (item.delivery.message, item.delivery.endpoint))
        .collect()
}

/// Those in that state.
fn in_state(state: DeliveryState) -> DeliveryFilter {
    DeliveryFilter {
        state: Some(state),
        ..DeliveryFilter::default()
    }
}

/// By application, endpoint, message and state.
pub async fn deliveries_are_found<H: Harness>(harness: &H) {
    let scene = Scene::new(harness).await;
    let [one, two, three, four] = scene.endpoints;
    let to = |endpoint| scene.expected(|[message, _]| vec![(*message, endpoint)]);
    let of_application = DeliveryFilter {
        application: Some(scene.customers[0].id),
        ..DeliveryFilter::default()
    };
    let all = scene.expected(|[message, _]| [one, two, three].map(|to| (*message, to)).to_vec());
    assert_eq!(scene.found(of_application.clone()).await, all);
    for (endpoint, state) in [
        (one, DeliveryState::Delivered),
        (two, DeliveryState::Failed),
        (three, DeliveryState::Cancelled),
    ] {
        let of_endpoint = DeliveryFilter {
            endpoint: Some(endpoint),
            ..of_application.clone()
        };
        assert_eq!(scene.found(of_endpoint.clone()).await, to(endpoint));
        for wanted in DeliveryState::ALL {
            let found = scene
                .found(DeliveryFilter {
                    state: Some(wanted),
                    ..of_endpoint.clone()
                })
                .await;
            let expected = if wanted == state { to(endpoint) } else { vec![] };
            assert_eq!(found, expected, "{wanted:?} of {state:?}");
        }
    }
    let pending = scene.expected(|[_, other]| vec![(*other, four)]);
    assert_eq!(scene.found(in_state(DeliveryState::Pending)).await, pending);
    assert_eq!(scene.found(in_state(DeliveryState::Failed)).await, to(two));
    assert_eq!(scene.found(in_state(DeliveryState::Cancelled)).await, to(three));
    let message = scene.messages[1][0];
    let of_message = DeliveryFilter {
        message: Some(message),
        ..DeliveryFilter::default()
    };
    let mut expected = vec![(message, one), (message, two), (message, three)];
    expected.sort();
    expected.reverse();
    assert_eq!(scene.found(of_message).await, expected);
}

/// Those of messages that were accepted at a time or later, and before a time; in whichever way they are looked for.
pub async fn deliveries_are_found_by_the_time_of_their_message<H: Harness>(harness: &H) {
    let scene = Scene::new(harness).await;
    let (store, application) = (scene.fixture.store(), scene.customers[0].id);
    let mut accepted = Vec::new();
    for [message, _] in &scene.messages {
        let view = store.message(&scene.tenant.scope, application, *message).await;
        accepted.push((*message, view.unwrap().unwrap().created_at));
    }
    let moment = Duration::from_micros(1);
    let times = accepted.iter().flat_map(|(_, at)| [*at, at.plus(moment)]);
    let times: Vec<_> = times.map(Some).chain([None]).collect();
    for from in &times {
        for to in &times {
            let between = |(_, at): &&(MessageId, Timestamp)| {
                from.is_none_or(|from| *at >= from) && to.is_none_or(|to| *at < to)
            };
            let expected: HashSet<_> = accepted.iter().filter(between).map(|(id, _)| *id).collect();
            let of_first = DeliveryFilter {
                application: Some(application),
                endpoint: Some(scene.endpoints[0]),
                ..DeliveryFilter::default()
            };
            for filter in [of_first, in_state(DeliveryState::Failed)] {
                let (from, to) = (*from, *to);
                let found = scene.found(DeliveryFilter { from, to, ..filter }).await;
                let found: HashSet<_> = found.into_iter().map(|(message, _)| message).collect();
                assert_eq!(found, expected, "{from:?} {to:?}");
            }
            let (message, at) = accepted[1];
            let of_message = DeliveryFilter {
                message: Some(message),
                from: *from,
                to: *to,
                ..DeliveryFilter::default()
            };
            let found = scene.found(of_message).await;
            assert_eq!(found.len(), 3 * usize::from(between(&&(message, at))));
        }
    }
}

/// Of a message all deliveries are found, also those that wait for their first attempt; and by nobody who may not see
/// it.
pub async fn deliveries_of_a_message_are_found_before_their_first_attempt<H: Harness>(harness: &H) {
    let scene = Scene::new(harness).await;
    let [one, two, ..] = scene.endpoints;
    let node = scene.fixture.node().await;
    let customer = &scene.customers[0];
    let (message, rows) = scene.fixture.fanned_out(node, customer, &[one, two]).await;
    let delivered = scene.fixture.delivered(message, one);
    assert!(scene.fixture.settle(node, rows[0], delivered).await);
    let of_message = DeliveryFilter {
        message: Some(message),
        ..DeliveryFilter::default()
    };
    let mut both = vec![(message, one), (message, two)];
    both.sort();
    both.reverse();
    assert_eq!(scene.found(of_message.clone()).await, both);
    for (state, found) in [(DeliveryState::Pending, two), (DeliveryState::Delivered, one)] {
        let filter = DeliveryFilter {
            state: Some(state),
            ..of_message.clone()
        };
        assert_eq!(scene.found(filter).await, [(message, found)]);
    }
    let all = scene
        .page(&scene.tenant, &Visibility::All, &of_message, first())
        .await
        .items;
    let one_by_one = pieces(1, async |page| {
        scene
            .page(&scene.tenant, &Visibility::All, &of_message, page)
            .await
    })
    .await;
    assert_eq!(one_by_one.concat(), all);
    let others = Visibility::Only(vec![scene.customers[1].id]);
    let hidden = scene.page(&scene.tenant, &others, &of_message, first()).await;
    assert!(hidden.items.is_empty());
    let stranger = scene.fixture.tenant("stranger").await;
    let theirs = scene
        .page(&stranger, &Visibility::All, &of_message, first())
        .await;
    assert!(theirs.items.is_empty());
}

/// Piece by piece, there and back; only of applications that may be seen, and of no other tenant.
pub async fn deliveries_are_listed_both_ways<H: Harness>(harness: &H) {
    let scene = Scene::new(harness).await;
    let stranger = scene.fixture.tenant("stranger").await;
    let of_application = DeliveryFilter {
        application: Some(scene.customers[0].id),
        ..DeliveryFilter::default()
    };
    let cancelled = in_state(DeliveryState::Cancelled);
    for (filter, count) in [(&of_application, 9), (&cancelled, 3)] {
        let all = scene
            .page(&scene.tenant, &Visibility::All, filter, first())
            .await
            .items;
        assert_eq!(all.len(), count);
        for limit in [1, 2, 4] {
            let pieces = pieces(limit, async |page| {
                scene.page(&scene.tenant, &Visibility::All, filter, page).await
            })
            .await;
            assert_eq!(pieces.concat(), all);
        }
        for (visible, seen) in [
            (vec![scene.customers[0].id], count),
            (vec![scene.customers[1].id], 0),
            (Vec::new(), 0),
        ] {
            let visible = Visibility::Only(visible);
            let found = scene.page(&scene.tenant, &visible, filter, first()).await.items;
            assert_eq!(found.len(), seen);
        }
        let theirs = scene.page(&stranger, &Visibility::All, filter, first()).await;
        assert!(theirs.items.is_empty());
    }
}
