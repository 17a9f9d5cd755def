//! Lines that say the same over and over: a database that is away is told of a few times, and then counted.
//!
//! What counts as the same is the place in the code that says it. In a window of ten seconds each place may say so much
//! and no more; what was kept back the next line of that place tells.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tracing::{Event, callsite::Identifier};

/// For how long a place's lines are counted together.
const WINDOW: Duration = Duration::from_secs(10);

/// How much each place has said.
#[derive(Debug)]
pub(super) struct Repeats {
    /// The most lines of one place in a window; 0: no bound.
    most: u32,
    /// By place; there are as many as the program has, and no more.
    places: Mutex<HashMap<Identifier, Place>>,
    suppressed: AtomicU64,
}

/// The lines of one place.
#[derive(Debug)]
struct Place {
    /// When the window began.
    since: Instant,
    /// Lines in it, kept back ones included.
    lines: u32,
    /// Lines kept back of which no line has told.
    untold: u64,
}

impl Repeats {
    /// Lets `most` lines of one place through in each window.
    pub(super) fn new(most: u32) -> Self {
        Self {
            most,
            places: Mutex::default(),
            suppressed: AtomicU64::new(0),
        }
    }

    /// How many lines were kept back since the start.
    pub(super) fn suppressed(&self) -> u64 {
        self.suppressed.load(Ordering::Relaxed)
    }

    /// Whether this is one too many.
    pub(super) fn hide(&self, event: &Event<'_>) -> bool {
        #[expect(
            clippy::disallowed_methods,
            reason = "log lines are no business of the domain's clock"
        )]
        let now = Instant::now();
        !self.allows(event.metadata().callsite(), now)
    }

    /// As if all windows were over.
    #[cfg(test)]
    pub(super) fn begin_anew(&self) {
        for place in self.places.lock().unwrap().values_mut() {
            place.lines = 0;
        }
    }

    /// Whether `place` may say something at `now`.
    fn allows(&self, place: Identifier, now: Instant) -> bool {
        if self.most == 0 {
            return true;
        }
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry(place).or_insert(Place {
            since: now,
            lines: 0,
            untold: 0,
        });
        if now.saturating_duration_since(place.since) >= WINDOW {
            place.since = now;
            place.lines = 0;
        }
        place.lines = place.lines.saturating_add(1);
        let allowed = place.lines <= self.most;
        if !allowed {
            place.untold += 1;
            self.suppressed.fetch_add(1, Ordering::Relaxed);
        }
        allowed
    }

    /// How many lines of `place` were kept back before the one that is being written; told once.
    pub(super) fn kept_back(&self, place: &Identifier) -> Option<u64> {
        if self.most == 0 {
            return None;
        }
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let untold = places
            .get_mut(place)
            .map(|place| std::mem::take(&mut place.untold))?;
        (untold > 0).then_some(untold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A place in the code.
    fn place() -> Identifier {
        let here = tracing::callsite!(name: "here", kind: tracing::metadata::Kind::EVENT, fields: message);
        tracing::Callsite::metadata(here).callsite()
    }

    #[test]
    fn a_place_says_so_much_in_a_window_and_tells_later_what_it_kept_back() {
        let (repeats, here) = (Repeats::new(3), place());
        #[expect(clippy::disallowed_methods, reason = "a point to count from")]
        let start = Instant::now();
        let said = (0..10).filter(|_| repeats.allows(here.clone(), start)).count();
        assert_eq!((said, repeats.suppressed()), (3, 7));
        assert!(!repeats.allows(here.clone(), start + WINDOW / 2));
        assert!(repeats.allows(here.clone(), start + WINDOW));
        assert_eq!(repeats.kept_back(&here), Some(8));
        assert_eq!(repeats.kept_back(&here), None, "told once");
    }

    #[test]
    fn without_a_bound_everything_is_said() {
        let (repeats, here) = (Repeats::new(0), place());
        #[expect(clippy::disallowed_methods, reason = "a point to count from")]
        let start = Instant::now();
        assert!((0..1_000).all(|_| repeats.allows(here.clone(), start)));
        assert_eq!((repeats.suppressed(), repeats.kept_back(&here)), (0, None));
    }
}
