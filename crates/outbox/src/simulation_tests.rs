//! A seeded simulation: nodes that are killed and join at any moment, events that are refused for a while, an operator
//! who has them delivered again. Whatever happens, nothing is skipped, each aggregate's events come in their order, and
//! what is not refused flows.

use std::{collections::BTreeMap, time::Duration};

use postrider_application::ports::RelayCursors as _;

use crate::test_support::{Does, NAME, Node, World, until};

/// A small generator, the same for the same seed on every machine (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

const SEEDS: u64 = 60;
const STEPS: u32 = 80;
const NODES: u64 = 3;

/// Whether it is the event's fault, and so does not pass.
fn is_bad(does: Does) -> bool {
    matches!(does, Does::Refuses | Does::Panics)
}

async fn simulate(seed: u64) {
    let mut chance = Chance(seed);
    let mut world = World::new().await;
    // Few are written down of an aggregate, and several are told at once: with some seeds.
    world.options.max_waiting = [100, 1, 3][usize::try_from(seed % 3).unwrap()];
    world.at_once = [1, 4][usize::try_from(seed % 2).unwrap()];
    world.options.max_attempts = 2;
    let mut nodes: Vec<Node> = vec![world.node().await];
    for _ in 0..STEPS {
        match chance.below(10) {
            0..=4 => {
                let position = world.log.append(&format!("a{}", chance.below(4)));
                let does = match chance.below(8) {
                    0 => Some(Does::Refuses),
                    1 => Some(Does::IsAway),
                    2 => Some(Does::Hangs),
                    3 => Some(Does::Panics),
                    _ => None,
                };
                world.recorder.does(position, does);
                for node in &nodes {
                    node.signal.wake();
                }
            }
            5 if (nodes.len() as u64) < NODES => nodes.push(world.node().await),
            6 | 7 if !nodes.is_empty() => {
                let one = nodes.swap_remove(usize::try_from(chance.below(nodes.len() as u64)).unwrap());
                if chance.below(4) == 0 {
                    one.stop(&world).await;
                } else {
                    one.kill(&world).await;
                }
            }
            8 => {
                // Whoever was away is back; the bad stay bad.
                let mut does = world.recorder.does.lock().unwrap();
                does.retain(|_, does| is_bad(*does));
            }
            _ => {
                if let Some(first) = world.dead().await.first() {
                    world.recorder.does(*first, None);
                    world.retry(*first).await;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(chance.below(400))).await;
    }
    if nodes.is_empty() {
        nodes.push(world.node().await);
    }
    let all = world.log.aggregates();
    let head = all.last().map_or(0, |(position, _)| *position);
    world
        .recorder
        .does
        .lock()
        .unwrap()
        .retain(|_, does| is_bad(*does));
    until(async || world.position().await == head).await;
    rest_flowed(seed, &world, &all).await;
    // What waits behind a bad one may be bad as well, and is set aside in its turn.
    let mut turns = 0;
    while !world.store.blocked(NAME).await.unwrap().aggregates.is_empty() {
        turns += 1;
        assert!(turns < 10_000, "seed {seed}: something is set aside for ever");
        if let Some(first) = world.dead().await.first() {
            world.recorder.does(*first, None);
            world.retry(*first).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    in_order_and_complete(seed, &world, &all);
    for node in nodes {
        node.stop(&world).await;
    }
}

/// Of aggregates without anything that is set aside, everything came.
async fn rest_flowed(seed: u64, world: &World, all: &[(i64, String)]) {
    let blocked = world.store.blocked(NAME).await.unwrap().aggregates;
    let is_blocked = |aggregate: &String| blocked.iter().any(|known| known.of.aggregate == *aggregate);
    let taken = world.recorder.positions();
    for (position, aggregate) in all {
        assert!(
            is_blocked(aggregate) || taken.contains(position),
            "seed {seed}: {position} of {aggregate} was skipped"
        );
    }
}

/// Everything came, and of each aggregate the first time in order.
fn in_order_and_complete(seed: u64, world: &World, all: &[(i64, String)]) {
    let mut of: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (position, aggregate) in world.recorder.taken.lock().unwrap().iter() {
        let positions = of.entry(aggregate.clone()).or_default();
        if !positions.contains(position) {
            positions.push(*position);
        }
    }
    for (aggregate, positions) in &of {
        let expected: Vec<i64> = all
            .iter()
            .filter(|(_, other)| other == aggregate)
            .map(|(position, _)| *position)
            .collect();
        assert_eq!(positions, &expected, "seed {seed}: {aggregate}");
    }
    let aggregates: std::collections::BTreeSet<_> = all.iter().map(|(_, aggregate)| aggregate).collect();
    assert_eq!(of.len(), aggregates.len(), "seed {seed}");
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_nothing_is_skipped_and_order_is_kept() {
    for seed in 0..SEEDS {
        simulate(seed).await;
    }
}
