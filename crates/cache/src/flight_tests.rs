use super::*;
use crate::test_support::{TestClock, poll_once};
use std::{
    error::Error as _,
    sync::atomic::{AtomicU32, Ordering},
};
use tokio::sync::Semaphore;

type TestFlights = Flights<&'static str, u32>;

/// Long, as moka has a clock of its own: only the test's may matter.
const TTL: Duration = Duration::from_hours(1);

/// A source whose loads wait at a gate, after having read.
struct Source {
    value: AtomicU32,
    loads: AtomicU32,
    gate: Semaphore,
}

impl Source {
    fn of(value: u32) -> Self {
        Self {
            value: AtomicU32::new(value),
            loads: AtomicU32::new(0),
            gate: Semaphore::new(0),
        }
    }

    fn open(value: u32) -> Self {
        let source = Self::of(value);
        source.gate.add_permits(1_000);
        source
    }

    fn set(&self, value: u32) {
        self.value.store(value, Ordering::SeqCst);
    }

    fn loads(&self) -> u32 {
        self.loads.load(Ordering::SeqCst)
    }

    /// Reads (0 is absent), waits at the gate, and answers what it read.
    async fn read(&self) -> Result<Option<u32>, StoreError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        let read = self.value.load(Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        Ok((read != 0).then_some(read))
    }
}

fn flights() -> (TestFlights, Arc<TestClock>) {
    let clock = Arc::new(TestClock::default());
    (
        Flights::new(
            "test",
            CacheOptions {
                ttl: TTL,
                max_entries: 100,
            },
            clock.clone(),
        ),
        clock,
    )
}

async fn get(flights: &TestFlights, source: &Source) -> Option<u32> {
    flights
        .get(&"k", "k", || source.read())
        .await
        .unwrap()
        .map(|value| *value)
}

#[tokio::test]
async fn a_hit_loads_nothing_and_keys_are_kept_apart() {
    let (flights, _) = flights();
    let source = Source::open(1);
    assert_eq!(get(&flights, &source).await, Some(1));
    source.set(2);
    assert_eq!(get(&flights, &source).await, Some(1));
    assert_eq!(source.loads(), 1);
    assert_eq!(
        flights
            .get(&"k", "other", || source.read())
            .await
            .unwrap()
            .as_deref(),
        Some(&2)
    );
}

#[tokio::test]
async fn callers_that_miss_together_share_one_load() {
    let (flights, _) = flights();
    let source = Source::of(7);
    let mut callers: Vec<_> = (0..10).map(|_| Box::pin(get(&flights, &source))).collect();
    assert!(callers.iter_mut().all(|caller| poll_once(caller).is_pending()));
    assert_eq!(source.loads(), 1);
    source.gate.add_permits(1);
    for caller in callers {
        assert_eq!(caller.await, Some(7));
    }
    assert_eq!(source.loads(), 1);
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_take_the_others_with_it() {
    let (flights, _) = flights();
    let source = Source::of(7);
    let mut first = Box::pin(get(&flights, &source));
    let mut second = Box::pin(get(&flights, &source));
    assert!(poll_once(&mut first).is_pending() && poll_once(&mut second).is_pending());
    drop(first);
    source.gate.add_permits(1);
    assert_eq!(second.await, Some(7));
}

#[tokio::test]
async fn absence_is_not_kept() {
    let (flights, _) = flights();
    let source = Source::open(0);
    assert_eq!(get(&flights, &source).await, None);
    source.set(1);
    assert_eq!(get(&flights, &source).await, Some(1));
}

#[tokio::test]
async fn errors_are_shared_with_their_causes_and_not_kept() {
    let (flights, _) = flights();
    let gate = Semaphore::new(0);
    let failing = || async {
        let _ = gate.acquire().await;
        Err(StoreError::Unavailable(Box::new(std::io::Error::other(
            "connection refused",
        ))))
    };
    let mut both = [(); 2].map(|()| Box::pin(flights.get(&"k", "k", failing)));
    assert!(both.iter_mut().all(|caller| poll_once(caller).is_pending()));
    gate.add_permits(1);
    for caller in both {
        let error = caller.await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)));
        assert_eq!(error.source().unwrap().to_string(), "connection refused");
    }
    assert_eq!(get(&flights, &Source::open(1)).await, Some(1));
}

#[tokio::test]
async fn an_invalidated_entry_is_loaded_again() {
    let (flights, _) = flights();
    let source = Source::open(1);
    assert_eq!(get(&flights, &source).await, Some(1));
    source.set(2);
    flights.invalidate(&"k");
    assert_eq!(get(&flights, &source).await, Some(2));
    source.set(3);
    flights.invalidate_all();
    assert_eq!(get(&flights, &source).await, Some(3));
    assert_eq!(source.loads(), 3);
}

