use std::{
    collections::HashMap,
    net::{Ipv4Addr, TcpListener},
    sync::Arc,
    time::Duration,
};

use postrider_api::composition::{Platform, PlatformOptions, Server, ServerOptions, SystemClock};
use postrider_application::ports::Clock as _;
use postrider_crypto::OsRandomness;
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    DevError, Directory,
    client::ApiClient,
    demo::{self, APPLICATION, Demo},
    screen::{Screen, Shown},
    shop,
};
use crate::{
    ending::{self, Signals},
    receiver::{self, Arrival, Receiver, Verdict},
};

/// How long an event may take from the 202 to its arrival, and its delivery from arrival to the record.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many ports are tried from the wanted one on.
const PORTS_TRIED: u16 = 100;

/// Which ports to listen on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ports {
    /// This one for the API, or the next free one.
    From(u16),
    /// Any.
    Free,
}

/// What came of the sample events.
struct Tally {
    published: usize,
    delivered: usize,
    latencies: Vec<Duration>,
}

/// Starts everything, takes the ride, and keeps serving unless `once`. Answers whether every event arrived.
pub(crate) async fn run(
    directory: Directory,
    ports: Ports,
    options: PlatformOptions,
    once: bool,
) -> Result<bool, DevError> {
    let (api_listener, receiver_listener, taken) = listen(ports)?;
    let (sender, mut arrivals) = mpsc::channel(1_024);
    let receiver = Receiver::start(receiver_listener, receiver::Options::default(), sender)?;
    let platform = Platform::open(options).await?;
    let app = platform.app();
    let server = Server::start(&platform, api_listener, ServerOptions::default())?;
    let api_url = format!("http://{}", server.address());
    let shutdown = CancellationToken::new();
    let mut background = tokio::task::JoinSet::new();
    background.spawn(platform.run(shutdown.clone(), server.stop()));
    let mut signal = tokio::task::JoinSet::new();
    signal.spawn(ending::cancel_on_signal(
        Signals::install(None)?,
        shutdown.clone(),
    ));

    let screen = Screen::new();
    screen.header(&api_url, &receiver.url(), directory.path(), taken);
    let ride = async {
        let demo = demo::prepare(
            &app,
            &OsRandomness::new(),
            directory.path(),
            &api_url,
            &receiver.url(),
        )
        .await?;
        receiver.trust(demo.secret.clone());
        let mut tally = publish_samples(screen, &demo, &mut arrivals).await?;
        screen.summary(tally.published, tally.delivered, &mut tally.latencies);
        Ok::<_, DevError>((tally.delivered == tally.published, demo.api_key))
    };
    let outcome = tokio::select! {
        outcome = ride => Some(outcome),
        () = shutdown.cancelled() => None,
    };
    if let Some(Ok((_, key))) = &outcome
        && !once
    {
        screen.try_it(&api_url, key);
        show_arrivals(screen, &mut arrivals, &shutdown).await;
    }
    shutdown.cancel();
    // The engine and the API first: attempts under way may still reach the receiver.
    while background.join_next().await.is_some() {}
    receiver.stop().await;
    signal.abort_all();
    outcome
        .unwrap_or(Ok((!once, String::new())))
        .map(|(complete, _)| complete)
}

async fn publish_samples(
    screen: Screen,
    demo: &Demo,
    arrivals: &mut mpsc::Receiver<Arrival>,
) -> Result<Tally, DevError> {
    let events = shop::sample_events();
    screen.publishing(events.len());
    let clock = Arc::new(SystemClock::new());
    let mut early: HashMap<String, Arrival> = HashMap::new();
    let mut tally = Tally {
        published: 0,
        delivered: 0,
        latencies: Vec::new(),
    };
    for (event_type, payload) in events {
        let sent_at = clock.monotonic();
        let path = format!("/v1/applications/{APPLICATION}/messages");
        let message = json!({ "event_type": event_type, "payload": payload });
        let answer = demo.api.post(&path, &message).await?;
        let id = answer["id"]
            .as_str()
            .ok_or(DevError::UnexpectedAnswer("id"))?
            .to_owned();
        tally.published += 1;
        let Some(arrival) = wait_for(&id, arrivals, &mut early).await else {
            screen.missing(event_type, &id, "did not arrive");
            continue;
        };
        let verified = arrival.verdict == Verdict::Verified;
        let intact = serde_json::from_slice::<Value>(&arrival.body).is_ok_and(|body| body == payload);
        let latency = arrival.at.saturating_sub(sent_at);
        screen.arrived(&Shown {
            event_type,
            id: &id,
            bytes: arrival.bytes,
            verified,
            latency,
        });
        if !intact {
            screen.missing(event_type, &id, "arrived with another body than was published");
        } else if verified && recorded(&demo.api, &id).await? {
            tally.delivered += 1;
            tally.latencies.push(latency);
        } else if verified {
            screen.missing(event_type, &id, "arrived, but its delivery was not recorded");
        }
    }
    Ok(tally)
}

