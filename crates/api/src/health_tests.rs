use postrider_testkit::memory::TestClock;

use super::*;

fn health() -> (Arc<TestClock>, Health) {
    let clock = Arc::new(TestClock::new());
    let health = Health::new(clock.clone());
    (clock, health)
}

fn all_well(health: &Health) {
    for subject in Subject::ALL {
        health.report(subject, true, "fine");
    }
}

fn check(health: &Health, name: &str) -> Check {
    health
        .checks()
        .into_iter()
        .find(|check| check.name == name)
        .unwrap()
}

#[test]
fn nothing_is_ready_before_it_was_looked_at_and_the_process_serves() {
    let (_, health) = health();
    assert!(!all_ready(&health.checks()));
    assert_eq!(check(&health, "engine").looked, None);
    all_well(&health);
    assert!(!all_ready(&health.checks()), "it has not started");
    health.serves();
    assert!(all_ready(&health.checks()));
    assert_eq!(
        health.checks().iter().map(|check| check.name).collect::<Vec<_>>(),
        ["process", "database", "migrations", "engine"]
    );
}

#[test]
fn a_state_is_as_old_as_its_last_change_and_a_look_is_newer() {
    let (clock, health) = health();
    health.report(Subject::Database, true, "answers");
    clock.advance(Duration::from_secs(5));
    health.report(Subject::Database, true, "answers slowly");
    clock.advance(Duration::from_secs(2));
    let database = check(&health, "database");
    assert_eq!(
        (database.since, database.looked),
        (Duration::from_secs(7), Some(Duration::from_secs(2)))
    );
    assert_eq!(database.detail, "answers slowly");
    health.report(Subject::Database, false, "does not answer");
    assert_eq!(check(&health, "database").since, Duration::ZERO);
}

#[test]
fn what_nobody_has_looked_at_for_too_long_is_not_ready() {
    let (clock, health) = health();
    health.serves();
    all_well(&health);
    clock.advance(Duration::from_secs(20));
    assert!(all_ready(&health.checks()));
    clock.advance(Duration::from_secs(3));
    let engine = check(&health, "engine");
    assert!(!engine.ready);
    assert_eq!(
        (engine.since, engine.looked),
        (Duration::from_secs(3), Some(Duration::from_secs(23)))
    );
    assert!(
        check(&health, "migrations").ready,
        "these are looked at less often"
    );
    health.report(Subject::Engine, true, "holds its lease");
    assert_eq!(check(&health, "engine").since, Duration::ZERO);
}

#[test]
fn a_loop_that_does_not_turn_is_not_live() {
    let (clock, health) = health();
    clock.advance(Duration::from_secs(10));
    assert!(health.liveness().live);
    clock.advance(Duration::from_millis(1));
    assert_eq!(
        health.liveness(),
        Liveness {
            live: false,
            heartbeat: Duration::from_millis(10_001)
        }
    );
    health.beat();
    assert!(health.liveness().live);
}

#[test]
fn an_end_is_not_ready_and_has_started() {
    let (clock, health) = health();
    health.starting("waits for its database");
    clock.advance(Duration::from_secs(4));
    let startup = health.startup();
    assert!(!startup.started && !health.is_draining());
    assert_eq!(
        (startup.detail, startup.since),
        ("waits for its database", Duration::from_secs(4))
    );
    health.serves();
    all_well(&health);
    health.drain();
    assert!(health.is_draining() && health.startup().started && !all_ready(&health.checks()));
    assert_eq!(check(&health, "process").detail, "ends");
    health.serves();
    assert!(
        health.is_draining() && !all_ready(&health.checks()),
        "there is no way back"
    );
}
