//! The sender against a receiver, without anything around it.

use std::{sync::Arc, time::Duration};

use postrider_api::composition::SystemClock;
use postrider_application::ports::{Clock as _, OutgoingRequest, Sender as _};
use postrider_domain::{
    deliveries::Outcome,
    endpoints::{AddressPolicy, EndpointUrl},
};
use postrider_engine::{HttpOptions, HttpSender};
use tokio::task::JoinSet;

use crate::{Failure, own_cpu, runtime, tell};

/// Of `client`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The receiver
    #[arg(long)]
    url: String,
    /// For how long
    #[arg(long)]
    seconds: f64,
    /// How many requests are under way at once
    #[arg(long, default_value_t = 64)]
    concurrency: usize,
    /// How long each body is
    #[arg(long, default_value_t = 1_024)]
    bytes: usize,
}

/// Sends, and tells how many requests.
pub(crate) fn run(args: Args) -> Result<(), Failure> {
    runtime::block_on(send(args))?
}

async fn send(args: Args) -> Result<(), Failure> {
    // Both TLS users agree on one provider; a second call is refused and means that it is done already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let clock = Arc::new(SystemClock::new());
    let loopback = AddressPolicy::allowing(vec!["127.0.0.0/8".parse()?]);
    let options = HttpOptions {
        pool_max_idle_per_host: args.concurrency,
        ..HttpOptions::default()
    };
    let sender = Arc::new(HttpSender::new(&options, loopback, clock.clone())?);
    let url = EndpointUrl::parse(&args.url)?;
    let body: Arc<[u8]> = vec![b'x'; args.bytes].into();
    let (began, cpu) = (clock.monotonic(), own_cpu());
    let until = began + Duration::from_secs_f64(args.seconds);
    let mut lanes = JoinSet::new();
    for _ in 0..args.concurrency {
        lanes.spawn(lane(
            sender.clone(),
            clock.clone(),
            until,
            url.clone(),
            body.clone(),
        ));
    }
    let mut count = 0;
    while let Some(sent) = lanes.join_next().await {
        count += sent??;
    }
    tell(count, clock.monotonic().saturating_sub(began), own_cpu() - cpu)
}

async fn lane(
    sender: Arc<HttpSender>,
    clock: Arc<SystemClock>,
    until: Duration,
    url: EndpointUrl,
    body: Arc<[u8]>,
) -> Result<u64, Failure> {
    let mut count = 0;
    while clock.monotonic() < until {
        let request = OutgoingRequest {
            url: url.clone(),
            headers: vec![
                ("content-type", "application/json".to_owned()),
                ("webhook-id", "msg_00000000000000000000000000".to_owned()),
                ("webhook-timestamp", "1700000000".to_owned()),
                ("webhook-signature", format!("v1,{}", "A".repeat(44))),
            ],
            custom_headers: None,
            body: body.clone(),
            timeout: Duration::from_secs(15),
        };
        let sent = sender.send(request).await;
        if !matches!(sent.outcome, Outcome::Delivered { .. }) {
            return Err(format!("a request failed: {:?}", sent.outcome).into());
        }
        count += 1;
    }
    Ok(count)
}
