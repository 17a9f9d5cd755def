use std::{rc::Rc, sync::Arc, time::Duration};

use actix_web::{
    body::{MessageBody, to_bytes},
    http::{Method, StatusCode},
    test::{TestRequest, init_service, try_call_service},
};
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use ipnet::IpNet;
use postrider_api::{
    AllowedOrigins, ApiContext, Health, Limits, OtelTracePropagation, RateLimits, RateOptions, Subject, app,
};
use postrider_application::{
    Settings, UseCases,
    authentication::Authenticator,
    mediator::{Mediator, MediatorPorts},
    ports::{AccessTokens, Ids, Randomness, Sealer, SigningKeyStore, TenantExport},
};
use postrider_cache::{AttemptThrottle, ThrottleOptions};
use postrider_crypto::{
    AeadSealer, AskedKeys, CursorKeys, JwtTokens, KeyRing, MasterKey, OperatorTokens, OsRandomness,
    StandardSigner, TokenOptions,
};
use postrider_persistence::{Database, DatabaseOptions, SqlStore, SqliteOptions};
use postrider_schema::{BoundedSchemas, SchemaOptions};
use postrider_testkit::{
    contract::Ports,
    memory::{
        CountingSignal, DirectIntake, NoBarrier, NoKeyUses, PlainPasswords, RecordedDenials, RecordedMetrics,
        SequentialIds, TestClock,
    },
};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Answer, application, endpoint, message};

type Call = Rc<dyn Fn(TestRequest) -> LocalBoxFuture<'static, Answer>>;

/// The API of one installation that nobody else uses.
pub(crate) struct Api {
    call: Call,
    pub(crate) context: Arc<ApiContext>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) ports: Ports,
    pub(crate) database: Database,
    /// Who was denied what.
    pub(crate) denials: Arc<RecordedDenials>,
    /// Which use cases were asked.
    pub(crate) metrics: Arc<RecordedMetrics>,
    /// The operator's token.
    pub(crate) operator: String,
    _directory: TempDir,
}

/// What differs between the installations of some tests.
pub(crate) struct Setup {
    pub(crate) limits: Limits,
    pub(crate) health: Arc<Health>,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) rates: RateOptions,
    pub(crate) allowed_origins: AllowedOrigins,
    /// Instead of the store's.
    pub(crate) export: Option<Arc<dyn TenantExport>>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            health: Arc::new(ready()),
            trusted_proxies: Vec::new(),
            rates: RateOptions::default(),
            allowed_origins: AllowedOrigins::default(),
            export: None,
        }
    }
}

/// One tenant of it, with things in it.
pub(crate) struct Tenancy {
    pub(crate) id: String,
    /// The owner's access token.
    pub(crate) owner: String,
    /// The id of the application `app-1`.
    pub(crate) application: String,
    /// The id of the endpoint `hook`.
    pub(crate) endpoint: String,
    /// The id of a message.
    pub(crate) message: String,
}

/// All is well; on a clock of its own, which stands still.
pub(crate) fn ready() -> Health {
    let health = Health::new(Arc::new(TestClock::new()));
    health.serves();
    for subject in Subject::ALL {
        health.report(subject, true, "fine");
    }
    health
}

impl Api {
    pub(crate) async fn start() -> Self {
        Self::start_with(Setup::default()).await
    }

