//! What a signature costs.
//!
//! `cargo bench -p postrider-crypto --bench signing`

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark ends at the first thing that is wrong"
)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use postrider_application::ports::{KeyPairs as _, WebhookSigner as _};
use postrider_crypto::StandardSigner;
use postrider_domain::{
    MessageId, Timestamp,
    deliveries::SignedContent,
    endpoints::{Ed25519Key, EndpointSecret, HeldSecret, SigningSecret},
    messages::{ContentType, Payload},
};
use uuid::Uuid;

fn sign(criterion: &mut Criterion) {
    let secrets = [1, 2].map(|byte| HeldSecret::from(SigningSecret::from_bytes(vec![byte; 32]).unwrap()));
    let seed = [7; 32];
    let public = StandardSigner.ed25519_public_key(&seed).unwrap();
    let pair = [HeldSecret::from(EndpointSecret::from(Ed25519Key::of_pair(
        seed, public,
    )))];
    let mut group = criterion.benchmark_group("sign");
    for bytes in [128_usize, 1_024, 16_384] {
        let payload = Payload::restore(vec![b'x'; bytes], ContentType::json());
        group.throughput(Throughput::Bytes(u64::try_from(bytes).unwrap()));
        for (name, secrets) in [
            ("one secret", &secrets[..1]),
            ("two secrets", &secrets[..]),
            ("a key pair", &pair[..]),
        ] {
            group.bench_with_input(BenchmarkId::new(name, bytes), &payload, |bencher, payload| {
                bencher.iter(|| {
                    let id = MessageId::from_uuid(Uuid::from_u128(7));
                    let content =
                        SignedContent::new(id, Timestamp::from_micros(1_700_000_000_000_000), payload);
                    StandardSigner.sign(black_box(secrets), &content)
                });
            });
        }
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    sign(&mut criterion);
    criterion.final_summary();
}
