//! The composed system on a real socket: what goes on beside the requests.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::Duration,
};

use postrider_api::{
    Health, Limits,
    composition::{OpenError, Platform, PlatformOptions, Server, ServerOptions, SystemClock},
};
use postrider_application::{Settings, access::Caller, tenants::CreateTenant};
use postrider_crypto::{OperatorTokens, PasswordOptions};
use postrider_domain::{Name, endpoints::FailingPolicy, users::Email};
use postrider_engine::{EngineOptions, HttpOptions, IntakeOptions, ReplaysOptions, RetentionOptions};
use postrider_outbox::RelayOptions;
use postrider_persistence::{ConnectError, DatabaseOptions, SqliteOptions};
use postrider_testkit::memory::RecordedMetrics;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
    time,
};
use tokio_util::sync::CancellationToken;

use crate::support::PASSWORD;

/// How long what goes on in the background may take to show.
const PATIENCE: Duration = Duration::from_secs(20);
const OPERATOR: &str = "pro_0000000000000000000000000000000000000000000000000000000000000000";

/// An installation of its own in that directory.
pub(crate) fn options(directory: &Path) -> PlatformOptions {
    PlatformOptions {
        database: DatabaseOptions::Sqlite(SqliteOptions::in_directory(directory)),
        migrate: true,
        master_key: None,
        other_master_keys: Vec::new(),
        issuer: "postrider".to_owned(),
        audience: "postrider".to_owned(),
        operator_token_hashes: vec![
            OperatorTokens::parse_hash(&OperatorTokens::hash_hex(&OPERATOR.into())).unwrap(),
        ],
        passwords: PasswordOptions {
            memory_kib: 8,
            iterations: 1,
            ..PasswordOptions::default()
        },
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        rates: postrider_api::RateOptions::default(),
        allowed_origins: postrider_api::AllowedOrigins::default(),
        erase_grace: Duration::ZERO,
        // Longer than any test waits: what the caches forget in time, they were told of.
        cache_ttl: Duration::from_hours(1),
        settings: Settings::default(),
        limits: Limits::default(),
        intake: IntakeOptions::default(),
        engine: EngineOptions::default(),
        replays: ReplaysOptions::default(),
        retention: RetentionOptions::default(),
        relay: RelayOptions::default(),
        event_sink: None,
        failing: FailingPolicy::default(),
        sender: HttpOptions::default(),
        metrics: Arc::new(RecordedMetrics::default()),
        health: Arc::new(Health::new(Arc::new(SystemClock::new()))),
    }
}

/// Opens the platform, as soon as the threads of a server that was stopped before have let the directory go.
pub(crate) async fn open(directory: &Path) -> Platform {
    open_with(directory, &Arc::new(Health::new(Arc::new(SystemClock::new())))).await
}

