use super::*;
use crate::test_support::TestClock;
use std::sync::{
    Barrier,
    atomic::{AtomicU32, Ordering},
};

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) struct World {
    pub(super) throttle: AttemptThrottle,
    pub(super) clock: Arc<TestClock>,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(ThrottleOptions::default())
    }

    pub(super) fn with(options: ThrottleOptions) -> Self {
        let clock = Arc::new(TestClock::default());
        Self {
            throttle: AttemptThrottle::new(options, clock.clone()),
            clock,
        }
    }

    pub(super) fn attempt(&self, account: &str, address: &str) -> Result<(), Duration> {
        self.throttle.attempt(&email(account), from(address))
    }

    pub(super) fn succeeded(&self, account: &str, address: &str) {
        self.throttle.succeeded(&email(account), from(address));
    }

    /// How long the next attempt must wait. Makes none, if it must.
    pub(super) fn wait(&self, account: &str, address: &str) -> Duration {
        self.attempt(account, address).unwrap_err()
    }

    pub(super) fn use_up(&self, times: usize, account: &str, address: &str) {
        for n in 0..times {
            assert_eq!(self.attempt(account, address), Ok(()), "attempt {n}");
        }
    }
}

fn email(name: &str) -> Email {
    Email::parse(&format!("{name}@acme.example")).unwrap()
}

/// An address; none for an empty text.
fn from(text: &str) -> Option<IpAddr> {
    (!text.is_empty()).then(|| text.parse().unwrap())
}

/// Waits that are asked for one after the other, each attempt made at the first moment at which it may be.
pub(super) fn waits(world: &World, attempt: impl Fn(u32) -> Result<(), Duration>, steps: u32) -> Vec<u64> {
    (0..steps)
        .map(|n| {
            let wait = attempt(n).unwrap_err();
            world.clock.advance(wait.saturating_sub(Duration::from_micros(1)));
            assert_eq!(
                attempt(n),
                Err(Duration::from_micros(1)),
                "not a moment too early"
            );
            world.clock.advance(Duration::from_micros(1));
            assert_eq!(attempt(n), Ok(()), "and not a moment too late");
            wait.as_secs()
        })
        .collect()
}

