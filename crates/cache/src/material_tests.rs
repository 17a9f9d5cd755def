use postrider_domain::endpoints::{CustomHeaders, HeaderName, HeaderValue};

use super::*;
use crate::test_support::{FakeMaterial, TestClock, application, endpoint_set, poll_once, tenant};

/// Long, as moka has a clock of its own: only the test's may matter.
const TTL: Duration = Duration::from_hours(1);

struct Scene {
    cached: CachedMaterial<FakeMaterial>,
    clock: Arc<TestClock>,
}

impl Scene {
    fn new() -> Self {
        Self::of(MaterialCacheOptions {
            ttl: TTL,
            ..MaterialCacheOptions::default()
        })
    }

    fn of(options: MaterialCacheOptions) -> Self {
        let clock = Arc::<TestClock>::default();
        let cached = CachedMaterial::new(Arc::default(), options, clock.clone());
        Self { cached, clock }
    }

    fn stored(&self, app: u128, version: i64) {
        let set = endpoint_set(version, 2);
        self.cached.inner().set(tenant(1), application(app), set);
    }

    async fn read(&self, app: u128) {
        self.cached
            .endpoints(&[(tenant(1), application(app))])
            .await
            .unwrap();
    }

    /// Stored and read.
    async fn known(&self, app: u128, version: i64) {
        self.stored(app, version);
        self.read(app).await;
    }

    /// The version that is remembered, if it is at least that one.
    fn recalled(&self, app: u128, at_least: i64) -> Option<i64> {
        let set = self.cached.recall(application(app), at_least)?;
        Some(set.version)
    }

    /// Closes the gate: what is read from now on waits there, having read.
    fn close(&self) {
        self.cached.inner().gate.forget_permits(FakeMaterial::OPEN);
    }

    fn let_through(&self, reads: usize) {
        self.cached.inner().gate.add_permits(reads);
    }
}

#[tokio::test]
async fn what_was_read_is_recalled_if_it_is_new_enough() {
    let scene = Scene::new();
    assert_eq!(scene.recalled(1, 0), None);
    scene.known(1, 5).await;
    scene.known(2, 3).await;
    for at_least in [0, 4, 5] {
        assert_eq!(scene.recalled(1, at_least), Some(5), "{at_least}");
    }
    assert_eq!(scene.recalled(1, 6), None);
    assert_eq!((scene.recalled(2, 3), scene.recalled(2, 5)), (Some(3), None));
    assert_eq!(scene.cached.inner().loads(), 2, "recalling reads nothing");
}

#[tokio::test]
async fn who_asks_for_endpoints_reads_them() {
    let scene = Scene::new();
    scene.known(1, 5).await;
    scene.stored(1, 6);
    let key = (tenant(1), application(1));
    let found = scene.cached.endpoints(&[key]).await.unwrap();
    assert_eq!(found[&application(1)].version, 6);
    assert_eq!(scene.cached.inner().loads(), 2);
    let recalled = scene.cached.recall(application(1), 6).unwrap();
    assert!(
        Arc::ptr_eq(&recalled, &found[&application(1)]),
        "shared, not copied"
    );
}

/// As when two read at the same time, and the first to read is the last to answer.
#[tokio::test]
async fn an_older_set_does_not_replace_a_newer_one() {
    let scene = Scene::new();
    scene.known(1, 6).await;
    scene.known(1, 5).await;
    assert_eq!(scene.recalled(1, 0), Some(6));
    scene.known(1, 7).await;
    assert_eq!(scene.recalled(1, 0), Some(7));
}

#[tokio::test]
async fn a_set_is_remembered_for_its_time_from_before_it_was_read() {
    let scene = Scene::new();
    scene.stored(1, 5);
    scene.close();
    let mut read = Box::pin(scene.read(1));
    assert!(poll_once(&mut read).is_pending());
    scene.clock.advance(TTL / 2);
    scene.let_through(1);
    read.await;
    scene
        .clock
        .advance((TTL / 2).saturating_sub(Duration::from_nanos(1)));
    assert_eq!(scene.recalled(1, 5), Some(5));
    scene.clock.advance(Duration::from_nanos(1));
    assert_eq!(scene.recalled(1, 5), None);
}

#[tokio::test]
async fn reading_the_same_version_again_begins_its_time_anew() {
    let scene = Scene::new();
    scene.known(1, 5).await;
    scene.clock.advance(TTL / 2);
    scene.read(1).await;
    scene.clock.advance(TTL / 2);
    assert_eq!(scene.recalled(1, 5), Some(5));
}

/// After a database was restored to an earlier time, versions begin again where they were.
#[tokio::test]
async fn a_newer_set_whose_time_is_over_is_in_nobodys_way() {
    let scene = Scene::new();
    scene.known(1, 9).await;
    scene.clock.advance(TTL);
    scene.known(1, 5).await;
    assert_eq!(scene.recalled(1, 0), Some(5));

    scene.known(2, 9).await;
    scene.cached.sets().invalidate_tenant(tenant(1));
    scene.known(2, 5).await;
    assert_eq!(scene.recalled(2, 0), Some(5), "nor is one that was invalidated");
}