#[tokio::test]
async fn an_invalidation_during_a_load_leaves_no_stale_entry() {
    for invalidate in [
        |flights: &TestFlights| flights.invalidate(&"k"),
        |flights: &TestFlights| flights.invalidate_all(),
    ] {
        let (flights, _) = flights();
        let source = Source::of(1);
        let mut early = Box::pin(get(&flights, &source));
        assert!(poll_once(&mut early).is_pending());
        // It has read 1. Now the value changes, and the change is told.
        source.set(2);
        invalidate(&flights);
        // Whoever asks from now on neither joins the old load...
        let mut late = Box::pin(get(&flights, &source));
        assert!(poll_once(&mut late).is_pending());
        assert_eq!(source.loads(), 2);
        source.gate.add_permits(2);
        assert_eq!(late.await, Some(2));
        // ... nor finds what it read, although it ends last.
        assert_eq!(early.await, Some(1));
        assert_eq!(get(&flights, &source).await, Some(2));
        assert_eq!(source.loads(), 2);
    }
}

#[tokio::test]
async fn an_overtaken_load_that_ends_first_is_not_found_either() {
    let (flights, _) = flights();
    let source = Source::of(1);
    let mut early = Box::pin(get(&flights, &source));
    assert!(poll_once(&mut early).is_pending());
    source.set(2);
    flights.invalidate(&"k");
    source.gate.add_permits(1);
    assert_eq!(early.await, Some(1));
    source.gate.add_permits(1);
    assert_eq!(get(&flights, &source).await, Some(2));
    flights.entries.run_pending_tasks().await;
    assert_eq!(
        flights.entries.entry_count(),
        1,
        "the overtaken one takes no room"
    );
}

#[tokio::test]
async fn an_entry_ends_by_itself_counted_from_before_it_was_read() {
    let (flights, clock) = flights();
    let source = Source::of(1);
    let mut slow = Box::pin(get(&flights, &source));
    assert!(poll_once(&mut slow).is_pending());
    clock.advance(TTL.saturating_sub(Duration::from_secs(1)));
    source.set(2);
    source.gate.add_permits(1);
    assert_eq!(slow.await, Some(1));
    clock.advance(Duration::from_millis(999));
    assert_eq!(
        get(&flights, &source).await,
        Some(1),
        "it was read less than the time to live ago"
    );
    clock.advance(Duration::from_millis(1));
    source.gate.add_permits(1);
    assert_eq!(get(&flights, &source).await, Some(2));
    assert_eq!(source.loads(), 2);
}

#[tokio::test]
async fn a_load_that_takes_longer_than_entries_live_is_answered_and_not_kept() {
    let (flights, clock) = flights();
    let source = Source::of(1);
    let mut slow = Box::pin(get(&flights, &source));
    assert!(poll_once(&mut slow).is_pending());
    clock.advance(TTL);
    source.set(2);
    source.gate.add_permits(2);
    assert_eq!(slow.await, Some(1));
    assert_eq!(get(&flights, &source).await, Some(2));
}

#[tokio::test]
async fn callers_that_find_a_stale_entry_share_one_load() {
    let (flights, clock) = flights();
    let source = Source::of(1);
    source.gate.add_permits(1);
    assert_eq!(get(&flights, &source).await, Some(1));
    clock.advance(TTL);
    source.set(2);
    let mut callers: Vec<_> = (0..5).map(|_| Box::pin(get(&flights, &source))).collect();
    assert!(callers.iter_mut().all(|caller| poll_once(caller).is_pending()));
    source.gate.add_permits(1);
    for caller in callers {
        assert_eq!(caller.await, Some(2));
    }
    assert_eq!(source.loads(), 2);
}

#[tokio::test]
async fn look_ups_are_counted_by_whether_it_had_what_was_asked() {
    let (flights, clock) = flights();
    let source = Source::open(1);
    for _ in 0..3 {
        assert_eq!(get(&flights, &source).await, Some(1));
    }
    assert_eq!(flights.look_ups.counted(), [2, 1]);
    clock.advance(TTL);
    assert_eq!(get(&flights, &source).await, Some(1));
    assert_eq!(flights.look_ups.counted(), [2, 2], "what is stale is not there");
}

#[tokio::test]
async fn no_time_to_live_means_no_cache() {
    let flights = TestFlights::new(
        "test",
        CacheOptions {
            ttl: Duration::ZERO,
            max_entries: 100,
        },
        Arc::<TestClock>::default(),
    );
    let source = Source::open(1);
    assert_eq!(get(&flights, &source).await, Some(1));
    source.set(2);
    assert_eq!(get(&flights, &source).await, Some(2));
}

#[tokio::test]
async fn the_number_of_entries_is_bounded() {
    let clock = Arc::<TestClock>::default();
    let flights: Flights<u32, u32> = Flights::new(
        "test",
        CacheOptions {
            ttl: TTL,
            max_entries: 10,
        },
        clock,
    );
    for key in 0..1_000 {
        let load = std::future::ready(Ok(Some(key)));
        assert_eq!(
            flights.get(&key, key, || load).await.unwrap().as_deref(),
            Some(&key)
        );
    }
    flights.entries.run_pending_tasks().await;
    assert!(flights.entries.entry_count() <= 10);
}
