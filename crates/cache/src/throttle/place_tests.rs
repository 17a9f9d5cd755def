//! Familiar places: who was right from there before is not locked out by others.

use super::{
    places::MAX_PLACES,
    tests::{SECOND, World},
    *,
};

const HOME: &str = "198.51.100.7";
const DAY: Duration = Duration::from_hours(24);

/// Ada was right once, at home.
fn at_home() -> World {
    let world = World::new();
    world.use_up(1, "ada", HOME);
    world.succeeded("ada", HOME);
    world
}

/// From ever other networks.
fn stranger(n: u32) -> String {
    format!("10.{}.{}.1", n / 250, n % 250)
}

/// Guesses at ada until it must wait.
fn keep_full(world: &World, strangers: &mut u32) {
    loop {
        *strangers += 1;
        if world.attempt("ada", &stranger(*strangers)).is_err() {
            return;
        }
    }
}

#[test]
fn who_keeps_an_account_full_does_not_lock_its_owner_out() {
    let (world, mut strangers) = (at_home(), 0);
    for _ in 0..1_000 {
        keep_full(&world, &mut strangers);
        // Elsewhere the owner waits with the strangers; at home not.
        assert!(world.attempt("ada", "203.0.113.9").is_err());
        world.use_up(1, "ada", HOME);
        world.succeeded("ada", HOME);
        world.clock.advance(10 * SECOND);
    }
    // That the owner comes and goes gives the strangers nothing: five, six while the waits grow, one a minute.
    let let_through = strangers - 1_000;
    assert!(
        (150..=5 + 6 + 10_000 / 60).contains(&let_through),
        "{let_through}"
    );
}

#[test]
fn a_right_one_at_a_familiar_place_is_no_pardon_for_others() {
    let (world, mut strangers) = (at_home(), 0);
    keep_full(&world, &mut strangers);
    assert_eq!(strangers, 6, "five were free");
    let wait = world.wait("ada", &stranger(0));
    world.use_up(1, "ada", HOME);
    world.succeeded("ada", HOME);
    assert_eq!(world.wait("ada", &stranger(0)), wait);
}

#[test]
fn a_familiar_place_has_an_allowance_of_its_own_and_a_small_one() {
    let world = at_home();
    world.use_up(5, "ada", HOME);
    for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
        assert_eq!(world.wait("ada", HOME), wait * SECOND);
        world.clock.advance(wait * SECOND);
        world.use_up(1, "ada", HOME);
    }
    // Nobody elsewhere pays for it.
    world.use_up(5, "ada", "203.0.113.9");
    assert_eq!(world.wait("ada", "203.0.113.9"), SECOND);
    // Nor does another account at the same address profit from it.
    world.use_up(5, "bob", HOME);
    assert_eq!(world.wait("bob", HOME), SECOND);
}

#[test]
fn attempts_at_a_familiar_place_count_at_the_address() {
    let world = at_home();
    for n in 0..4 {
        let name = format!("colleague{n}");
        world.use_up(1, &name, HOME);
        world.succeeded(&name, HOME);
    }
    // Each of them, guessed at from the office that they all work in: no more than from any address.
    for n in 0..4 {
        world.use_up(5, &format!("colleague{n}"), HOME);
    }
    assert_eq!(world.wait("ada", HOME), SECOND);
    assert_eq!(world.wait("nobody", HOME), SECOND);
}

#[test]
fn a_familiar_place_is_not_held_up_by_its_network() {
    let world = at_home();
    for n in 0..160 {
        let neighbour = format!("198.51.100.{}", 90 + n);
        assert_eq!(world.attempt(&format!("user{n}"), &neighbour), Ok(()));
    }
    assert_eq!(world.wait("bob", HOME), SECOND);
    world.use_up(1, "ada", HOME);
}

#[test]
fn a_place_is_the_whole_of_what_one_customer_is_given() {
    let world = World::new();
    world.use_up(1, "ada", "2001:db8:1:2::1");
    world.succeeded("ada", "2001:db8:1:2::1");
    keep_full(&world, &mut 0);
    world.use_up(1, "ada", "2001:db8:1:2:ffff::9");
    assert!(world.attempt("ada", "2001:db8:1:3::1").is_err(), "a neighbour");
    assert!(world.attempt("ada", "").is_err(), "from nowhere known");
}

#[test]
fn a_place_is_familiar_for_thirty_days_after_it_was_last_right() {
    let world = at_home();
    world.clock.advance(29 * DAY);
    world.use_up(1, "ada", HOME);
    world.succeeded("ada", HOME);
    world.clock.advance((30 * DAY).saturating_sub(SECOND));
    keep_full(&world, &mut 0);
    // Familiar still, and a wrong one does not renew it.
    world.use_up(1, "ada", HOME);
    world.clock.advance(SECOND);
    keep_full(&world, &mut 0);
    assert_eq!(world.wait("ada", HOME), world.wait("ada", &stranger(0)));
    world.clock.advance(world.wait("ada", HOME));
    world.use_up(1, "ada", HOME);
    world.succeeded("ada", HOME);
    keep_full(&world, &mut 0);
    world.use_up(1, "ada", HOME);
}

#[test]
fn an_account_has_few_places_and_the_one_that_was_right_longest_ago_goes() {
    let world = at_home();
    let place = |n: usize| format!("203.0.{n}.1");
    let right = |address: &str| {
        world.use_up(1, "ada", address);
        world.succeeded("ada", address);
    };
    for n in 1..MAX_PLACES {
        right(&place(n));
    }
    right(HOME);
    right(&place(MAX_PLACES));
    keep_full(&world, &mut 0);
    for n in 2..=MAX_PLACES {
        world.use_up(1, "ada", &place(n));
    }
    world.use_up(1, "ada", HOME);
    assert!(world.attempt("ada", &place(1)).is_err());
}

#[test]
fn whoever_is_right_everywhere_takes_no_place_of_another_account() {
    let world = at_home();
    for n in 0..10_000 {
        world.succeeded("mallory", &stranger(n));
    }
    keep_full(&world, &mut 0);
    world.use_up(1, "ada", HOME);
}
