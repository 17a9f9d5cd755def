//! Random publishes, receivers, crashes and lost answers: nothing accepted is lost, and nothing is written twice.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's own steps fail by panicking"
)]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use postrider_application::ports::{AcceptMessage, Accepted, IntakeError, MessageIntake as _};
use postrider_domain::{
    EndpointId, MessageId,
    deliveries::{RetryPolicy, RetrySchedule},
    endpoints::{AttemptTimeout, Filter},
};
use postrider_engine::EngineOptions;
use postrider_testkit::contract::Customer;
use support::{
    faulty::{Fault, Op},
    node::Node,
    receivers::{Behaviour, Receivers},
    world::World,
};
use tokio::task::JoinSet;

const SEEDS: std::ops::Range<u64> = 1..61;
const STEPS: u32 = 40;
const RETRIES: usize = 4;
/// Longer than any caller waits.
const CALLER_GONE: Duration = Duration::from_secs(15);

/// Numbers of a seed (xorshift).
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap()
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What a caller was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Accepted,
    Refused,
    Unknown,
}

struct Place {
    customer: Customer,
    endpoints: Vec<(EndpointId, String)>,
}

struct Simulation {
    seed: u64,
    dice: Dice,
    world: World,
    receivers: Arc<Receivers>,
    places: Vec<Place>,
    nodes: Vec<Option<Node>>,
    callers: JoinSet<(usize, MessageId, Told)>,
    told: Vec<(usize, MessageId, Told)>,
    /// URLs that ever said that they are gone.
    gone: BTreeSet<String>,
    /// How many attempts, at most, were under way and not written when something crashed.
    may_repeat: usize,
}

impl Simulation {
    async fn new(seed: u64) -> Self {
        let mut dice = Dice::of(seed);
        let world = World::new().await;
        let receivers = Receivers::new(world.clock.clone());
        let mut places = Vec::new();
        for of in 0..3 {
            let customer = world.fixture.application(&world.tenancy).await;
            let mut endpoints = Vec::new();
            for n in 0..=dice.below(3) {
                let url = format!("https://{of}-{n}.example/");
                let id = world.endpoint_of(&customer, &url, Filter::default()).await;
                endpoints.push((id, url));
            }
            places.push(Place { customer, endpoints });
        }
        *world.faults.latency.lock().unwrap() = Duration::from_millis(dice.below(12));
        Self {
            seed,
            dice,
            world,
            receivers,
            places,
            nodes: vec![None, None],
            callers: JoinSet::new(),
            told: Vec::new(),
            gone: BTreeSet::new(),
            may_repeat: 0,
        }
    }

    /// Little room, so that rows are parked and payloads forgotten.
    fn options(&mut self) -> EngineOptions {
        EngineOptions {
            max_in_flight: 4 + self.dice.index(30),
            max_in_flight_per_endpoint: 1 + self.dice.index(4),
            max_waiting: 1 + self.dice.index(30),
            settle_batch: 1 + self.dice.index(20),
            claim_batch: 1 + u32::try_from(self.dice.below(20)).unwrap(),
            drain_timeout: Duration::from_secs(2),
            store_timeout: Duration::from_secs(2),
            attempt_timeout: AttemptTimeout::from_millis(3_000).unwrap(),
            retry: RetryPolicy {
                schedule: RetrySchedule::new(vec![Duration::from_secs(2); RETRIES]).unwrap(),
                ..RetryPolicy::default()
            },
            ..EngineOptions::default()
        }
    }

    /// From now on some answers are lost.
    fn lose_answers(&self, percent: u64) {
        let mut dice = Dice::of(self.seed + 77_777);
        let chance = move |op| {
            if !dice.chance(percent) {
                return None;
            }
            Some(match (op, dice.below(8)) {
                // Two lost ones in a row are no reason to die; a hanging one is two.
                (Op::Beat, _) | (_, 0..=2) => Fault::Before,
                (_, 7) => Fault::Hangs,
                _ => Fault::After,
            })
        };
        *self.world.faults.chance.lock().unwrap() = Some(Box::new(chance));
    }

    /// Attempts that arrived and are not written.
    fn unwritten(&self) -> usize {
        let written: usize = self.world.faults.written.lock().unwrap().values().sum();
        self.receivers.arrivals().len() - written
    }

    async fn step(&mut self) {
        match self.dice.below(20) {
            0..=9 => self.publish(),
            10..=12 => self.change_a_receiver(),
            13 | 14 => {
                self.may_repeat += self.unwritten();
                let index = self.dice.index(2);
                self.nodes[index] = None;
            }
            15 => {
                let index = self.dice.index(2);
                if let Some(node) = self.nodes[index].take() {
                    self.may_repeat += self.unwritten();
                    node.shut_down().await;
                }
            }
            _ => self.start_one().await,
        }
        let wait = self.dice.below(1_500);
        tokio::time::sleep(Duration::from_millis(wait)).await;
        while let Some(told) = self.callers.try_join_next() {
            self.told.push(told.unwrap());
        }
    }

    async fn start_one(&mut self) {
        if let Some(index) = self.nodes.iter().position(Option::is_none) {
            let options = self.options();
            self.nodes[index] = Some(self.world.node(options, &self.receivers).await);
        }
    }

