use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::*;

const LIMITS: Limits = Limits {
    in_flight: 2_048,
    per_endpoint: 64,
    waiting: 8_192,
    bytes: usize::MAX,
};

fn tenant(n: u128) -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(n))
}

fn endpoint(n: u128) -> EndpointId {
    EndpointId::from_uuid(Uuid::from_u128(n))
}

/// Lanes, and what they were told and said.
struct Scene {
    lanes: Lanes,
    limits: Limits,
    last: u64,
    /// How heavy jobs are, times 0 to 6.
    heavy: usize,
    whose: BTreeMap<JobId, (TenantId, EndpointId)>,
    /// In the order in which they began.
    active: Vec<JobId>,
    waiting: BTreeSet<JobId>,
    parked: Vec<JobId>,
}

impl Scene {
    fn new(limits: Limits) -> Self {
        Self {
            lanes: Lanes::new(limits),
            limits,
            last: 0,
            heavy: 0,
            whose: BTreeMap::new(),
            active: Vec::new(),
            waiting: BTreeSet::new(),
            parked: Vec::new(),
        }
    }

    fn weighed(&self, job: JobId) -> Weighed {
        let bytes = self.heavy * usize::try_from(job.0 % 7).unwrap();
        Weighed { job, bytes }
    }

    fn arrive_with(&mut self, tenant: TenantId, endpoint: EndpointId, backlog: bool) -> Arrival {
        self.last += 1;
        let job = JobId(self.last);
        self.whose.insert(job, (tenant, endpoint));
        let weighed = self.weighed(job);
        let arrival = self.lanes.arrive(tenant, endpoint, weighed, backlog);
        match arrival {
            Arrival::Begins => self.active.push(job),
            Arrival::Waits => drop(self.waiting.insert(job)),
            Arrival::Parks => self.parked.push(job),
        }
        arrival
    }

    fn arrive(&mut self, of: u128, to: u128) -> Arrival {
        self.arrive_with(tenant(of), endpoint(to), false)
    }

    fn flood(&mut self, of: u128, to: u128, count: usize) {
        for _ in 0..count {
            self.arrive(of, to);
        }
    }

    /// As what was fetched from the database does: it waits, whatever the room.
    fn fetch(&mut self, of: u128, to: u128) {
        if self.arrive(of, to) == Arrival::Parks {
            let job = self.parked.pop().unwrap();
            let weighed = self.weighed(job);
            self.lanes.wait(tenant(of), endpoint(to), weighed);
            self.waiting.insert(job);
        }
    }

    fn end(&mut self, index: usize) -> EndpointId {
        let job = self.active.remove(index);
        let (_, endpoint) = self.whose.remove(&job).unwrap();
        self.lanes.end_turn(endpoint, self.weighed(job).bytes);
        endpoint
    }

    fn call(&mut self) -> Option<(TenantId, EndpointId)> {
        let (endpoint, job) = self.lanes.call_next()?;
        assert!(self.waiting.remove(&job), "{job:?} does not wait");
        let whose = self.whose[&job];
        assert_eq!(whose.1, endpoint);
        self.active.push(job);
        Some(whose)
    }

    fn active_at(&self, at: EndpointId) -> usize {
        let here = |job: &&JobId| self.whose[job].1 == at;
        self.active.iter().filter(here).count()
    }

    fn check(&self) {
        assert_eq!(
            (self.lanes.active(), self.lanes.waiting()),
            (self.active.len(), self.waiting.len())
        );
        assert!(self.active.len() <= self.limits.in_flight);
        let mut counts: BTreeMap<EndpointId, (usize, usize)> = BTreeMap::new();
        for job in &self.active {
            counts.entry(self.whose[job].1).or_default().0 += 1;
        }
        for job in &self.waiting {
            counts.entry(self.whose[job].1).or_default().1 += 1;
        }
        for (endpoint, (active, waiting)) in counts {
            assert!(active <= self.limits.per_endpoint);
            assert_eq!(self.lanes.waiting_at(endpoint), waiting);
        }
    }

    /// Everybody's turn comes, and nobody is remembered afterwards.
    fn play_to_the_end(&mut self) {
        loop {
            while self.call().is_some() {}
            self.check();
            if self.active.is_empty() {
                break;
            }
            self.end(0);
        }
        assert!(self.waiting.is_empty(), "{:?} wait for ever", self.waiting);
        assert!(self.is_forgotten());
    }

    fn is_forgotten(&self) -> bool {
        let lanes = &self.lanes;
        lanes.by_endpoint.is_empty()
            && lanes.tenants.is_empty()
            && lanes.ring.is_empty()
            && lanes.active() == 0
    }
}

