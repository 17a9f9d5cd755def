use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use opentelemetry::{KeyValue, global, metrics::Meter};
use postrider_application::ports::{Backlog, Backlogs, Clock, QueueBacklog, SubscriberBacklog};
use tokio::time;
use tokio_util::sync::CancellationToken;

use crate::{
    chore_notes::ChoreNotes,
    store_calls::{bounded, warn},
};

/// The chore's name.
const CHORE: &str = "backlog";

/// How what waits is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BacklogOptions {
    /// How often. Default 15 s: as often as figures are usually collected.
    pub interval: Duration,
    /// How long one look may take. Default 10 s.
    pub timeout: Duration,
    /// Up to how many rows are counted. Default 100,000: on either database that takes some ten milliseconds, and it
    /// is long past the point where somebody should have been called.
    pub most: u32,
}

impl Default for BacklogOptions {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(15),
            timeout: Duration::from_secs(10),
            most: 100_000,
        }
    }
}

/// What was seen last; nothing before the first look, and after one that failed: a figure of long ago would pass for
/// one of now.
#[derive(Default)]
struct Seen(Mutex<Option<Backlog>>);

impl Seen {
    fn set(&self, backlog: Option<Backlog>) {
        // One value is put in place of another.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = backlog;
    }

    fn tell<T>(&self, tell: impl FnOnce(&Backlog) -> T) -> Option<T> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.as_ref().map(tell)
    }
}

/// Looks now and then at what waits in the installation, and shows it as gauges. Every node does it: each look is short,
/// and whichever node is asked can tell.
pub struct BacklogWatch {
    store: Arc<dyn Backlogs>,
    options: BacklogOptions,
    seen: Arc<Seen>,
    notes: ChoreNotes,
}

impl BacklogWatch {
    /// Shows what `store` tells from now on; of the log's `subscribers` those that are named.
    pub fn new(
        store: Arc<dyn Backlogs>,
        clock: &Arc<dyn Clock>,
        subscribers: Vec<&'static str>,
        options: BacklogOptions,
    ) -> Self {
        Self::by(&global::meter("postrider"), store, clock, subscribers, options)
    }

    fn by(
        meter: &Meter,
        store: Arc<dyn Backlogs>,
        clock: &Arc<dyn Clock>,
        subscribers: Vec<&'static str>,
        options: BacklogOptions,
    ) -> Self {
        let seen = Arc::new(Seen::default());
        show_queue(meter, &seen);
        show_subscribers(meter, &seen, &Arc::from(subscribers));
        Self {
            store,
            options,
            seen,
            notes: ChoreNotes::of(&[CHORE], clock),
        }
    }

    /// Looks until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let looks = async {
            loop {
                self.look().await;
                time::sleep(self.options.interval).await;
            }
        };
        let _ = shutdown.run_until_cancelled(looks).await;
        self.seen.set(None);
    }

    async fn look(&self) {
        let look = self.store.backlog(self.options.most);
        let seen = bounded(self.options.timeout, look).await;
        self.notes.ended(CHORE, seen.is_ok());
        if let Err(error) = &seen {
            warn("what waits could not be looked at", error);
        }
        self.seen.set(seen.ok());
    }
}

type OfQueue = fn(&QueueBacklog) -> u64;
/// The label of each part of the queue, and where it is read.
const STATES: [(&str, OfQueue); 3] = [
    ("due", |queue| queue.due),
    ("scheduled", |queue| queue.scheduled),
    ("parked", |queue| queue.parked),
];

fn show_queue(meter: &Meter, seen: &Arc<Seen>) {
    let of = Arc::clone(seen);
    meter
        .u64_observable_gauge("postrider.queue.depth")
        .with_unit("{row}")
        .with_description(
            "Rows of the queue by state, counted up to 100,000: due and held by no node, scheduled for later, or \
             parked because their endpoint is slow",
        )
        .with_callback(move |observer| {
            for (state, read) in STATES {
                if let Some(rows) = of.tell(|backlog| read(&backlog.queue)) {
                    observer.observe(rows, &[KeyValue::new("state", state)]);
                }
            }
        })
        .build();
    let of = Arc::clone(seen);
    meter
        .f64_observable_gauge("postrider.queue.oldest_age")
        .with_unit("s")
        .with_description("For how long the oldest row of the queue has been due that no living node holds")
        .with_callback(move |observer| {
            if let Some(age) = of.tell(|backlog| backlog.queue.oldest_due) {
                observer.observe(age.as_secs_f64(), &[]);
            }
        })
        .build();
    let of = Arc::clone(seen);
    meter
        .u64_observable_gauge("postrider.replays.running")
        .with_unit("{replay}")
        .with_description("Replays that are under way, waiting ones included")
        .with_callback(move |observer| {
            if let Some(replays) = of.tell(|backlog| backlog.replays) {
                observer.observe(replays, &[]);
            }
        })
        .build();
}

