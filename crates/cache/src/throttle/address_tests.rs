//! Addresses, and the networks around them.

use super::tests::{SECOND, World, waits};

#[test]
fn from_an_address_twenty_are_free_and_then_waits_double_to_fifteen_minutes() {
    let world = World::new();
    for n in 0..20 {
        assert_eq!(world.attempt(&format!("user{n}"), "192.0.2.1"), Ok(()));
    }
    // At whichever accounts.
    let attempt = |n| world.attempt(&format!("other{n}"), "192.0.2.1");
    assert_eq!(
        waits(&world, attempt, 12),
        [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]
    );
    assert_eq!(
        world.attempt("user0", "192.0.2.2"),
        Ok(()),
        "another address is not concerned"
    );
}

#[test]
fn from_a_network_eight_times_as_many_are_free_and_then_waits_double_to_two_minutes() {
    for (inside, outside) in [
        (&["192.0.2", "192.0.2"], "192.0.3.1"),
        (&["2001:db8:1:a", "2001:db8:1:b"], "2001:db8:2::1"),
    ] {
        let world = World::new();
        let address = |n: usize| {
            let (prefix, n) = (inside[n % 2], n % 200);
            if prefix.contains(':') {
                format!("{prefix}{n:02x}::1")
            } else {
                format!("{prefix}.{n}")
            }
        };
        for n in 0..160 {
            assert_eq!(world.attempt(&format!("user{n}"), &address(n)), Ok(()), "{n}");
        }
        // Each from an address that is not used up by itself.
        let attempt = |n| world.attempt(&format!("other{n}"), &address(160 + n as usize));
        assert_eq!(waits(&world, attempt, 9), [1, 2, 4, 8, 16, 32, 64, 120, 120]);
        assert_eq!(world.attempt("ada", outside), Ok(()), "another network");
    }
}

#[test]
fn an_address_or_network_that_must_wait_touches_no_account() {
    let world = World::new();
    world.use_up(5, "ada", "");
    for n in 0..20 {
        assert_eq!(world.attempt(&format!("user{n}"), "192.0.2.1"), Ok(()));
    }
    for n in 0..1_000 {
        assert_eq!(world.wait(&format!("made-up{n}"), "192.0.2.1"), SECOND);
    }
    // An account that must wait as well, and longer, is not asked either.
    world.clock.advance(SECOND);
    world.use_up(1, "ada", "");
    world.use_up(1, "user0", "192.0.2.1");
    assert_eq!(world.wait("ada", ""), 2 * SECOND);
    world.clock.advance(SECOND);
    assert_eq!(world.wait("ada", "192.0.2.1"), SECOND);

    let seen = |world: &World| {
        world.throttle.accounts.kept.run_pending_tasks();
        world.throttle.accounts.kept.entry_count()
    };
    assert_eq!(seen(&world), 21, "ada and twenty users");
    let world = World::new();
    for n in 0..160 {
        let address = format!("192.0.2.{n}");
        assert_eq!(world.attempt(&format!("user{n}"), &address), Ok(()));
    }
    for n in 160..256 {
        let address = format!("192.0.2.{n}");
        assert_eq!(world.wait(&format!("user{n}"), &address), SECOND);
    }
    assert_eq!(seen(&world), 160);
}

#[test]
fn an_account_that_must_wait_charges_neither_address_nor_network() {
    let world = World::new();
    world.use_up(5, "ada", "");
    for n in 0..1_000 {
        assert_eq!(world.wait("ada", &format!("192.0.2.{}", n % 250)), SECOND);
    }
    for n in 0..160 {
        assert_eq!(
            world.attempt(&format!("user{n}"), &format!("192.0.2.{}", n / 16)),
            Ok(())
        );
    }
}

#[test]
fn two_spellings_of_an_address_are_one() {
    let world = World::new();
    for n in 0..20 {
        // Anywhere in the /64, which is one customer's.
        let address = format!("2001:db8:1:2:{n:x}::{n:x}");
        assert_eq!(world.attempt(&format!("user{n}"), &address), Ok(()));
    }
    assert_eq!(world.wait("ada", "2001:db8:1:2:ffff:ffff:ffff:ffff"), SECOND);
    assert_eq!(world.attempt("ada", "2001:db8:1:3::1"), Ok(()));
    for n in 0..20 {
        assert_eq!(world.attempt(&format!("more{n}"), "192.0.2.1"), Ok(()));
    }
    assert_eq!(
        world.wait("ada", "::ffff:192.0.2.1"),
        SECOND,
        "IPv4 by way of IPv6"
    );
    assert_eq!(world.attempt("ada", "192.0.2.2"), Ok(()));
}