#[test]
fn a_full_endpoint_waits_while_others_proceed() {
    let mut scene = Scene::new(Limits {
        per_endpoint: 2,
        ..LIMITS
    });
    assert_eq!(
        [(); 3].map(|()| scene.arrive(1, 7)),
        [Arrival::Begins, Arrival::Begins, Arrival::Waits]
    );
    assert_eq!(scene.arrive(1, 8), Arrival::Begins);
    assert_eq!(scene.call(), None, "no turn is free");
    scene.end(0);
    assert_eq!(scene.call(), Some((tenant(1), endpoint(7))));
    scene.play_to_the_end();
}

#[test]
fn who_comes_later_does_not_pass_who_waits() {
    let mut scene = Scene::new(Limits {
        per_endpoint: 1,
        ..LIMITS
    });
    scene.arrive(1, 1);
    let order: Vec<_> = (0..3)
        .map(|_| {
            scene.arrive(1, 1);
            JobId(scene.last)
        })
        .collect();
    scene.end(0);
    // A turn is free, but two wait already.
    assert_eq!(scene.arrive(1, 1), Arrival::Waits);
    let mut called = Vec::new();
    while called.len() < 3 {
        scene.call().unwrap();
        called.push(scene.active[0]);
        scene.end(0);
    }
    assert_eq!(called, order);
}

#[test]
fn with_a_backlog_in_the_database_only_a_free_turn_is_taken() {
    let mut scene = Scene::new(Limits {
        per_endpoint: 1,
        ..LIMITS
    });
    assert_eq!(scene.arrive_with(tenant(1), endpoint(1), true), Arrival::Begins);
    assert_eq!(scene.arrive_with(tenant(1), endpoint(1), true), Arrival::Parks);
    assert_eq!(scene.lanes.waiting(), 0);
}

#[test]
fn tenants_take_turns_whatever_the_number_of_their_endpoints() {
    let mut scene = Scene::new(Limits {
        in_flight: 1,
        per_endpoint: 1,
        waiting: 100_000,
        bytes: usize::MAX,
    });
    scene.arrive(9, 9_000);
    for n in 0..100 {
        scene.arrive(1, n);
        scene.arrive(1, n);
    }
    for _ in 0..20 {
        scene.arrive(2, 500);
        scene.arrive(3, 600 + u128::from(scene.last % 2));
    }
    let mut turns = Vec::new();
    for _ in 0..60 {
        scene.end(0);
        turns.push(scene.call().unwrap().0);
    }
    for round in turns.chunks(3) {
        let round: BTreeSet<_> = round.iter().copied().collect();
        assert_eq!(
            round.len(),
            3,
            "each of the three has one turn in three: {turns:?}"
        );
    }
    scene.play_to_the_end();
}

#[test]
fn endpoints_of_a_tenant_take_turns() {
    let mut scene = Scene::new(Limits {
        in_flight: 1,
        per_endpoint: 1,
        waiting: 1_000,
        bytes: usize::MAX,
    });
    scene.arrive(1, 9);
    for (to, count) in [(1, 30), (2, 5), (3, 5)] {
        scene.flood(1, to, count);
    }
    let mut turns = Vec::new();
    for _ in 0..15 {
        scene.end(0);
        turns.push(scene.call().unwrap().1);
    }
    for n in 1..=3 {
        assert_eq!(
            turns.iter().filter(|to| **to == endpoint(n)).count(),
            5,
            "{turns:?}"
        );
    }
}

#[test]
fn a_lane_shrinks_while_others_are_busy_and_never_to_nothing() {
    let mut scene = Scene::new(Limits {
        in_flight: 64,
        per_endpoint: 64,
        waiting: 10_000,
        bytes: usize::MAX,
    });
    let mut widths = Vec::new();
    for to in 0..8 {
        // Of a tenant each: this is about lanes.
        scene.flood(to, to, 64);
        widths.push(scene.active_at(endpoint(to)));
    }
    assert!(
        widths[0] > 4 && widths[0] <= 16,
        "a quarter of the free ones at most: {widths:?}"
    );
    assert!(
        widths.is_sorted_by(|earlier, later| earlier >= later) && widths[7] >= 1,
        "{widths:?}"
    );
    assert!(widths[7] < widths[0]);
    // Those who are alone again have more again.
    while scene.active.iter().any(|job| scene.whose[job].1 != endpoint(0)) {
        let at = scene
            .active
            .iter()
            .position(|job| scene.whose[job].1 != endpoint(0))
            .unwrap();
        scene.end(at);
    }
    scene.check();
    scene.play_to_the_end();
}

