//! What holds whatever comes, in whatever order.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Arrive { of: u8, to: u8, backlog: bool },
    Fetch { of: u8, to: u8 },
    End(prop::sample::Index),
    Call,
    Dismiss,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Each endpoint has one tenant.
    let whom = || (0u8..3, 0u8..3).prop_map(|(of, n)| (of, of * 3 + n));
    let step = prop_oneof![
        8 => (whom(), any::<bool>()).prop_map(|((of, to), backlog)| Step::Arrive { of, to, backlog: backlog && to % 2 == 0 }),
        3 => whom().prop_map(|(of, to)| Step::Fetch { of, to }),
        5 => any::<prop::sample::Index>().prop_map(Step::End),
        5 => Just(Step::Call),
        1 => Just(Step::Dismiss),
    ];
    proptest::collection::vec(step, 0..150)
}

fn take(scene: &mut Scene, step: &Step) {
    match *step {
        Step::Arrive { of, to, backlog } => {
            scene.arrive_with(tenant(of.into()), endpoint(to.into()), backlog);
        }
        Step::Fetch { of, to } => scene.fetch(of.into(), to.into()),
        Step::End(index) => {
            if !scene.active.is_empty() {
                let index = index.index(scene.active.len());
                scene.end(index);
            }
        }
        Step::Call => drop(scene.call()),
        Step::Dismiss => {
            let dismissed: BTreeSet<_> = scene.lanes.dismiss_waiting().into_iter().collect();
            assert_eq!(dismissed, std::mem::take(&mut scene.waiting));
        }
    }
}

proptest! {
    /// Nobody is lost or called twice, no bound is passed, everybody's turn comes, and nobody is remembered
    /// afterwards, whatever happens.
    #[test]
    fn nobody_is_lost_and_bounds_hold(
        steps in steps(),
        (in_flight, per_endpoint, waiting) in (1usize..12, 1usize..5, 1usize..12),
        (heavy, bytes) in (0usize..4, 1usize..60),
    ) {
        let limits = Limits { in_flight, per_endpoint: per_endpoint.min(in_flight), waiting, bytes };
        let mut scene = Scene::new(limits);
        scene.heavy = heavy;
        let mut fetched = false;
        for step in steps {
            fetched |= matches!(step, Step::Fetch { .. });
            take(&mut scene, &step);
            scene.check();
            prop_assert!(fetched || scene.lanes.waiting() <= waiting);
        }
        scene.play_to_the_end();
    }

    /// As long as somebody waits, there is somebody whose turn is free or under way.
    #[test]
    fn an_idle_turn_is_never_withheld_from_a_lane_without_one(
        arrivals in proptest::collection::vec((0u128..4, 0u128..4), 1..60),
    ) {
        let mut scene = Scene::new(Limits { in_flight: 64, per_endpoint: 4, waiting: 100, bytes: usize::MAX });
        for (of, n) in arrivals {
            scene.arrive(of, of * 10 + n);
        }
        while scene.call().is_some() {}
        for job in &scene.waiting {
            prop_assert!(scene.active_at(scene.whose[job].1) > 0);
        }
    }
}
