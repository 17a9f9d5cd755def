use std::{collections::VecDeque, time::Duration};

use postrider_application::ports::{ClaimFrom, Epoch};
use postrider_domain::Timestamp;

use crate::{EngineOptions, backoff::Backoff};

/// The shortest wait after a claim that found nothing, though something is due: another node just holds it.
const CONTENTION_PAUSE: Duration = Duration::from_millis(50);
/// How long claims may go without the rows before the low-water mark.
pub(crate) const LOW_WATER_FOR: Duration = Duration::from_secs(3);
/// How far the mark stays behind what was claimed: a transaction that began earlier may commit later.
pub(crate) const LOW_WATER_MARGIN: Duration = Duration::from_secs(1);

/// When to claim, and from whom. Pure: time is handed in.
pub(crate) struct Claims {
    poll_net: Duration,
    sweep_interval: Duration,
    claiming: bool,
    /// Something says that rows are due: a signal, or a claim that took all it asked for.
    wanted: bool,
    /// There is more than was taken.
    more: bool,
    /// When to look without being told: the next row is due, or the net.
    look_at: Duration,
    /// A time to look at, learnt while a claim is under way that may not have seen why.
    look_again_at: Option<Duration>,
    dead: VecDeque<Epoch>,
    /// None while a search is under way.
    sweep_at: Option<Duration>,
    backoff: Backoff,
    /// While the database is away nothing is tried before.
    closed_until: Duration,
    /// What was due before this was claimed already, and when rows before it were looked at last.
    low: Option<(Timestamp, Duration)>,
}

impl Claims {
    /// The queue is looked at at once. Dead nodes are looked for at once if no other node can be alive, else after
    /// a lease's time: see [`EngineOptions::sole_node`].
    pub(crate) fn new(options: &EngineOptions, now: Duration) -> Self {
        let patience = if options.sole_node {
            Duration::ZERO
        } else {
            options.lease_ttl
        };
        Self {
            poll_net: options.poll_net_interval,
            sweep_interval: options.dead_sweep_interval,
            claiming: false,
            wanted: true,
            more: false,
            look_at: now,
            look_again_at: None,
            dead: VecDeque::new(),
            sweep_at: Some(now + patience),
            backoff: Backoff::default(),
            closed_until: Duration::ZERO,
            low: None,
        }
    }

    /// Something was queued here: others may be told if there is no room for it.
    pub(crate) const fn queued(&mut self) {
        self.wanted = true;
        self.more = true;
    }

    /// Something was queued somewhere.
    pub(crate) const fn signal(&mut self) {
        self.wanted = true;
    }

    /// Whether there is more in the queue than this node has taken, as far as it knows.
    pub(crate) const fn has_more(&self) -> bool {
        self.more
    }

    /// A row that was just written is due at `at`.
    pub(crate) fn due_at(&mut self, at: Duration) {
        self.look_at = self.look_at.min(at);
        if self.claiming {
            self.look_again_at = Some(self.look_again_at.map_or(at, |earlier| earlier.min(at)));
        }
    }

    /// Whose rows to claim now, if any; then [`Self::found`] or [`Self::failed`] must follow. What dead nodes left
    /// behind goes first: it is older.
    pub(crate) fn next(&mut self, now: Duration) -> Option<ClaimFrom> {
        if self.claiming || now < self.closed_until {
            return None;
        }
        let from = match self.dead.front() {
            Some(epoch) => ClaimFrom::Dead(*epoch),
            None if self.wanted || now >= self.look_at => {
                self.wanted = false;
                self.low.take_if(|(_, since)| now >= *since + LOW_WATER_FOR);
                ClaimFrom::Queue {
                    low: self.low.map(|(low, _)| low),
                }
            }
            None => return None,
        };
        self.claiming = true;
        Some(from)
    }

    /// When to ask again for a claim, if only time stands in the way.
    pub(crate) fn wakes_at(&self) -> Option<Duration> {
        let at = if self.wanted || !self.dead.is_empty() {
            Duration::ZERO
        } else {
            self.look_at
        };
        (!self.claiming).then_some(at.max(self.closed_until))
    }

