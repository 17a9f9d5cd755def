//! Shares in bytes, and of what waits: nobody fills what others need.

use uuid::Uuid;

use super::*;

const LIMITS: Limits = Limits {
    in_flight: 2_048,
    per_endpoint: 64,
    bytes: 32 << 20,
    waiting: 8_192,
};
const LARGE: usize = 1 << 20;

fn tenant(n: u128) -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(n))
}

fn endpoint(n: u128) -> EndpointId {
    EndpointId::from_uuid(Uuid::from_u128(n))
}

struct Scene {
    lanes: Lanes,
    last: u64,
}

impl Scene {
    fn new() -> Self {
        Self {
            lanes: Lanes::new(LIMITS),
            last: 0,
        }
    }

    fn job(&mut self, bytes: usize) -> Weighed {
        self.last += 1;
        Weighed {
            job: JobId(self.last),
            bytes,
        }
    }

    fn arrive(&mut self, of: u128, to: u128, bytes: usize) -> Arrival {
        let job = self.job(bytes);
        self.lanes.arrive(tenant(of), endpoint(to), job, false)
    }

    /// How many of `jobs` begin.
    fn begin(&mut self, of: u128, to: u128, bytes: usize, jobs: usize) -> usize {
        (0..jobs)
            .filter(|_| self.arrive(of, to, bytes) == Arrival::Begins)
            .count()
    }
}

#[test]
fn large_payloads_for_one_endpoint_leave_bytes_to_others() {
    let mut scene = Scene::new();
    let begun = scene.begin(1, 1, LARGE, 64);
    assert!((2..=8).contains(&begun), "{begun} of 32 MiB in one lane");
    assert_eq!(scene.begin(2, 2, 1_024, 64), 64, "small ones are not held up");
    assert!(scene.begin(2, 3, LARGE, 8) >= 2, "nor are large ones of others");
}

#[test]
fn a_tenant_with_many_slow_endpoints_holds_half_of_the_bytes_at_most() {
    let mut scene = Scene::new();
    let begun: usize = (0..200).map(|n| scene.begin(1, 1_000 + n, LARGE, 4)).sum();
    assert!(begun <= 17, "{begun}");
    assert!(scene.begin(2, 1, LARGE, 1) == 1);
    assert_eq!(scene.begin(2, 2, 1_024, 64), 64);
}

#[test]
fn what_is_larger_than_everything_has_its_turn_alone() {
    let mut scene = Scene::new();
    assert_eq!(scene.arrive(1, 1, 64 << 20), Arrival::Begins);
    assert_eq!(scene.arrive(2, 2, 1), Arrival::Waits, "until it ends");
    scene.lanes.end_turn(endpoint(1), 64 << 20);
    assert!(
        scene
            .lanes
            .call_next()
            .is_some_and(|(called, _)| called == endpoint(2))
    );
}

#[test]
fn a_light_one_passes_a_heavy_one_that_finds_no_room() {
    let mut scene = Scene::new();
    // The tenant holds nearly its half; heavy ones and a light one wait in lanes of their own.
    while scene.arrive(1, 1_000 + u128::from(scene.last), 3 * LARGE) == Arrival::Begins {}
    assert_eq!(scene.arrive(1, 1, 3 * LARGE), Arrival::Waits);
    let light = scene.job(10);
    scene.lanes.wait(tenant(1), endpoint(2), light);
    assert_eq!(scene.lanes.call_next(), Some((endpoint(2), light.job)));
    assert_eq!(scene.lanes.call_next(), None);
}

#[test]
fn fetching_for_a_tenant_with_many_slow_endpoints_leaves_room_for_others() {
    for slow in [50, 200, 600, 1_000] {
        let mut scene = Scene::new();
        // Everything that has room waits, and then each lane is fetched for, again and again.
        for round in 0..20 {
            for n in 0..slow {
                let to = endpoint(1_000 + n);
                let room = if round == 0 {
                    64
                } else {
                    scene.lanes.room_in_lane(to)
                };
                for _ in 0..room.min(500) {
                    let job = scene.job(100);
                    if round == 0 {
                        scene.lanes.arrive(tenant(1), to, job, false);
                    } else {
                        scene.lanes.wait(tenant(1), to, job);
                    }
                }
            }
        }
        let begun = scene.begin(2, 1, 100, 500);
        assert!(begun >= 1, "{slow}");
        let room = scene.lanes.room_in_lane(endpoint(1));
        let waits = scene.lanes.waiting_at(endpoint(1));
        assert!(room + waits >= 100, "{slow}: {room} and {waits}");
    }
}
