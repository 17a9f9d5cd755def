use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix_web::{
    App, Error, HttpServer,
    body::MessageBody,
    dev::{ServerHandle, ServiceRequest, ServiceResponse},
    error::ErrorRequestTimeout,
    middleware::{Next, from_fn},
    web::{self, Data, JsonConfig},
};
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{ManagementContext, health, log_level, metrics};
use crate::connections::{Connections, under_way};

/// The most bytes of a body here.
pub(crate) const MAX_BODY: usize = 4 * 1024;
/// The most connections at once: a few scrapers and probes.
pub(crate) const MAX_CONNECTIONS: usize = 64;
/// How long a client may take to send a request's head.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client may take to send a request's body and have its answer.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may be silent after an answer.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// How long each of them is waited for.
#[derive(Debug, Clone, Copy)]
struct Patience {
    head: Duration,
    request: Duration,
    keep_alive: Duration,
}

const PATIENCE: Patience = Patience {
    head: HEAD_TIMEOUT,
    request: REQUEST_TIMEOUT,
    keep_alive: KEEP_ALIVE,
};

/// What the listener serves.
fn routes(config: &mut web::ServiceConfig) {
    config
        .service(metrics::metrics)
        .service(health::live)
        .service(health::ready)
        .service(health::startup)
        .service(log_level::log_level)
        .service(log_level::change_log_level);
}

/// Ends a request whose body does not come.
async fn in_time<B: MessageBody + 'static>(
    limit: Duration,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    match timeout(limit, next.call(request)).await {
        Ok(answer) => answer,
        Err(_) => Err(ErrorRequestTimeout("the request did not arrive in time")),
    }
}

/// The management listener.
pub struct ManagementServer {
    address: SocketAddr,
    handle: ServerHandle,
    running: JoinSet<io::Result<()>>,
    stop_watching: CancellationToken,
}

impl ManagementServer {
    /// Serves `context` on `listener`, on a thread of its own.
    pub fn start(listener: TcpListener, context: ManagementContext) -> io::Result<Self> {
        Self::start_with(listener, context, PATIENCE)
    }

    fn start_with(listener: TcpListener, context: ManagementContext, patience: Patience) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let context = Data::new(context);
        let connections = Arc::new(Connections::default());
        let admitted = Arc::clone(&connections);
        let server = HttpServer::new(move || {
            App::new()
                .app_data(context.clone())
                .app_data(JsonConfig::default().limit(MAX_BODY))
                .configure(routes)
                .wrap(from_fn(move |request, next| {
                    in_time(patience.request, request, next)
                }))
                .wrap(from_fn(under_way))
        })
        .on_connect(move |io, data| admitted.admit(io, data))
        .workers(1)
        .max_connections(MAX_CONNECTIONS)
        .client_request_timeout(patience.head)
        .keep_alive(patience.keep_alive)
        .shutdown_timeout(1)
        .disable_signals()
        .listen(listener)?
        .run();
        let handle = server.handle();
        let stop_watching = CancellationToken::new();
        let stopped = stop_watching.clone();
        let mut running = JoinSet::new();
        running.spawn(server);
        running.spawn(async move {
            let quiet = patience.keep_alive + patience.head;
            connections.watch(quiet, stopped).await;
            Ok(())
        });
        Ok(Self {
            address,
            handle,
            running,
            stop_watching,
        })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends; the last thing that a process does.
    pub async fn stop(mut self) {
        self.handle.stop(true).await;
        self.stop_watching.cancel();
        while let Some(ended) = self.running.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "the management listener failed"),
                Err(error) => tracing::error!(%error, "the management listener panicked"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use actix_web::{
        http::StatusCode,
        test::{TestRequest, call_service, init_service, read_body, read_body_json},
    };
    use postrider_testkit::memory::TestClock;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        Health, Subject,
        management::{LogControl, LogControlError, MetricsError, MetricsPage},
    };

    struct Page;

    impl MetricsPage for Page {
        fn content_type(&self) -> &'static str {
            "text/plain; version=0.0.4"
        }

