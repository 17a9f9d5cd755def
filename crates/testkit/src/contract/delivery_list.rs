//! Deliveries of many messages: found by what they are looked for by, in both directions, and nobody else's.

use postrider_application::ports::{
    DeliveryFilter, DeliveryKey, DeliveryState, DeliveryViews as _, ListedDelivery, Page, PageRequest,
};
use postrider_domain::{EndpointId, MessageId, access::Visibility};

use super::{
    Customer, Fixture, Harness, Tenancy,
    paging::{first, pieces},
};

struct Scene<'h, H: Harness> {
    fixture: Fixture<'h, H>,
    tenant: Tenancy,
    customers: [Customer; 2],
    endpoints: [EndpointId; 3],
    /// Each was delivered to the first endpoint, failed at the second, and waits for another attempt at the third,
    /// which is the second application's.
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
            fixture.endpoint(&tenant, &customers[1]).await,
        ];
        let node = fixture.node().await;
        let mut messages = Vec::new();
        for _ in 0..3 {
            let [one, two, three] = endpoints;
            let (message, rows) = fixture.fanned_out(node, &customers[0], &[one, two]).await;
            let delivered = fixture.delivered(message, one);
            assert!(fixture.settle(node, rows[0], delivered).await);
            let cancelled = fixture.cancelled(message, two);
            assert!(fixture.settle(node, rows[1], cancelled).await);
            let (other, row) = fixture.delivery(node, &customers[1], three).await;
            let (failed, _) = fixture.failed(other, three);
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

/// By application, endpoint, message, status and time.
pub async fn deliveries_are_found<H: Harness>(harness: &H) {
    let scene = Scene::new(harness).await;
    let [one, two, three] = scene.endpoints;
    let all = DeliveryFilter {
        application: Some(scene.customers[0].id),
        ..DeliveryFilter::default()
    };
    let both = scene.expected(|[message, _]| vec![(*message, one), (*message, two)]);
    assert_eq!(scene.found(all.clone()).await, both);
    let of_endpoint = DeliveryFilter {
        endpoint: Some(one),
        ..all.clone()
    };
    assert_eq!(
        scene.found(of_endpoint).await,
        scene.expected(|[message, _]| vec![(*message, one)])
    );
    let delivered = DeliveryFilter {
        state: Some(DeliveryState::Delivered),
        ..all.clone()
    };
    assert_eq!(
        scene.found(delivered).await,
        scene.expected(|[message, _]| vec![(*message, one)])
    );
    let state = |state| DeliveryFilter {
        state: Some(state),
        ..DeliveryFilter::default()
    };
    let cancelled = scene.expected(|[message, _]| vec![(*message, two)]);
    assert_eq!(scene.found(state(DeliveryState::Cancelled)).await, cancelled);
    let pending = scene.expected(|[_, other]| vec![(*other, three)]);
    assert_eq!(scene.found(state(DeliveryState::Pending)).await, pending);
    assert_eq!(scene.found(state(DeliveryState::Failed)).await, []);
    let of_message = DeliveryFilter {
        message: Some(scene.messages[1][0]),
        ..DeliveryFilter::default()
    };
    assert_eq!(scene.found(of_message).await.len(), 2);

    let now = scene.fixture.now();
    let long_ago = now.minus(std::time::Duration::from_hours(9));
    for (from, to, found) in [
        (Some(long_ago), None, 3),
        (None, Some(long_ago), 0),
        (Some(now.plus(std::time::Duration::from_hours(1))), None, 0),
        (
            Some(long_ago),
            Some(now.plus(std::time::Duration::from_secs(1))),
            3,
        ),
    ] {
        for filter in [
            state(DeliveryState::Cancelled),
            DeliveryFilter {
                endpoint: Some(two),
                ..all.clone()
            },
        ] {
            let filter = DeliveryFilter { from, to, ..filter };
            assert_eq!(scene.found(filter).await.len(), found, "{from:?} {to:?}");
        }
    }
}

/// Of a message all deliveries are found, also those that wait for their first attempt; and by nobody who may not see
/// it.
pub async fn deliveries_of_a_message_are_found_before_their_first_attempt<H: Harness>(harness: &H) {
    let scene = Scene::new(harness).await;
    let [one, two, _] = scene.endpoints;
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
    let cancelled = DeliveryFilter {
        state: Some(DeliveryState::Cancelled),
        ..DeliveryFilter::default()
    };
    for (filter, count) in [(&of_application, 6), (&cancelled, 3)] {
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