    fn publish(&mut self) {
        let index = self.dice.index(2);
        let Some(node) = &self.nodes[index] else { return };
        let place = self.dice.index(self.places.len());
        let customer = &self.places[place].customer;
        for _ in 0..=self.dice.below(25) {
            let message = self.world.fixture.message(customer);
            let (id, scope, intake) = (message.id, customer.scope.clone(), node.intake.clone());
            self.callers.spawn(async move {
                let accept = AcceptMessage { message, dedup: None };
                let answer = tokio::time::timeout(CALLER_GONE, intake.accept(&scope, accept)).await;
                let told = match answer {
                    Ok(Ok(Accepted::New)) => Told::Accepted,
                    Ok(Err(IntakeError::Full | IntakeError::ShareExceeded | IntakeError::Store(_))) => {
                        Told::Refused
                    }
                    Ok(Err(IntakeError::OutcomeUnknown(_))) | Err(_) => Told::Unknown,
                    Ok(other) => panic!("{other:?}"),
                };
                (place, id, told)
            });
        }
    }

    fn change_a_receiver(&mut self) {
        let place = self.dice.index(self.places.len());
        let endpoints = &self.places[place].endpoints;
        let url = &endpoints[self.dice.index(endpoints.len())].1;
        let behaviour = match self.dice.below(20) {
            0..=7 => Behaviour::Answers(204),
            8..=11 => Behaviour::Answers(500),
            12..=15 => Behaviour::Hangs,
            16 => Behaviour::Answers(410),
            _ => Behaviour::AnswersAfter(204, Duration::from_millis(self.dice.below(4_000))),
        };
        self.receivers.behave(url, behaviour);
        if behaviour == Behaviour::Answers(410) {
            self.gone.insert(url.clone());
        }
    }

    /// All faults are off and everybody answers: everything comes to its end.
    async fn recover(&mut self) {
        *self.world.faults.chance.lock().unwrap() = None;
        for (_, url) in self.places.iter().flat_map(|place| &place.endpoints) {
            self.receivers.behave(url, Behaviour::Answers(204));
        }
        self.start_one().await;
        while let Some(told) = self.callers.join_next().await {
            self.told.push(told.unwrap());
        }
        self.world.settled_within(Duration::from_mins(10)).await;
        tokio::time::sleep(Duration::from_mins(2)).await;
        assert_eq!(self.world.store.queued(), 0);
        for node in self.nodes.iter().flatten() {
            // But for a look at the queue, which takes a moment.
            let is_empty = || {
                let status = node.status();
                (
                    status.memory_rows,
                    status.memory_bytes,
                    status.in_flight,
                    status.waiting,
                ) == (0, 0, 0, 0)
            };
            let at_last = format!("nothing is left in memory: {:?}", node.status());
            self.world.until(Duration::from_secs(1), &at_last, is_empty).await;
        }
    }

    async fn check(&self) {
        let written = self.world.faults.written.lock().unwrap().clone();
        assert!(
            written.values().all(|times| *times == 1),
            "an attempt is written twice"
        );
        let repeated = self.receivers.arrivals().len() - written.len();
        assert!(
            repeated <= self.may_repeat,
            "{repeated} repeated, {} may be",
            self.may_repeat
        );
        let disabled: Vec<_> = self
            .world
            .guard
            .disabled
            .lock()
            .unwrap()
            .iter()
            .map(|(id, _)| *id)
            .collect();
        let arrived = self.receivers.counts();
        for (place, message, told) in &self.told {
            let Place { customer, endpoints } = &self.places[*place];
            let deliveries = self.world.deliveries_of(customer, *message).await;
            let stands: BTreeMap<_, _> = deliveries
                .iter()
                .map(|delivery| (delivery.endpoint, (delivery.status.as_str(), delivery.attempts)))
                .collect();
            if *told != Told::Accepted && stands.is_empty() {
                continue;
            }
            assert!(*told != Told::Refused, "{message} was refused, and is there");
            for (id, url) in endpoints {
                let times = arrived
                    .get(&(message.to_string(), url.clone()))
                    .copied()
                    .unwrap_or(0);
                match stands.get(id) {
                    Some(("delivered", _)) => assert!(times >= 1),
                    Some(("failed", attempts)) => assert!(
                        *attempts as usize == RETRIES + 1 || self.gone.contains(url),
                        "{message} to {url} failed after {attempts} attempts"
                    ),
                    Some(("cancelled", _)) | None => {
                        assert!(disabled.contains(id), "{message} never came to {url}: {stands:?}");
                    }
                    other => panic!("{message} to {url}: {other:?}"),
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_accepted_is_lost_and_nothing_is_written_twice() {
    let (mut accepted, mut crashed) = (0, 0);
    for seed in SEEDS {
        // Shown if it fails.
        println!("seed {seed}");
        let mut simulation = Simulation::new(seed).await;
        simulation.start_one().await;
        let percent = [0, 3, 10, 25][simulation.dice.index(4)];
        simulation.lose_answers(percent);
        for _ in 0..STEPS {
            simulation.step().await;
        }
        simulation.recover().await;
        simulation.check().await;
        accepted += simulation
            .told
            .iter()
            .filter(|(.., told)| *told == Told::Accepted)
            .count();
        crashed += simulation.may_repeat;
    }
    // It would be no test if nothing happened.
    assert!(
        accepted > 1_000 && crashed > 0,
        "{accepted} accepted, {crashed} under way at crashes"
    );
}
