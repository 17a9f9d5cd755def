use std::{
    collections::HashMap,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, http::StatusCode, http::header::HeaderMap,
    web,
};
use postrider_api::composition::SystemClock;
use postrider_application::ports::Clock as _;
use postrider_crypto::{ReceivedWebhook, WebhookVerifier};
use postrider_domain::{Timestamp, deliveries::header, endpoints::SigningSecret};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{Arrival, Verdict};

/// The most bytes of a webhook that the receiver takes.
const MAX_BODY_BYTES: usize = 32 << 20;
/// How far the sender's clock may be from ours, as Standard Webhooks' libraries have it.
const TOLERANCE: Duration = Duration::from_mins(5);
/// How many messages' tries are counted; older counts are forgotten all at once.
const MAX_COUNTED: usize = 100_000;

/// What a receiver is to do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// Any of these may have signed; with none nothing is verified.
    pub(crate) secrets: Vec<SigningSecret>,
    /// How many first attempts of every message are answered with 503.
    pub(crate) fail_first: u32,
}

/// A running receiver.
pub(crate) struct Receiver {
    address: SocketAddr,
    options: Arc<Mutex<Options>>,
    handle: ServerHandle,
    task: JoinHandle<std::io::Result<()>>,
}

struct State {
    options: Arc<Mutex<Options>>,
    tries: Mutex<HashMap<String, u32>>,
    clock: SystemClock,
    arrivals: mpsc::Sender<Arrival>,
}

impl Receiver {
    /// Serves on `listener`, and tells `arrivals` of everything that comes.
    pub(crate) fn start(
        listener: TcpListener,
        options: Options,
        arrivals: mpsc::Sender<Arrival>,
    ) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let options = Arc::new(Mutex::new(options));
        let state = web::Data::new(State {
            options: options.clone(),
            tries: Mutex::default(),
            clock: SystemClock::new(),
            arrivals,
        });
        let app = move || {
            App::new()
                .app_data(state.clone())
                .app_data(web::PayloadConfig::new(MAX_BODY_BYTES))
                .default_service(web::to(receive))
        };
        let server = HttpServer::new(app)
            .workers(1)
            .disable_signals()
            .listen(listener)?
            .run();
        let handle = server.handle();
        #[expect(clippy::disallowed_methods, reason = "stop() awaits it")]
        let task = tokio::spawn(server);
        Ok(Self {
            address,
            options,
            handle,
            task,
        })
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Verifies with this secret from now on, besides those it had.
    pub(crate) fn trust(&self, secret: SigningSecret) {
        lock(&self.options).secrets.push(secret);
    }

    /// Finishes what is under way, and ends.
    pub(crate) async fn stop(self) {
        self.handle.stop(true).await;
        // Ended on demand: how it ended is of no interest any more.
        let _ = self.task.await;
    }
}

async fn receive(request: HttpRequest, body: web::Bytes, state: web::Data<State>) -> HttpResponse {
    let text = |name: &str| header_text(request.headers(), name);
    let id = text(header::ID);
    let (verdict, fail_first) = {
        let options = lock(&state.options);
        (
            verify(&options.secrets, request.headers(), &body, state.clock.now()),
            options.fail_first,
        )
    };
    let attempt = count(&mut lock(&state.tries), &id);
    let status = match verdict {
        Verdict::Rejected(_) => StatusCode::UNAUTHORIZED,
        _ if attempt <= fail_first => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::NO_CONTENT,
    };
    let arrival = Arrival {
        id,
        attempt,
        bytes: body.len(),
        body,
        content_type: text("content-type"),
        verdict,
        status: status.as_u16(),
        at: state.clock.monotonic(),
    };
    // A full channel slows the sender down; a closed one means that nobody looks any more.
    let _ = state.arrivals.send(arrival).await;
    HttpResponse::new(status)
}

fn verify(secrets: &[SigningSecret], headers: &HeaderMap, body: &[u8], now: Timestamp) -> Verdict {
    if secrets.is_empty() {
        return Verdict::Unchecked;
    }
    let [id, timestamp, signature] =
        [header::ID, header::TIMESTAMP, header::SIGNATURE].map(|name| header_text(headers, name));
    let mut why = String::new();
    for secret in secrets {
        let webhook = ReceivedWebhook {
            id: &id,
            timestamp: &timestamp,
            signatures: &signature,
            body,
        };
        match WebhookVerifier::new(secret).verify(&webhook, now, TOLERANCE) {
            Ok(()) => return Verdict::Verified,
            Err(error) => why = error.to_string(),
        }
    }
    Verdict::Rejected(why)
}

fn header_text(headers: &HeaderMap, name: &str) -> String {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned()
}

fn count(tries: &mut HashMap<String, u32>, id: &str) -> u32 {
    if tries.len() >= MAX_COUNTED {
        tries.clear();
    }
    let tries = tries.entry(id.to_owned()).or_default();
    *tries += 1;
    *tries
}

/// A panic elsewhere while the lock was held leaves counts that are still good enough.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