    pub(crate) async fn start_with(setup: Setup) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = DatabaseOptions::Sqlite(SqliteOptions::in_directory(directory.path()));
        let database = Database::open(options).await.unwrap();
        database.migrate().await.unwrap();
        let clock = Arc::new(TestClock::new());
        let ids: Arc<dyn Ids> = Arc::new(SequentialIds::new(clock.clone()));
        let randomness: Arc<dyn Randomness> = Arc::new(OsRandomness::new());
        let sealer: Arc<dyn Sealer> = Arc::new(AeadSealer::new(
            &MasterKey::from_bytes([7; 32]),
            randomness.clone(),
        ));
        let store = SqlStore::new(database.clone(), sealer.clone());
        let ports = Ports::of(&store);
        let key_store: Arc<dyn SigningKeyStore> = Arc::new(store.clone());
        let keys = KeyRing::load_or_create(key_store, sealer, clock.clone())
            .await
            .unwrap();
        let keys = Arc::new(keys);
        let names = TokenOptions {
            issuer: "https://postrider.example".to_owned(),
            audience: "postrider".to_owned(),
        };
        let tokens: Arc<dyn AccessTokens> = Arc::new(JwtTokens::new(keys.clone(), ids.clone(), names));
        let (denials, metrics) = <(Arc<RecordedDenials>, Arc<RecordedMetrics>)>::default();
        let use_cases = UseCases::new(
            &postrider_application::Ports {
                store: store.clone(),
                intake: Arc::new(DirectIntake(ports.writer.clone())),
                directory: ports.directory.clone(),
                event_types: ports.event_types.clone(),
                schemas: Arc::new(BoundedSchemas::new(SchemaOptions::default())),
                metrics: metrics.clone(),
                identities: ports.identities.clone(),
                passwords: Arc::new(PlainPasswords),
                throttle: Arc::new(AttemptThrottle::new(ThrottleOptions::default(), clock.clone())),
                tokens: tokens.clone(),
                signing_keys: keys,
                reencryption: Arc::new(store.clone()),
                export: setup.export.unwrap_or_else(|| Arc::new(store.clone())),
                work_signal: Arc::new(CountingSignal::default()),
                trace: Arc::new(OtelTracePropagation),
                clock: clock.clone(),
                ids: ids.clone(),
                randomness: randomness.clone(),
                key_pairs: Arc::new(StandardSigner),
            },
            // The database has a clock of its own: what is scheduled for 2090 lies ahead of both.
            &Settings {
                schedule_horizon: Duration::from_hours(100 * 365 * 24),
                ..Settings::default()
            },
        );
        let mediator_ports = MediatorPorts {
            directory: ports.directory.clone(),
            metrics: metrics.clone(),
            denials: denials.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            answers: ports.answers.clone(),
            answer_window: Settings::default().dedup_window,
            barrier: Arc::new(NoBarrier::default()),
        };
        let authenticator = Authenticator::new(
            ports.credentials.clone(),
            tokens.clone(),
            Arc::new(NoKeyUses),
            clock.clone(),
        );
        let (operator, hash) = OperatorTokens::generate(&*randomness);
        let operator_tokens = OperatorTokens::new(vec![OperatorTokens::parse_hash(&hash).unwrap()]);
        let context = Arc::new(ApiContext {
            mediator: Arc::new(Mediator::new(use_cases, mediator_ports)),
            authenticator: Arc::new(authenticator),
            operator_tokens: Arc::new(operator_tokens),
            tokens,
            health: setup.health,
            clock: clock.clone(),
            ids: ids.clone(),
            limits: setup.limits,
            rates: RateLimits::new(setup.rates),
            allowed_origins: setup.allowed_origins,
            cursors: Arc::new(CursorKeys::new(&MasterKey::from_bytes([7; 32]), &[])),
            asked: Arc::new(AskedKeys::new(&MasterKey::from_bytes([7; 32]), &[])),
            trusted_proxies: setup.trusted_proxies,
        });
        Self {
            call: service(context.clone()).await,
            context,
            clock,
            ids,
            ports,
            database,
            denials,
            metrics,
            operator: operator.expose_secret().to_owned(),
            _directory: directory,
        }
    }

    /// Any request.
    pub(crate) async fn send(&self, request: TestRequest) -> Answer {
        (self.call)(request).await
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Answer {
        self.send(bearer(TestRequest::get().uri(path), token)).await
    }

    /// A POST without a body.
    pub(crate) async fn act(&self, token: &str, path: &str) -> Answer {
        self.send(bearer(TestRequest::post().uri(path), token)).await
    }

    pub(crate) async fn post(&self, token: &str, path: &str, body: Value) -> Answer {
        self.send(bearer(TestRequest::post().uri(path), token).set_json(body))
            .await
    }

    /// A POST of these bytes as JSON.
    pub(crate) async fn post_raw(&self, token: &str, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        let request = bearer(TestRequest::post().uri(path), token)
            .insert_header(("content-type", "application/json"))
            .set_payload(body.into());
        self.send(request).await
    }

    pub(crate) async fn method(&self, token: &str, method: Method, path: &str) -> Answer {
        self.send(bearer(TestRequest::default().method(method).uri(path), token))
            .await
    }

    /// Any method, with a body or without one.
    pub(crate) async fn call(&self, token: &str, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let request = bearer(TestRequest::default().method(method).uri(path), token);
        self.send(match body {
            Some(body) => request.set_json(body),
            None => request,
        })
        .await
    }

    pub(crate) async fn put(&self, token: &str, path: &str, body: Value) -> Answer {
        self.call(token, Method::PUT, path, Some(&body)).await
    }

    pub(crate) async fn patch(&self, token: &str, path: &str, body: Value) -> Answer {
        self.call(token, Method::PATCH, path, Some(&body)).await
    }

    pub(crate) async fn delete(&self, token: &str, path: &str) -> Answer {
        self.call(token, Method::DELETE, path, None).await
    }

    /// Creates a tenant and logs its owner in: the tenant's id and the owner's access token.
    pub(crate) async fn owner(&self, name: &str) -> (String, String) {
        let email = owner_of(name);
        let body = json!({"name": name, "owner": {"email": email, "name": "Ada", "password": PASSWORD}});
        let tenant = self
            .post(&self.operator, "/v1/operator/tenants", body)
            .await
            .expect(201);
        let login = self.log_in(&email).await.expect(200);
        (tenant.text("id"), login.text("access_token"))
    }

    /// Creates a tenant with an application, an endpoint and a message.
    pub(crate) async fn tenancy(&self, name: &str) -> Tenancy {
        let (id, owner) = self.owner(name).await;
        let created = self
            .post(&owner, "/v1/applications", application("app-1"))
            .await
            .expect(201);
        let path = "/v1/applications/app-1/endpoints";
        let hook = self.post(&owner, path, endpoint("hook")).await.expect(201);
        let path = "/v1/applications/app-1/messages";
        let published = self.post(&owner, path, message()).await.expect(202);
        Tenancy {
            id,
            owner,
            application: created.text("id"),
            endpoint: hook.text("id"),
            message: published.text("id"),
        }
    }

    /// Mints an API key of these grants.
    pub(crate) async fn key(&self, token: &str, grants: Value) -> String {
        let body = json!({"name": "key", "grants": grants});
        self.post(token, "/v1/api-keys", body)
            .await
            .expect(201)
            .text("token")
    }
}