#[tokio::test]
async fn invalidating_forgets_what_it_names() {
    let [app, other] = [1, 2];
    for (what, left) in [
        ("application", [false, true, true]),
        ("tenant", [false, false, true]),
        ("all", [false; 3]),
    ] {
        let scene = Scene::new();
        scene.known(app, 5).await;
        scene.known(other, 5).await;
        let theirs = (tenant(2), application(3));
        scene.cached.inner().set(theirs.0, theirs.1, endpoint_set(5, 1));
        scene.cached.endpoints(&[theirs]).await.unwrap();
        match what {
            "application" => scene.cached.sets().invalidate_application(application(app)),
            "tenant" => scene.cached.sets().invalidate_tenant(tenant(1)),
            _ => scene.cached.sets().invalidate_all(),
        }
        let kept = [app, other, 3].map(|app| scene.recalled(app, 0).is_some());
        assert_eq!(kept, left, "{what}");
        scene.read(app).await;
        assert_eq!(
            scene.recalled(app, 0),
            Some(5),
            "what is read after {what} is remembered"
        );
    }
}

#[tokio::test]
async fn what_is_being_read_while_it_is_invalidated_is_not_kept() {
    for what in ["application", "tenant", "all"] {
        let scene = Scene::new();
        scene.stored(1, 5);
        scene.close();
        let mut read = Box::pin(scene.read(1));
        assert!(poll_once(&mut read).is_pending());
        match what {
            "application" => scene.cached.sets().invalidate_application(application(1)),
            "tenant" => scene.cached.sets().invalidate_tenant(tenant(1)),
            _ => scene.cached.sets().invalidate_all(),
        }
        scene.let_through(2);
        read.await;
        assert_eq!(scene.recalled(1, 0), None, "{what}");
        scene.read(1).await;
        assert_eq!(scene.recalled(1, 0), Some(5), "{what}");
    }
}

#[tokio::test]
async fn an_application_that_is_gone_is_forgotten() {
    let scene = Scene::new();
    scene.known(1, 5).await;
    scene.known(2, 5).await;
    scene.cached.inner().clear();
    scene.stored(2, 5);
    let keys = [(tenant(1), application(1)), (tenant(1), application(2))];
    assert_eq!(scene.cached.endpoints(&keys).await.unwrap().len(), 1);
    assert_eq!((scene.recalled(1, 0), scene.recalled(2, 0)), (None, Some(5)));
}

#[tokio::test]
async fn a_failure_is_told_and_changes_nothing() {
    let scene = Scene::new();
    scene.known(1, 5).await;
    scene.cached.inner().go_away();
    let failed = scene.cached.endpoints(&[(tenant(1), application(1))]).await;
    assert!(matches!(failed, Err(StoreError::Unavailable(_))), "{failed:?}");
    assert_eq!(scene.recalled(1, 5), Some(5));
}

#[tokio::test]
async fn no_more_endpoints_are_remembered_than_asked_for() {
    let scene = Scene::of(MaterialCacheOptions {
        ttl: TTL,
        max_endpoints: 100,
    });
    let recalled = |apps: std::ops::Range<u128>| apps.filter(|app| scene.recalled(*app, 0).is_some()).count();
    for app in 0..200 {
        // Two endpoints each.
        scene.known(app, 1).await;
    }
    scene.cached.sets.sets.run_pending_tasks();
    let kept = recalled(0..200);
    assert!((1..=50).contains(&kept), "{kept}");

    scene.cached.sets().invalidate_all();
    for app in 0..200 {
        scene
            .cached
            .inner()
            .set(tenant(1), application(app), endpoint_set(1, 0));
        scene.read(app).await;
    }
    scene.cached.sets.sets.run_pending_tasks();
    let kept = recalled(0..200);
    assert!(
        (51..=100).contains(&kept),
        "an empty set weighs something, too: {kept}"
    );
}

/// A tenant that fills its endpoints' headers does not get more memory for it.
#[tokio::test]
async fn an_endpoint_counts_for_what_its_tenant_wrote() {
    let scene = Scene::of(MaterialCacheOptions {
        ttl: TTL,
        max_endpoints: 100,
    });
    let value = HeaderValue::parse(&"x".repeat(HeaderValue::MAX_CHARS), false).unwrap();
    let named = |n: usize| (HeaderName::parse(&format!("x-{n}")).unwrap(), value.clone());
    let headers = CustomHeaders::new((0..CustomHeaders::MAX).map(named).collect()).unwrap();
    let mut set = EndpointSet::clone(&endpoint_set(1, 1));
    let mut endpoint = DeliverableEndpoint::clone(&set.endpoints[0]);
    endpoint.headers = Some(Arc::new(headers));
    set.endpoints = vec![Arc::new(endpoint)];
    let set = Arc::new(set);
    for app in 0..50 {
        scene.cached.inner().set(tenant(1), application(app), set.clone());
        scene.read(app).await;
    }
    scene.cached.sets.sets.run_pending_tasks();
    // More than 20 KiB each.
    let kept = (0..50).filter(|app| scene.recalled(*app, 0).is_some()).count();
    assert!((1..=4).contains(&kept), "{kept}");
}

#[tokio::test]
async fn without_a_time_nothing_is_remembered() {
    let scene = Scene::of(MaterialCacheOptions {
        ttl: Duration::ZERO,
        ..MaterialCacheOptions::default()
    });
    scene.known(1, 5).await;
    assert_eq!(scene.recalled(1, 0), None);
}

#[tokio::test]
async fn messages_are_asked_for_each_time() {
    let scene = Scene::new();
    let keys = [(tenant(1), MessageId::from_uuid(uuid::Uuid::from_u128(1)))];
    for _ in 0..2 {
        let StoreError::Unavailable(said) = scene.cached.messages(&keys).await.unwrap_err() else {
            panic!("another error");
        };
        assert_eq!(said.to_string(), "1 asked for");
    }
}