        fn write(&self) -> Result<Vec<u8>, MetricsError> {
            Ok(b"postrider_build_info 1\n".to_vec())
        }
    }

    struct Logs(Mutex<String>);

    impl LogControl for Logs {
        fn directives(&self) -> String {
            self.0.lock().unwrap().clone()
        }

        fn change(&self, directives: &str) -> Result<(), LogControlError> {
            if directives == "nonsense==" {
                return Err(LogControlError::Unreadable);
            }
            directives.clone_into(&mut self.0.lock().unwrap());
            Ok(())
        }
    }

    fn context() -> ManagementContext {
        ManagementContext {
            metrics: Arc::new(Page),
            health: Arc::new(Health::new(Arc::new(TestClock::new()))),
            logs: Arc::new(Logs(Mutex::new("info".into()))),
            remote_log_level: false,
        }
    }

    #[actix_web::test]
    async fn the_metrics_are_a_page_of_text() {
        let app = init_service(App::new().app_data(Data::new(context())).configure(routes)).await;
        let answer = call_service(&app, TestRequest::get().uri("/metrics").to_request()).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(
            answer.headers().get("content-type").unwrap(),
            "text/plain; version=0.0.4"
        );
        assert_eq!(read_body(answer).await, "postrider_build_info 1\n");
    }

    #[actix_web::test]
    async fn health_is_told_from_the_beginning() {
        let context = context();
        let health = Arc::clone(&context.health);
        let app = init_service(App::new().app_data(Data::new(context)).configure(routes)).await;
        let ask = async |path: &str| {
            let answer = call_service(&app, TestRequest::get().uri(path).to_request()).await;
            let status = answer.status().as_u16();
            let body: Value = read_body_json(answer).await;
            (status, body["status"].as_str().unwrap().to_owned())
        };
        health.starting("waits for its database");
        assert_eq!(ask("/health/live").await, (200, "live".to_owned()));
        assert_eq!(ask("/health/startup").await, (503, "starting".to_owned()));
        assert_eq!(ask("/health/ready").await, (503, "not_ready".to_owned()));
        health.serves();
        for subject in Subject::ALL {
            health.report(subject, true, "fine");
        }
        assert_eq!(ask("/health/startup").await, (200, "started".to_owned()));
        assert_eq!(ask("/health/ready").await, (200, "ready".to_owned()));
        health.drain();
        assert_eq!(ask("/health/ready").await, (503, "not_ready".to_owned()));
        assert_eq!(ask("/health/startup").await, (200, "started".to_owned()));
    }

    #[actix_web::test]
    async fn the_log_level_can_be_read_and_changed_and_nonsense_is_refused() {
        let app = init_service(App::new().app_data(Data::new(context())).configure(routes)).await;
        let put = |directives: &str| {
            TestRequest::put()
                .uri("/log-level")
                .peer_addr("127.0.0.1:40000".parse().unwrap())
                .set_json(json!({ "directives": directives }))
                .to_request()
        };
        let answer = call_service(&app, put("debug")).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let refused = call_service(&app, put("nonsense==")).await;
        assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let problem: Value = read_body_json(refused).await;
        assert_eq!(problem["errors"][0]["field"], "directives");
        let now = call_service(&app, TestRequest::get().uri("/log-level").to_request()).await;
        let now: Value = read_body_json(now).await;
        assert_eq!(now, json!({ "directives": "debug" }));
    }

    #[actix_web::test]
    async fn from_elsewhere_the_log_level_is_read_and_not_changed_unless_the_operator_says_so() {
        for (remote_log_level, expected) in [(false, StatusCode::FORBIDDEN), (true, StatusCode::OK)] {
            let context = ManagementContext {
                remote_log_level,
                ..context()
            };
            let app = init_service(App::new().app_data(Data::new(context)).configure(routes)).await;
            let elsewhere = "192.0.2.7:40000".parse().unwrap();
            let put = TestRequest::put()
                .uri("/log-level")
                .peer_addr(elsewhere)
                .set_json(json!({ "directives": "debug" }))
                .to_request();
            assert_eq!(call_service(&app, put).await.status(), expected);
            let get = TestRequest::get()
                .uri("/log-level")
                .peer_addr(elsewhere)
                .to_request();
            assert_eq!(call_service(&app, get).await.status(), StatusCode::OK);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_sends_half_a_request_does_not_hold_a_connection() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let patience = Patience {
            head: Duration::from_millis(500),
            request: Duration::from_millis(500),
            keep_alive: Duration::from_secs(2),
        };
        let server = ManagementServer::start_with(listener, context(), patience).unwrap();
        let address = server.address();
        let live = "GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n";
        let put = "PUT /log-level HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 30\r\n\r\n{";
        let mut holders = JoinSet::new();
        for beginning in ["", "GET /metr", put, &format!("{live}GET /")] {
            let beginning = beginning.to_owned();
            holders.spawn(async move {
                let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
                stream.write_all(beginning.as_bytes()).await.unwrap();
                let mut rest = Vec::new();
                // Ended in order or by force: what matters is that it is.
                let ended = timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
                assert!(ended.is_ok(), "{beginning:?} was held");
            });
        }
        while let Some(one) = holders.join_next().await {
            one.unwrap();
        }
        server.stop().await;
    }
}