    /// A claim found so many rows of so many that it asked for, the latest of them due at `latest`; the next one of
    /// the queue is due after `next_due`.
    pub(crate) fn found(
        &mut self,
        from: ClaimFrom,
        (rows, limit): (usize, usize),
        latest: Option<Timestamp>,
        next_due: Option<Duration>,
        now: Duration,
    ) {
        self.claiming = false;
        self.more = rows >= limit;
        self.backoff.reset();
        match from {
            ClaimFrom::Dead(epoch) if rows == 0 => {
                self.dead.retain(|dead| *dead != epoch);
                // What was not due yet went back to the queue.
                self.wanted = true;
            }
            ClaimFrom::Dead(_) | ClaimFrom::Parked { .. } => {}
            ClaimFrom::Queue { .. } if rows >= limit => {
                self.wanted = true;
                let since = self.low.map_or(now, |(_, since)| since);
                self.low = latest.map(|latest| (latest.minus(LOW_WATER_MARGIN), since));
            }
            ClaimFrom::Queue { low } => {
                let pause = if rows == 0 {
                    CONTENTION_PAUSE
                } else {
                    Duration::ZERO
                };
                let wait = next_due.map_or(self.poll_net, |due| due.min(self.poll_net));
                self.look_at = now + wait.max(pause);
                if let Some(at) = self.look_again_at.take() {
                    self.look_at = self.look_at.min(at);
                }
                // The rows before the mark are still to be looked at.
                self.wanted |= low.is_some();
                self.low = None;
            }
        }
    }

    /// A claim failed.
    pub(crate) fn failed(&mut self, now: Duration) {
        self.claiming = false;
        self.wanted = true;
        self.closed_until = now + self.backoff.next();
    }

    /// Whether to look for dead nodes now; then [`Self::swept`] must follow.
    pub(crate) fn sweep(&mut self, now: Duration) -> bool {
        self.sweep_at.take_if(|at| *at <= now).is_some()
    }

    /// When to look for dead nodes next.
    pub(crate) const fn sweeps_at(&self) -> Option<Duration> {
        self.sweep_at
    }

