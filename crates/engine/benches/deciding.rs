//! What the engine's decisions cost, without anything around them: which endpoints want a message, whose turn it is,
//! when the next attempt is due, and ids as text.
//!
//! `cargo bench -p postrider-engine --bench deciding`

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark ends at the first thing that is wrong"
)]

// Nobody outside of the engine may know its lanes, which are a file by themselves.
#[path = "../src/lanes.rs"]
#[expect(dead_code, reason = "only what is measured is used")]
mod lanes;

use std::{collections::VecDeque, hint::black_box, time::Duration};

use criterion::{BatchSize, BenchmarkId, Criterion};
use lanes::{Arrival, JobId, Lanes, Limits, Weighed};
use postrider_domain::{
    EndpointId, MessageId, TenantId, Timestamp,
    deliveries::{Delivery, FailureClass, Jitter, Outcome, RetryPolicy},
    endpoints::Filter,
    event_types::EventTypeName,
    messages::{Channel, Channels},
};
use uuid::Uuid;

const LIMITS: Limits = Limits {
    in_flight: 512,
    per_endpoint: 64,
    waiting: 8_192,
    bytes: 32 << 20,
};

fn event_type(n: usize) -> EventTypeName {
    EventTypeName::parse(&format!("invoice.kind{n}")).unwrap()
}

fn matching(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("match a message with the endpoints of an application");
    let channels = Channels::new(vec![Channel::parse("berlin").unwrap()]).unwrap();
    for endpoints in [1_usize, 10, 100] {
        let filters: Vec<Filter> = (0..endpoints)
            .map(|n| Filter::new((n..n + 10).map(event_type).collect(), Vec::new()).unwrap())
            .collect();
        let wanted = event_type(5);
        group.bench_with_input(
            BenchmarkId::from_parameter(endpoints),
            &filters,
            |bencher, filters| {
                bencher.iter(|| {
                    let wants = |filter: &&Filter| filter.wants(black_box(&wanted), &channels);
                    filters.iter().filter(wants).count()
                });
            },
        );
    }
    group.finish();
}

fn endpoint(n: u64) -> (TenantId, EndpointId) {
    let tenant = TenantId::from_uuid(Uuid::from_u128(u128::from(n % 8) + 1));
    (tenant, EndpointId::from_uuid(Uuid::from_u128(u128::from(n) + 1)))
}

/// Jobs of so many endpoints arrive; whenever one does not have its turn at once, the oldest turn ends.
fn turns(endpoints: u64, jobs: u64) -> usize {
    let mut lanes = Lanes::new(LIMITS);
    let mut under_way = VecDeque::new();
    for job in 0..jobs {
        let (tenant, endpoint) = endpoint(job % endpoints);
        if lanes.arrive(
            tenant,
            endpoint,
            Weighed {
                job: JobId(job),
                bytes: 1_024,
            },
            false,
        ) == Arrival::Begins
        {
            under_way.push_back(endpoint);
            continue;
        }
        if let Some(oldest) = under_way.pop_front() {
            lanes.end_turn(oldest, 1_024);
        }
        while let Some((called, _)) = lanes.call_next() {
            under_way.push_back(called);
        }
    }
    under_way.len()
}

fn scheduling(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("1,000 turns");
    for endpoints in [1, 10, 1_000] {
        group.bench_with_input(
            BenchmarkId::from_parameter(endpoints),
            &endpoints,
            |bencher, endpoints| {
                bencher.iter(|| turns(black_box(*endpoints), 1_000));
            },
        );
    }
    group.finish();
    let (_, endpoint) = endpoint(1);
    let message = MessageId::from_uuid(Uuid::from_u128(9));
    let policy = RetryPolicy::default();
    let failed = Outcome::Failed {
        class: FailureClass::Status,
        status: Some(503),
    };
    criterion.bench_function("record a failure", |bencher| {
        bencher.iter_batched(
            || Delivery::begin(message, endpoint, Timestamp::from_micros(0)),
            |mut delivery| {
                let (after, jitter) = (Some(Duration::from_secs(1)), Jitter::from_bits(40_000));
                delivery.record(
                    black_box(failed),
                    after,
                    &policy,
                    Timestamp::from_micros(5),
                    jitter,
                );
                delivery
            },
            BatchSize::SmallInput,
        );
    });
}

fn codec(criterion: &mut Criterion) {
    let id = MessageId::from_uuid(Uuid::from_u128(0x0192_fe3b_7c5d_7abc_8def_0123_4567_89ab));
    let text = id.to_string();
    criterion.bench_function("write an id", |bencher| {
        bencher.iter(|| black_box(id).to_string());
    });
    criterion.bench_function("read an id", |bencher| {
        bencher.iter(|| black_box(text.as_str()).parse::<MessageId>().unwrap());
    });
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    matching(&mut criterion);
    scheduling(&mut criterion);
    codec(&mut criterion);
    criterion.final_summary();
}