#[test]
fn at_an_account_five_are_free_and_then_waits_double_to_a_minute() {
    let world = World::new();
    world.use_up(5, "ada", "");
    // Wherever they come from.
    let attempt = |n| world.attempt("ada", &format!("10.0.0.{n}"));
    assert_eq!(waits(&world, attempt, 9), [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    assert_eq!(
        world.attempt("bob", ""),
        Ok(()),
        "another account is not concerned"
    );
}

#[test]
fn an_attempt_that_is_refused_counts_nothing_and_lengthens_no_wait() {
    let world = World::new();
    world.use_up(5, "ada", "192.0.2.1");
    for _ in 0..1_000 {
        assert_eq!(world.wait("ada", "192.0.2.1"), SECOND);
    }
    world.clock.advance(SECOND);
    assert_eq!(world.attempt("ada", "192.0.2.1"), Ok(()));
    assert_eq!(world.wait("ada", "192.0.2.1"), 2 * SECOND);
    // The address was charged for six, not for a thousand: fourteen are left.
    for n in 0..14 {
        assert_eq!(world.attempt(&format!("user{n}"), "192.0.2.1"), Ok(()), "{n}");
    }
    assert_eq!(world.wait("bob", "192.0.2.1"), SECOND);
    // And an account that the address was refused for was not charged either.
    world.use_up(5, "bob", "");
}

#[test]
fn success_clears_the_account_and_gives_the_address_one_back() {
    let world = World::new();
    world.use_up(5, "ada", "192.0.2.1");
    world.succeeded("ada", "192.0.2.1");
    world.use_up(5, "ada", "192.0.2.1");
    assert_eq!(world.wait("ada", "192.0.2.1"), SECOND);
    // Ten were made and one was given back: eleven are left.
    for n in 0..11 {
        assert_eq!(world.attempt(&format!("user{n}"), "192.0.2.1"), Ok(()), "{n}");
    }
    assert_eq!(world.wait("bob", "192.0.2.1"), SECOND);
}

#[test]
fn an_office_that_logs_in_is_never_held_up() {
    let world = World::new();
    for n in 0..500 {
        let name = format!("user{n}");
        assert_eq!(world.attempt(&name, "192.0.2.1"), Ok(()));
        world.succeeded(&name, "192.0.2.1");
    }
}

#[test]
fn guessing_between_logins_of_ones_own_is_held_up_all_the_same() {
    let world = World::new();
    for n in 0..20 {
        assert_eq!(world.attempt(&format!("victim{n}"), "192.0.2.1"), Ok(()));
        if n < 19 {
            assert_eq!(world.attempt("own", "192.0.2.1"), Ok(()));
            world.succeeded("own", "192.0.2.1");
        }
    }
    assert_eq!(world.wait("victim", "192.0.2.1"), SECOND);
}

#[test]
fn a_success_that_nobody_attempted_is_no_credit() {
    let world = World::new();
    for _ in 0..100 {
        world.succeeded("ada", "192.0.2.1");
    }
    world.throttle.accounts.kept.run_pending_tasks();
    assert_eq!(world.throttle.accounts.kept.entry_count(), 0);
    world.use_up(5, "ada", "");
    assert_eq!(world.wait("ada", ""), SECOND);
    world.use_up(5, "bob", "192.0.2.1");
    for n in 0..15 {
        assert_eq!(world.attempt(&format!("user{n}"), "192.0.2.1"), Ok(()));
    }
    assert_eq!(world.wait("bob", "192.0.2.1"), SECOND);
}

#[test]
fn an_hour_after_the_last_attempt_all_is_forgotten() {
    let world = World::new();
    let hour = Duration::from_hours(1);
    world.use_up(5, "ada", "");
    world.clock.advance(hour.saturating_sub(Duration::from_micros(1)));
    assert_eq!(world.attempt("ada", ""), Ok(()), "its wait is long over");
    assert_eq!(world.wait("ada", ""), 2 * SECOND, "but nothing is forgotten");
    // Refused ones do not keep it alive: an hour after the last that was let through.
    world.clock.advance(SECOND);
    assert_eq!(world.wait("ada", ""), SECOND);
    world.clock.advance(hour.saturating_sub(SECOND));
    world.use_up(5, "ada", "");
    assert_eq!(world.wait("ada", ""), SECOND);
}

#[test]
fn a_wait_that_is_longer_than_the_memory_is_not_cut_short() {
    let allowance = Allowance {
        free: 1,
        first_wait: 100 * SECOND,
        longest_wait: 200 * SECOND,
    };
    let world = World::with(ThrottleOptions {
        account: allowance,
        forget_after: SECOND,
        ..ThrottleOptions::default()
    });
    world.use_up(1, "ada", "");
    let attempt = |_| world.attempt("ada", "");
    assert_eq!(waits(&world, attempt, 2), [100, 200]);
}

#[test]
fn two_spellings_of_an_account_are_one() {
    let world = World::new();
    world.use_up(3, "ada", "");
    world.use_up(2, "ADA", "");
    assert_eq!(world.wait("Ada", ""), SECOND);
}

/// Lets `guessers` attempts loose at the same moment; how many were let through.
fn at_once(guessers: u32, attempt: impl Fn(u32) -> Result<(), Duration> + Sync) -> u32 {
    let (together, let_through) = (Barrier::new(guessers as usize), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for n in 0..guessers {
            let (together, let_through, attempt) = (&together, &let_through, &attempt);
            scope.spawn(move || {
                together.wait();
                if attempt(n).is_ok() {
                    let_through.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    let_through.into_inner()
}

#[test]
fn of_a_hundred_guesses_at_once_as_many_are_let_through_as_one_after_the_other() {
    let world = World::new();
    let account = at_once(100, |n| world.attempt("ada", &format!("10.0.0.{n}")));
    assert_eq!(account, 5);
    let address = at_once(100, |n| world.attempt(&format!("user{n}"), "192.0.2.1"));
    assert_eq!(address, 20);
    // Whoever waited goes on one at a time.
    world.clock.advance(SECOND);
    assert_eq!(at_once(100, |_| world.attempt("ada", "")), 1);
    world.clock.advance(SECOND);
    assert_eq!(at_once(100, |_| world.attempt("ada", "")), 0);
}

#[test]
fn the_first_attempt_is_always_free() {
    let none = Allowance {
        free: 0,
        first_wait: SECOND,
        longest_wait: 4 * SECOND,
    };
    let world = World::with(ThrottleOptions {
        account: none,
        ..ThrottleOptions::default()
    });
    world.use_up(1, "ada", "");
    let attempt = |_| world.attempt("ada", "");
    assert_eq!(waits(&world, attempt, 4), [1, 2, 4, 4]);
}

#[test]
fn waits_never_overflow() {
    let endless = Allowance {
        free: 1,
        first_wait: SECOND,
        longest_wait: Duration::MAX,
    };
    for attempts in [0, 1, 2, 31, 32, 33, 34, 1_000, u32::MAX] {
        let wait = endless.wait(attempts);
        assert_eq!(wait.is_zero(), attempts == 0, "{attempts}");
        assert!(endless.wait(attempts.saturating_add(1)) >= wait, "{attempts}");
    }
    assert_eq!(endless.wait(33), Duration::from_secs(u64::from(u32::MAX)));
}

#[test]
fn memory_is_bounded_and_a_flood_does_not_wash_out_the_one_that_is_guessed_at() {
    let world = World::with(ThrottleOptions {
        max_entries: 100,
        ..ThrottleOptions::default()
    });
    world.use_up(5, "ada", "");
    for n in 0..10_000 {
        let _ = world.attempt(&format!("made-up{n}"), &format!("10.{}.{}.1", n / 250, n % 250));
        // At first often, then once among as many others as are remembered twice over: by age alone it would be gone.
        if n % 20 == 0 && (n < 200 || n % 200 == 0) {
            assert_eq!(world.wait("ada", ""), SECOND, "{n}");
        }
    }
    let AttemptThrottle {
        accounts,
        addresses,
        networks,
        ..
    } = &world.throttle;
    accounts.kept.run_pending_tasks();
    assert!(accounts.kept.entry_count() <= 100);
    for tallies in [addresses, networks] {
        tallies.kept.run_pending_tasks();
        assert!(tallies.kept.entry_count() <= 100);
    }
}

#[test]
fn nothing_is_printed_of_whom_it_counts() {
    let world = World::new();
    world.use_up(1, "ada", "192.0.2.1");
    assert_eq!(format!("{:?}", world.throttle), "AttemptThrottle { .. }");
}