/// The address of the first owner of the tenant of that name.
pub(crate) fn owner_of(tenant: &str) -> String {
    format!("owner@{tenant}.example")
}

/// Everybody's.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

fn bearer(request: TestRequest, token: &str) -> TestRequest {
    if token.is_empty() {
        request
    } else {
        request.insert_header(("authorization", format!("Bearer {token}")))
    }
}

/// The whole application, its types put away.
async fn service(context: Arc<ApiContext>) -> Call {
    let service = Rc::new(init_service(app(context)).await);
    Rc::new(move |request: TestRequest| {
        let service = service.clone();
        async move {
            match try_call_service(&*service, request.to_request()).await {
                Ok(response) => {
                    let (status, headers) = (response.status(), response.headers().clone());
                    Answer {
                        status,
                        headers,
                        body: bytes(response.into_body()).await,
                    }
                }
                // What the server makes of an error that no middleware answered.
                Err(error) => {
                    let response = error.error_response();
                    let (status, headers): (StatusCode, _) = (response.status(), response.headers().clone());
                    Answer {
                        status,
                        headers,
                        body: bytes(response.into_body()).await,
                    }
                }
            }
        }
        .boxed_local()
    })
}

async fn bytes(body: impl MessageBody) -> actix_web::web::Bytes {
    to_bytes(body)
        .await
        .unwrap_or_else(|_| panic!("the body broke off"))
}