/// What of a subscriber is told to whom.
fn each(seen: &Seen, names: &[&'static str], mut tell: impl FnMut(&SubscriberBacklog, &[KeyValue])) {
    seen.tell(|backlog| {
        for name in names {
            if let Some(of) = backlog.subscribers.iter().find(|of| of.subscriber == *name) {
                tell(of, &[KeyValue::new("subscriber", *name)]);
            }
        }
    });
}

fn show_subscribers(meter: &Meter, seen: &Arc<Seen>, names: &Arc<[&'static str]>) {
    let (of, known) = (Arc::clone(seen), Arc::clone(names));
    meter
        .u64_observable_gauge("postrider.relay.lag")
        .with_unit("{event}")
        .with_description("How many positions of the event log a subscriber is behind")
        .with_callback(move |observer| {
            each(&of, &known, |of, labels| observer.observe(of.lag, labels));
        })
        .build();
    let (of, known) = (Arc::clone(seen), Arc::clone(names));
    meter
        .f64_observable_gauge("postrider.relay.lag_seconds")
        // The exporter for Prometheus would add the unit to the name once more.
        .with_description(
            "The age in seconds of the oldest event that a subscriber is not done with; 0 if there is none",
        )
        .with_callback(move |observer| {
            each(&of, &known, |of, labels| {
                observer.observe(of.age.as_secs_f64(), labels);
            });
        })
        .build();
    let (of, known) = (Arc::clone(seen), Arc::clone(names));
    meter
        .u64_observable_gauge("postrider.relay.dead_letters")
        .with_unit("{event}")
        .with_description(
            "Events that a subscriber could not take and that wait for an operator, counted up to 100,000",
        )
        .with_callback(move |observer| {
            each(&of, &known, |of, labels| {
                observer.observe(of.dead_letters, labels);
            });
        })
        .build();
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use postrider_application::ports::StoreError;
    use postrider_testkit::memory::TestClock;
    use tokio::task::JoinSet;

    use super::*;
    use crate::metrics::measured::Measured;

    /// Answers what was prepared, the last first, and then never again.
    struct Scripted(Mutex<Vec<Result<Backlog, StoreError>>>);

    #[async_trait]
    impl Backlogs for Scripted {
        async fn backlog(&self, most: u32) -> Result<Backlog, StoreError> {
            assert_eq!(most, 100_000);
            let next = self.0.lock().unwrap().pop();
            match next {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        }
    }

    fn backlog() -> Backlog {
        let subscriber = |name: &str, lag| SubscriberBacklog {
            subscriber: name.to_owned(),
            lag,
            age: Duration::from_millis(1_500),
            dead_letters: 4,
        };
        Backlog {
            queue: QueueBacklog {
                due: 1,
                scheduled: 2,
                parked: 3,
                oldest_due: Duration::from_millis(2_500),
            },
            subscribers: vec![subscriber("known", 7), subscriber("of-yesterday", 9)],
            replays: 5,
        }
    }

    fn named(points: &[(&str, f64)]) -> Vec<(String, f64)> {
        points
            .iter()
            .map(|(name, value)| ((*name).to_owned(), *value))
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_seen_is_shown_and_what_was_not_is_not() {
        let measured = Measured::new();
        let store = Arc::new(Scripted(Mutex::new(vec![
            Ok(backlog()),
            Err(StoreError::Stale),
            Ok(backlog()),
        ])));
        let clock: Arc<dyn Clock> = Arc::new(TestClock::new());
        let options = BacklogOptions::default();
        let watch = BacklogWatch::by(&measured.meter(), store, &clock, vec!["known", "absent"], options);
        let depth = || measured.gauge("postrider.queue.depth");
        assert_eq!(depth(), []);

        let (shutdown, mut running) = (CancellationToken::new(), JoinSet::new());
        running.spawn(watch.run(shutdown.clone()));
        time::sleep(Duration::from_secs(1)).await;
        let parts = named(&[
            ("state=due", 1.0),
            ("state=parked", 3.0),
            ("state=scheduled", 2.0),
        ]);
        assert_eq!(depth(), parts);
        for (name, value) in [
            ("postrider.queue.oldest_age", 2.5),
            ("postrider.replays.running", 5.0),
        ] {
            assert_eq!(measured.gauge(name), named(&[("", value)]), "{name}");
        }
        for (name, value) in [
            ("postrider.relay.lag", 7.0),
            ("postrider.relay.lag_seconds", 1.5),
            ("postrider.relay.dead_letters", 4.0),
        ] {
            assert_eq!(
                measured.gauge(name),
                named(&[("subscriber=known", value)]),
                "{name}"
            );
        }

        time::sleep(Duration::from_secs(15)).await;
        assert_eq!(depth(), [], "the look failed");
        time::sleep(Duration::from_secs(15)).await;
        assert_eq!(depth(), parts);
        time::sleep(Duration::from_secs(26)).await;
        assert_eq!(depth(), [], "no look is waited for for ever");
        shutdown.cancel();
        running.join_next().await.unwrap().unwrap();
    }
}
