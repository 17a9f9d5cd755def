//! Lines that say the same over and over: a database that is away is told of a few times, and then counted.
//!
//! What counts as the same is the place in the code that says it. In a window of ten seconds each place may say so much
//! and no more; what was kept back the next line of that place tells.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tracing::{Event, Subscriber, callsite::Identifier};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

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

/// Writes the lines that [`Repeats`] allows.
///
/// It stands at the writing of a line: a filter of a layer that decides by the event disturbs the other layers.
pub(super) struct Within<F> {
    pub(super) repeats: Arc<Repeats>,
    pub(super) lines: F,
}

impl<S, N, F> FormatEvent<S, N> for Within<F>
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'l> FormatFields<'l> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        #[expect(
            clippy::disallowed_methods,
            reason = "log lines are no business of the domain's clock"
        )]
        let now = Instant::now();
        if self.repeats.allows(event.metadata().callsite(), now) {
            self.lines.format_event(context, writer, event)
        } else {
            Ok(())
        }
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

    #[test]
    fn lines_are_kept_back_without_disturbing_other_layers() {
        use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _};

        #[derive(Clone, Default)]
        struct Written(Arc<Mutex<Vec<u8>>>);

        impl std::io::Write for Written {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }

        fn lines(written: &Written) -> usize {
            let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
            text.lines().count()
        }

        let (some, all) = (Written::default(), Written::default());
        let (first, second) = (some.clone(), all.clone());
        let repeats = Arc::new(Repeats::new(2));
        let within = tracing_subscriber::fmt::layer()
            .with_writer(move || first.clone())
            .map_event_format(|lines| Within {
                repeats: Arc::clone(&repeats),
                lines,
            })
            .with_filter(EnvFilter::new("info"));
        let beside = tracing_subscriber::fmt::layer()
            .with_writer(move || second.clone())
            .with_filter(EnvFilter::new("info"));
        let subscriber = tracing_subscriber::registry().with(within).with(beside);
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..5 {
                tracing::warn!(number, "the same");
                tracing::debug!("less");
            }
            tracing::warn!("another");
        });
        assert_eq!((lines(&some), lines(&all)), (3, 6));
        assert_eq!(repeats.suppressed(), 3);
    }
}