    /// Dead nodes that own rows; none known if the search failed.
    pub(crate) fn swept(&mut self, dead: Vec<Epoch>, now: Duration) {
        self.sweep_at = Some(now + self.sweep_interval);
        self.dead.extend(dead);
        self.dead.make_contiguous().sort_unstable();
        let mut seen = None;
        self.dead.retain(|epoch| seen.replace(*epoch) != Some(*epoch));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Duration = Duration::from_secs(100);
    const QUEUE: ClaimFrom = ClaimFrom::Queue { low: None };

    fn claims() -> Claims {
        Claims::new(&EngineOptions::default(), T0)
    }

    #[test]
    fn one_claim_at_a_time_and_again_at_once_while_there_is_more() {
        let mut claims = claims();
        assert_eq!(claims.next(T0), Some(QUEUE));
        assert_eq!(claims.next(T0), None);
        claims.found(QUEUE, (500, 500), None, None, T0);
        assert_eq!(claims.next(T0), Some(QUEUE));
    }

    #[test]
    fn an_empty_queue_is_looked_at_when_the_next_row_is_due_or_by_the_net() {
        let mut claims = claims();
        claims.next(T0);
        claims.found(QUEUE, (0, 500), None, Some(Duration::from_secs(2)), T0);
        assert_eq!(claims.next(T0), None);
        assert_eq!(claims.wakes_at(), Some(T0 + Duration::from_secs(2)));
        claims.next(T0 + Duration::from_secs(2));
        claims.found(QUEUE, (0, 500), None, Some(Duration::from_hours(1)), T0);
        assert_eq!(claims.wakes_at(), Some(T0 + Duration::from_secs(5)));
    }

    #[test]
    fn rows_that_another_node_holds_are_not_asked_for_in_a_busy_loop() {
        let mut claims = claims();
        claims.next(T0);
        claims.found(QUEUE, (0, 500), None, Some(Duration::ZERO), T0);
        assert_eq!(claims.wakes_at(), Some(T0 + CONTENTION_PAUSE));
    }

    #[test]
    fn a_signal_during_a_claim_is_not_lost() {
        let mut claims = claims();
        claims.next(T0);
        claims.signal();
        claims.found(QUEUE, (0, 500), None, None, T0);
        assert_eq!(claims.next(T0), Some(QUEUE));
    }

    #[test]
    fn a_row_written_during_a_claim_is_looked_for_when_it_is_due() {
        let mut claims = claims();
        claims.next(T0);
        claims.due_at(T0 + Duration::from_secs(1));
        claims.found(QUEUE, (0, 500), None, None, T0);
        assert_eq!(claims.wakes_at(), Some(T0 + Duration::from_secs(1)));
    }

    #[test]
    fn a_failed_claim_is_repeated_after_a_wait_whatever_is_signalled() {
        let mut claims = claims();
        claims.next(T0);
        claims.failed(T0);
        claims.signal();
        assert_eq!(claims.next(T0), None);
        let again = claims.wakes_at().unwrap();
        assert!(again > T0);
        assert_eq!(claims.next(again), Some(QUEUE));
    }

    /// The queue, but for what was due more than that long ago.
    const fn from(due_s: i64) -> ClaimFrom {
        ClaimFrom::Queue {
            low: Some(due(due_s)),
        }
    }

    const fn due(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn while_there_is_more_what_was_claimed_already_is_passed_over_and_yet_looked_at_now_and_then() {
        let mut claims = claims();
        claims.next(T0);
        claims.found(QUEUE, (500, 500), Some(due(50)), None, T0);
        // The margin is for what was written earlier and is seen only now.
        assert_eq!(claims.next(T0), Some(from(49)));
        let later = T0 + LOW_WATER_FOR / 2;
        claims.found(from(49), (500, 500), Some(due(60)), None, later);
        assert_eq!(claims.next(later), Some(from(59)));
        claims.found(from(59), (500, 500), Some(due(70)), None, later);
        assert_eq!(
            claims.next(T0 + LOW_WATER_FOR),
            Some(QUEUE),
            "however much there is"
        );
    }

    #[test]
    fn what_was_passed_over_is_looked_at_as_soon_as_nothing_else_is_left() {
        let mut claims = claims();
        claims.next(T0);
        claims.found(QUEUE, (500, 500), Some(due(50)), None, T0);
        claims.next(T0);
        claims.found(
            from(49),
            (3, 500),
            Some(due(51)),
            Some(Duration::from_hours(1)),
            T0,
        );
        assert_eq!(claims.next(T0), Some(QUEUE));
        claims.found(QUEUE, (0, 500), None, Some(Duration::from_hours(1)), T0);
        assert_eq!(claims.next(T0), None);
    }

    #[test]
    fn the_dead_are_sought_after_one_lease_and_their_rows_claimed_until_none_is_left() {
        let mut claims = claims();
        assert!(!claims.sweep(T0));
        let later = T0 + EngineOptions::default().lease_ttl;
        assert!(claims.sweep(later) && !claims.sweep(later));
        claims.swept(vec![Epoch(4), Epoch(3), Epoch(4)], later);
        for (from, rows) in [(3, 9), (3, 0), (4, 0)] {
            let from = ClaimFrom::Dead(Epoch(from));
            assert_eq!(claims.next(later), Some(from));
            claims.found(from, (rows, 500), None, None, later);
        }
        assert_eq!(claims.next(later), Some(QUEUE));
    }

    #[test]
    fn a_sole_node_takes_over_at_once() {
        let options = EngineOptions {
            sole_node: true,
            ..EngineOptions::default()
        };
        assert!(Claims::new(&options, T0).sweep(T0));
    }
}
