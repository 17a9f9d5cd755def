//! Publishers are slowed down while deliveries of their application cannot keep up: what is accepted faster than it is
//! delivered must be written down again and again while it waits, so that both get slower.
//!
//! Only for endpoints that deliver, just not as fast as is published. For one that is slow or away it would help
//! nobody: its backlog waits in the database.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use postrider_domain::{ApplicationId, EndpointId};
use tokio::{sync::Notify, time};

/// Which applications' publishers wait a little. Shared with the intake.
#[derive(Default)]
pub(crate) struct Congestion {
    any: AtomicBool,
    applications: Mutex<HashSet<ApplicationId>>,
    eased: Notify,
}

impl Congestion {
    /// These are congested from now on, and no others.
    fn set(&self, applications: HashSet<ApplicationId>) {
        self.any.store(!applications.is_empty(), Ordering::Release);
        let before = std::mem::replace(
            &mut *self.applications.lock().unwrap_or_else(PoisonError::into_inner),
            applications,
        );
        if !before.is_empty() {
            self.eased.notify_waiters();
        }
    }

    /// Nobody is slowed down any more.
    pub(crate) fn end(&self) {
        self.set(HashSet::new());
    }

    fn has(&self, application: ApplicationId) -> bool {
        let applications = self.applications.lock().unwrap_or_else(PoisonError::into_inner);
        applications.contains(&application)
    }

    /// Waits while `application` is congested, for `longest` at most.
    pub(crate) async fn wait(&self, application: ApplicationId, longest: Duration) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        let eased = async {
            loop {
                let eased = self.eased.notified();
                if !self.has(application) {
                    return;
                }
                eased.await;
            }
        };
        // Whoever waited long enough has waited.
        let _ = time::timeout(longest, eased).await;
    }
}

/// As many waiting in a lane make it worth looking at.
const MANY: usize = 256;
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// An endpoint that would need longer for what waits is slow, and slows nobody down.
const KEEPS_UP: Duration = Duration::from_secs(1);

struct Lane {
    application: ApplicationId,
    /// Attempts that ended since the last look.
    ended: u32,
}

/// Watches lanes in which many wait.
#[derive(Default)]
pub(crate) struct Pace {
    lanes: HashMap<EndpointId, Lane>,
    looked_at: Option<Duration>,
}

impl Pace {
    /// `waiting` deliveries wait in the lane of `endpoint` now.
    pub(crate) fn waits(&mut self, endpoint: EndpointId, application: ApplicationId, waiting: usize) {
        if waiting >= MANY {
            self.lanes.entry(endpoint).or_insert(Lane {
                application,
                ended: 0,
            });
        }
    }

    /// An attempt to `endpoint` ended.
    pub(crate) fn ended(&mut self, endpoint: EndpointId) {
        if self.lanes.is_empty() {
            return;
        }
        if let Some(lane) = self.lanes.get_mut(&endpoint) {
            lane.ended += 1;
        }
    }

    /// When to look again, if there is a reason to.
    pub(crate) fn looks_at(&self) -> Option<Duration> {
        (!self.lanes.is_empty()).then(|| self.looked_at.map_or(Duration::ZERO, |at| at + LOOK_EVERY))
    }

    /// Looks at the lanes, if it is time: congested are those that keep up.
    pub(crate) fn look(
        &mut self,
        now: Duration,
        congestion: &Congestion,
        waiting_at: impl Fn(EndpointId) -> usize,
    ) {
        if self.looks_at().is_none_or(|at| now < at) {
            return;
        }
        let passed = now.saturating_sub(self.looked_at.replace(now).unwrap_or(now));
        let mut congested = HashSet::new();
        self.lanes.retain(|endpoint, lane| {
            let waiting = waiting_at(*endpoint);
            let ended = std::mem::take(&mut lane.ended);
            if waiting < MANY / 2 {
                return false;
            }
            let needed = passed * u32::try_from(waiting).unwrap_or(u32::MAX);
            if ended > 0 && needed / ended < KEEPS_UP {
                congested.insert(lane.application);
            }
            true
        });
        if self.lanes.is_empty() {
            self.looked_at = None;
        }
        congestion.set(congested);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_application::ports::Clock as _;
    use postrider_testkit::TokioClock;
    use std::sync::Arc;
    use uuid::Uuid;

    const T0: Duration = Duration::from_secs(100);
    const LONGEST: Duration = Duration::from_millis(100);

    fn endpoint() -> EndpointId {
        EndpointId::from_uuid(Uuid::from_u128(1))
    }

    fn application() -> ApplicationId {
        ApplicationId::from_uuid(Uuid::from_u128(2))
    }

    /// The lane after a look at which `waiting` waited, and a second one with as many ended in between.
    fn looked(waiting: usize, ended: u32) -> (Pace, Arc<Congestion>) {
        let (mut pace, congestion) = (Pace::default(), Arc::new(Congestion::default()));
        pace.waits(endpoint(), application(), waiting);
        pace.look(T0, &congestion, |_| waiting);
        (0..ended).for_each(|_| pace.ended(endpoint()));
        pace.look(T0 + LOOK_EVERY, &congestion, |_| waiting);
        (pace, congestion)
    }

    async fn waited(congestion: &Congestion) -> Duration {
        let clock = TokioClock::new();
        congestion.wait(application(), LONGEST).await;
        clock.monotonic()
    }

    #[tokio::test(start_paused = true)]
    async fn publishers_wait_for_an_endpoint_that_keeps_up_and_not_for_long() {
        let (_, congestion) = looked(300, 100);
        assert_eq!(waited(&congestion).await, LONGEST);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_slow_one_or_where_few_wait() {
        for (waiting, ended) in [(10_000, 1), (10_000, 0), (MANY - 1, 100)] {
            let (_, congestion) = looked(waiting, ended);
            assert_eq!(waited(&congestion).await, Duration::ZERO, "{waiting} {ended}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_goes_on_as_soon_as_it_eases() {
        let (mut pace, congestion) = looked(300, 100);
        let waiting = async {
            congestion.wait(application(), Duration::from_hours(1)).await;
        };
        let easing = async {
            time::sleep(Duration::from_millis(30)).await;
            pace.look(T0 + LOOK_EVERY * 2, &congestion, |_| 10);
        };
        let clock = TokioClock::new();
        tokio::join!(waiting, easing);
        assert_eq!(clock.monotonic(), Duration::from_millis(30));
        assert_eq!(pace.looks_at(), None);
    }
}
