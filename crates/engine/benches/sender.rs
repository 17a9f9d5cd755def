//! What one attempt costs the sender: time of the wall against a lean receiver on another thread.
//!
//! `cargo bench -p postrider-engine --bench sender`

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark ends at the first thing that is wrong"
)]

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
    time::Duration,
};

use criterion::{Bencher, BenchmarkId, Criterion, Throughput};
use futures_util::future::join_all;
use postrider_application::ports::{OutgoingRequest, Sender as _};
use postrider_domain::{
    deliveries::Outcome,
    endpoints::{AddressPolicy, EndpointUrl},
};
use postrider_engine::{HttpOptions, HttpSender};
use postrider_testkit::memory::TestClock;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::{Builder, Runtime},
    task::JoinSet,
};

const PAYLOAD: usize = 1_024;
/// More than a request takes.
const BUFFER: usize = 8_192;
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Answers 204 to every request of [`PAYLOAD`] bytes, for as long as the process lives.
fn start_receiver() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    thread::spawn(move || {
        runtime().block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(answer(stream));
            }
        });
    });
    address
}

/// Until the sender hangs up.
async fn answer(mut stream: TcpStream) {
    let (mut buffer, mut filled) = ([0; BUFFER], 0);
    while let Ok(read @ 1..) = stream.read(&mut buffer[filled..]).await {
        filled += read;
        let head = buffer[..filled]
            .windows(END_OF_HEAD.len())
            .position(|window| window == END_OF_HEAD);
        // There is never more than one request: the next one waits for this answer.
        if head.is_some_and(|end| filled >= end + END_OF_HEAD.len() + PAYLOAD) {
            filled = 0;
            stream
                .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                .await
                .unwrap();
        }
    }
}

struct Bench {
    sender: HttpSender,
    url: EndpointUrl,
    payload: Arc<[u8]>,
}

impl Bench {
    fn new(receiver: SocketAddr) -> Self {
        let options = HttpOptions {
            pool_max_idle_per_host: 64,
            ..HttpOptions::default()
        };
        let loopback = AddressPolicy::allowing(vec!["127.0.0.0/8".parse().unwrap()]);
        Self {
            sender: HttpSender::new(&options, loopback, Arc::new(TestClock::new())).unwrap(),
            url: EndpointUrl::parse(&format!("http://{receiver}/hooks/a?token=0123456789")).unwrap(),
            payload: Arc::from([b'x'; PAYLOAD]),
        }
    }

    async fn attempt(&self) {
        let headers = [
            ("content-type", "application/json"),
            ("user-agent", "Postrider/0.1.0"),
            ("webhook-id", "msg_01jd8x3v9ce2sbm4w8f1q7k5zt"),
            ("webhook-timestamp", "1674087231"),
            (
                "webhook-signature",
                "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
            ),
        ];
        let request = OutgoingRequest {
            url: self.url.clone(),
            headers: headers.map(|(name, value)| (name, value.to_owned())).to_vec(),
            custom_headers: None,
            body: Arc::clone(&self.payload),
            timeout: Duration::from_secs(15),
        };
        let sent = self.sender.send(request).await;
        assert_eq!(sent.outcome, Outcome::Delivered { status: 204 });
    }

    /// So many attempts at a time.
    fn run(&self, bencher: &mut Bencher<'_>, at_once: usize) {
        let runtime = runtime();
        bencher.iter(|| runtime.block_on(join_all((0..at_once).map(|_| self.attempt()))));
    }
}

fn main() {
    let receiver = start_receiver();
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("attempts");
    for at_once in [1, 64] {
        group.throughput(Throughput::Elements(at_once as u64));
        group.bench_with_input(
            BenchmarkId::new("http1", at_once),
            &at_once,
            |bencher, at_once| {
                Bench::new(receiver).run(bencher, *at_once);
            },
        );
    }
    group.finish();
    criterion.final_summary();
}