/// The same, with this health.
pub(crate) async fn open_with(directory: &Path, health: &Arc<Health>) -> Platform {
    let opening = async {
        loop {
            let options = PlatformOptions {
                health: Arc::clone(health),
                ..options(directory)
            };
            match Platform::open(options).await {
                Ok(platform) => return platform,
                Err(OpenError::Connect(ConnectError::Locked { .. })) => {
                    time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => panic!("{error:?}"),
            }
        }
    };
    time::timeout(PATIENCE, opening).await.unwrap()
}

/// A node that serves.
struct Node {
    address: SocketAddr,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
    health: Arc<Health>,
}

impl Node {
    async fn start(directory: &Path) -> (Self, Arc<postrider_api::App>) {
        let health = Arc::new(Health::new(Arc::new(SystemClock::new())));
        let platform = open_with(directory, &health).await;
        let app = platform.app();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = Server::start(&platform, listener, ServerOptions::default()).unwrap();
        let shutdown = CancellationToken::new();
        let token = shutdown.clone();
        let address = server.address();
        #[expect(clippy::disallowed_methods, reason = "stop() awaits it")]
        let running = tokio::spawn(async move { platform.run(token, server.stop()).await.unwrap() });
        let node = Self {
            address,
            shutdown,
            running,
            health,
        };
        (node, app)
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.running.await.unwrap();
    }

    /// One request on a connection of its own: status and body.
    async fn ask(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
             x-forwarded-for: 203.0.113.9\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    async fn log_in(&self) -> String {
        let body = json!({"email": "ada@acme.example", "password": PASSWORD});
        let (status, login) = self.ask("", "POST", "/v1/auth/login", Some(body)).await;
        assert_eq!(status, 200, "{login}");
        login["access_token"].as_str().unwrap().to_owned()
    }

    /// Asks until the answer is as it should be.
    async fn until(&self, token: &str, path: &str, good: impl Fn(u16, &Value) -> bool) -> Value {
        let asking = async {
            loop {
                let (status, body) = self.ask(token, "GET", path, None).await;
                if good(status, &body) {
                    return body;
                }
                time::sleep(Duration::from_millis(50)).await;
            }
        };
        time::timeout(PATIENCE, asking)
            .await
            .unwrap_or_else(|_| panic!("{path}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_gets_ready_says_why_and_is_not_ready_at_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let (node, app) = Node::start(directory.path()).await;
    let ready = node.until("", "/health/ready", |status, _| status == 200).await;
    let checks = ready["checks"].as_array().unwrap();
    let names: Vec<_> = checks
        .iter()
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["process", "database", "migrations", "engine"]);
    for check in checks {
        assert_eq!(check["status"], "ready", "{check}");
        assert!(
            check["state_age_ms"].is_u64() && check["checked_age_ms"].is_u64(),
            "{check}"
        );
    }
    let (status, live) = node.ask("", "GET", "/health/live", None).await;
    assert_eq!((status, &live["status"]), (200, &json!("live")));
    let health = Arc::clone(&node.health);
    assert!(!health.is_draining());
    node.stop().await;
    assert!(health.is_draining());
    let process = &health.checks()[0];
    assert!(!process.ready && process.name == "process");
    // It has closed its database, whoever still holds the use cases: another one may have it.
    let (next, _) = Node::start(directory.path()).await;
    next.stop().await;
    drop(app);
}

#[tokio::test(flavor = "multi_thread")]
async fn denials_last_uses_and_revocations_find_their_way() {
    let directory = tempfile::tempdir().unwrap();
    let (node, app) = Node::start(directory.path()).await;
    let tenant = CreateTenant {
        name: Name::parse("Acme").unwrap(),
        owner_email: Email::parse("ada@acme.example").unwrap(),
        owner_name: Name::parse("Ada").unwrap(),
        owner_password: PASSWORD.into(),
        owner_may_be_known: false,
    };
    app.send(&Caller::operator("command-line"), tenant).await.unwrap();
    drop(app);
    let owner = node.log_in().await;
    let mint = |name| json!({"name": name, "grants": [{"role": "viewer"}]});
    let (_, kept) = node.ask(&owner, "POST", "/v1/api-keys", Some(mint("kept"))).await;
    let (_, revoked) = node
        .ask(&owner, "POST", "/v1/api-keys", Some(mint("revoked")))
        .await;
    let token = |key: &Value| key["token"].as_str().unwrap().to_owned();

    // Denials alike are one entry, from where the proxy says.
    for _ in 0..3 {
        let body = json!({"name": "x"});
        let (status, _) = node
            .ask(&token(&kept), "POST", "/v1/applications", Some(body))
            .await;
        assert_eq!(status, 403);
    }
    let log = "/v1/audit-entries?outcome=denied";
    let times = |log: &Value| -> u64 {
        let entries = log["data"].as_array().unwrap();
        entries.iter().map(|entry| entry["times"].as_u64().unwrap()).sum()
    };
    let log = node.until(&owner, log, |_, log| times(log) == 3).await;
    let entry = &log["data"][0];
    assert_eq!(
        (&entry["actor"]["id"], &entry["action"]),
        (&kept["id"], &json!("application.create"))
    );
    assert_eq!(entry["address"], "203.0.113.9");

    // A revoked key is out as soon as the relay has told the caches.
    let (status, _) = node.ask(&token(&revoked), "GET", "/v1/me", None).await;
    assert_eq!(status, 200, "known, and cached");
    let path = format!("/v1/api-keys/{}", revoked["id"].as_str().unwrap());
    assert_eq!(node.ask(&owner, "DELETE", &path, None).await.0, 204);
    node.until(&token(&revoked), "/v1/me", |status, _| status == 401)
        .await;

    // An operator's token of the configuration.
    let (status, tenants) = node.ask(OPERATOR, "GET", "/v1/operator/tenants", None).await;
    assert_eq!((status, &tenants["data"][0]["name"]), (200, &json!("Acme")));

    // A stop writes what is left: uses of keys are written twice a minute only.
    node.stop().await;
    let (node, _) = Node::start(directory.path()).await;
    let owner = node.log_in().await;
    let (_, keys) = node.ask(&owner, "GET", "/v1/api-keys", None).await;
    let [key] = &keys["data"].as_array().unwrap()[..] else {
        panic!("{keys}")
    };
    assert_eq!(key["id"], kept["id"]);
    assert!(key["last_used_at"].is_string(), "{key}");
    node.stop().await;
}