/// Endpoints that never answer, with as many jobs as fit and more.
fn slow(scene: &mut Scene, tenants: u128, endpoints_each: u128, jobs_each: usize) {
    for _ in 0..jobs_each {
        for of in 0..tenants {
            for n in 0..endpoints_each {
                scene.arrive(of, of * 100_000 + n);
            }
        }
    }
    while scene.call().is_some() {}
}

#[test]
fn a_new_endpoint_finds_a_turn_beside_slow_ones_of_the_same_tenant_and_of_others() {
    for (tenants, endpoints_each) in [(1, 1), (1, 16), (1, 40), (1, 400), (4, 50), (12, 20), (40, 5)] {
        let mut scene = Scene::new(LIMITS);
        slow(&mut scene, tenants, endpoints_each, 100);
        let beside = format!("beside {tenants} tenants with {endpoints_each} slow endpoints each");
        for n in 0..20 {
            assert_eq!(scene.arrive(0, 99_000 + n), Arrival::Begins, "{n}, {beside}");
            assert_eq!(scene.arrive(77, 7_700_000 + n), Arrival::Begins, "{n}, {beside}");
        }
        for n in 0..50 {
            // However many wait, what was parked for somebody else can be fetched.
            let room = scene.lanes.room_in_lane(endpoint(98_000 + n));
            assert!(room >= 1, "{beside}");
            (0..room).for_each(|_| scene.fetch(55, 98_000 + n));
        }
        scene.check();
    }
}

#[test]
fn a_tenant_with_thousands_of_slow_endpoints_leaves_turns_to_others() {
    let mut scene = Scene::new(LIMITS);
    slow(&mut scene, 1, 5_000, 3);
    assert!(scene.active.len() < LIMITS.in_flight);
    for n in 0..50 {
        assert_eq!(scene.arrive(7, 700_000 + n), Arrival::Begins);
    }
    // As long as they go on answering, all of what comes for them is sent at once.
    for n in (0..50).cycle().take(1_000) {
        let at = scene
            .active
            .iter()
            .position(|job| scene.whose[job].0 == tenant(7))
            .unwrap();
        scene.end(at);
        assert_eq!(scene.arrive(7, 700_000 + n), Arrival::Begins);
    }
    scene.check();
}

#[test]
fn one_endpoint_never_takes_more_than_half_of_the_room_to_wait() {
    let mut scene = Scene::new(Limits {
        in_flight: 16,
        per_endpoint: 4,
        waiting: 100,
        bytes: usize::MAX,
    });
    scene.flood(1, 1, 300);
    assert!(scene.lanes.waiting_at(endpoint(1)) <= 50);
    assert_eq!(scene.lanes.room_in_lane(endpoint(1)), 0);
    scene.flood(2, 2, 300);
    assert!(scene.lanes.waiting_at(endpoint(2)) >= 15);
    assert!(scene.lanes.waiting() <= 100 && !scene.parked.is_empty());
    scene.play_to_the_end();
}

#[test]
fn what_was_fetched_waits_whatever_the_room() {
    let mut scene = Scene::new(Limits {
        in_flight: 1,
        per_endpoint: 1,
        waiting: 2,
        bytes: usize::MAX,
    });
    (0..6).for_each(|_| scene.fetch(1, 1));
    assert_eq!(scene.lanes.waiting(), 5);
    assert_eq!(
        (
            scene.lanes.room_in_lane(endpoint(1)),
            scene.lanes.room_in_lane(endpoint(2))
        ),
        (0, 0)
    );
    scene.play_to_the_end();
}

#[test]
fn whoever_waits_is_dismissed_once_and_those_under_way_end_as_ever() {
    let mut scene = Scene::new(Limits {
        per_endpoint: 1,
        ..LIMITS
    });
    for to in 0..3 {
        scene.flood(to % 2, to, 3);
    }
    let mut dismissed = scene.lanes.dismiss_waiting();
    dismissed.sort_unstable();
    assert_eq!(dismissed, scene.waiting.iter().copied().collect::<Vec<_>>());
    scene.waiting.clear();
    assert!(scene.lanes.dismiss_waiting().is_empty());
    scene.check();
    // Somebody may still come.
    assert_eq!(scene.arrive(0, 0), Arrival::Waits);
    scene.play_to_the_end();
}

#[path = "lanes_property_tests.rs"]
mod properties;