/// The arrival of message `id`; others that come meanwhile are kept for their turn.
async fn wait_for(
    id: &str,
    arrivals: &mut mpsc::Receiver<Arrival>,
    early: &mut HashMap<String, Arrival>,
) -> Option<Arrival> {
    if let Some(arrival) = early.remove(id) {
        return Some(arrival);
    }
    timeout(PATIENCE, async {
        while let Some(arrival) = arrivals.recv().await {
            if arrival.id == id {
                return Some(arrival);
            }
            early.insert(arrival.id.clone(), arrival);
        }
        None
    })
    .await
    .ok()?
}

/// Whether the API says `delivered`, as a consumer would see it, within our patience.
async fn recorded(api: &ApiClient, id: &str) -> Result<bool, DevError> {
    let path = format!("/v1/applications/{APPLICATION}/messages/{id}/deliveries");
    let asked = async {
        loop {
            let answer = api.get(&path).await?;
            let deliveries = answer["data"]
                .as_array()
                .ok_or(DevError::UnexpectedAnswer("data"))?;
            if !deliveries.is_empty()
                && deliveries
                    .iter()
                    .all(|delivery| delivery["status"] == "delivered")
            {
                return Ok(true);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, asked).await.unwrap_or(Ok(false))
}

async fn show_arrivals(screen: Screen, arrivals: &mut mpsc::Receiver<Arrival>, shutdown: &CancellationToken) {
    loop {
        tokio::select! {
            Some(arrival) = arrivals.recv() => println!("  {}", arrival.to_line(screen.color())),
            () = shutdown.cancelled() => return,
        }
    }
}

/// For the API, and for the receiver; and the port that was wanted for the API, if it is another's.
fn listen(ports: Ports) -> Result<(TcpListener, TcpListener, Option<u16>), DevError> {
    let Ports::From(wanted) = ports else {
        return Ok((bind(0)?, bind(0)?, None));
    };
    let api = bind_from(wanted)?;
    let port = api.local_addr()?.port();
    let receiver = bind_from(port.saturating_add(1))?;
    Ok((api, receiver, (port != wanted).then_some(wanted)))
}

fn bind(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

fn bind_from(port: u16) -> Result<TcpListener, DevError> {
    (port..=port.saturating_add(PORTS_TRIED - 1))
        .find_map(|port| bind(port).ok())
        .ok_or(DevError::NoPort(port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{configuration::Configuration, options, runtime};

    #[test]
    fn what_an_interrupted_start_left_is_taken_up_and_found_again() {
        let parent = tempfile::TempDir::new().unwrap();
        let path = parent.path().join("dev");
        let ride = || {
            let mut configuration = Configuration::default();
            configuration.database.directory.clone_from(&path);
            configuration.delivery.allowed_networks = vec!["127.0.0.0/8".into()];
            let directory = Directory::kept(path.clone()).unwrap();
            let options = options::platform(&configuration);
            runtime::block_on(run(directory, Ports::Free, options, true)).unwrap()
        };
        Directory::kept(path.clone()).unwrap();
        // Its owner has no tenant yet, and the endpoint that it remembers is gone.
        let state = json!({
            "owner_email": "owner@demo.example", "owner_password": "not made before", "endpoint_uid": "receiver-1",
        });
        std::fs::write(path.join("demo.json"), state.to_string()).unwrap();
        assert!(ride().unwrap());
        // The same owner, with another receiver.
        assert!(ride().unwrap());

        // Somebody who is known already is not who was written down.
        let changed = std::fs::read_to_string(path.join("demo.json")).unwrap();
        std::fs::write(
            path.join("demo.json"),
            changed.replace("not made before", "not theirs any more"),
        )
        .unwrap();
        assert!(matches!(ride(), Err(DevError::Client(refused)) if refused.status() == Some(401)));
    }
}
