use std::{
    io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use actix_web::{
    App, HttpServer,
    dev::ServerHandle,
    web::{self, Data, JsonConfig},
};
use tokio::task::JoinHandle;

use super::{ManagementContext, health, log_level, metrics};

/// The most bytes of a body here.
pub(crate) const MAX_BODY: usize = 4 * 1024;
/// The most connections at once: a few scrapers and probes.
pub(crate) const MAX_CONNECTIONS: usize = 64;
/// How long a client may take to send a request's head.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

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

/// The management listener.
pub struct ManagementServer {
    address: SocketAddr,
    handle: ServerHandle,
    task: JoinHandle<io::Result<()>>,
}

impl ManagementServer {
    /// Serves `context` on `listener`, on a thread of its own.
    pub fn start(listener: TcpListener, context: ManagementContext) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let context = Data::new(context);
        let server = HttpServer::new(move || {
            App::new()
                .app_data(context.clone())
                .app_data(JsonConfig::default().limit(MAX_BODY))
                .configure(routes)
        })
        .workers(1)
        .max_connections(MAX_CONNECTIONS)
        .client_request_timeout(HEAD_TIMEOUT)
        .shutdown_timeout(1)
        .disable_signals()
        .listen(listener)?
        .run();
        let handle = server.handle();
        #[expect(clippy::disallowed_methods, reason = "stop() awaits it")]
        let task = tokio::spawn(server);
        Ok(Self {
            address,
            handle,
            task,
        })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends; the last thing that a process does.
    pub async fn stop(self) {
        self.handle.stop(true).await;
        match self.task.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the management listener failed"),
            Err(error) => tracing::error!(%error, "the management listener panicked"),
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
}
