use std::{rc::Rc, sync::Arc};

use actix_web::{
    body::{MessageBody, to_bytes},
    http::{Method, StatusCode},
    test::{TestRequest, init_service, try_call_service},
};
use async_trait::async_trait;
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use postrider_api::{ApiContext, Check, Limits, OtelTracePropagation, Readiness, app};
use postrider_application::{
    Settings, UseCases,
    authentication::Authenticator,
    mediator::Mediator,
    ports::{AccessTokens, Clock, Ids, Randomness, Sealer},
};
use postrider_crypto::{
    AeadSealer, JwtTokens, KeyRing, MasterKey, OperatorTokens, OsRandomness, TokenOptions,
};
use postrider_persistence::{Database, DatabaseOptions, SqlStore, SqliteOptions};
use postrider_testkit::{
    contract::Ports,
    memory::{CountingSignal, PlainPasswords, RecordedMetrics, SequentialIds, TestClock},
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
    /// The operator's token.
    pub(crate) operator: String,
    _directory: TempDir,
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

struct AlwaysReady;

#[async_trait]
impl Readiness for AlwaysReady {
    async fn checks(&self) -> Vec<Check> {
        vec![Check {
            name: "database",
            ready: true,
            detail: "answers".to_owned(),
        }]
    }
}

impl Api {
    pub(crate) async fn start() -> Self {
        Self::start_with(Limits::default(), Arc::new(AlwaysReady)).await
    }

    pub(crate) async fn start_with(limits: Limits, readiness: Arc<dyn Readiness>) -> Self {
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
        let keys = KeyRing::load_or_create(&*ports.keys, &*sealer, &*clock)
            .await
            .unwrap();
        let token_options = TokenOptions {
            issuer: "https://postrider.example".to_owned(),
            audience: "postrider".to_owned(),
        };
        let tokens: Arc<dyn AccessTokens> = Arc::new(JwtTokens::new(keys, ids.clone(), token_options));
        let (operator, hash) = OperatorTokens::generate(&*randomness);
        let operator_tokens = OperatorTokens::new(vec![OperatorTokens::parse_hash(&hash).unwrap()]);
        let use_cases = UseCases::new(
            &postrider_application::Ports {
                store,
                intake: ports.intake.clone(),
                directory: ports.directory.clone(),
                identities: ports.identities.clone(),
                passwords: Arc::new(PlainPasswords),
                tokens: tokens.clone(),
                work_signal: Arc::new(CountingSignal::default()),
                trace: Arc::new(OtelTracePropagation),
                clock: clock.clone(),
                ids: ids.clone(),
                randomness,
            },
            &Settings::default(),
        );
        let metrics = Arc::new(RecordedMetrics::default());
        let mediator = Mediator::new(use_cases, ports.directory.clone(), metrics, clock.clone());
        let authenticator = Authenticator::new(
            ports.credentials.clone(),
            tokens.clone(),
            clock.clone() as Arc<dyn Clock>,
        );
        let context = Arc::new(ApiContext {
            mediator: Arc::new(mediator),
            authenticator: Arc::new(authenticator),
            operator_tokens: Arc::new(operator_tokens),
            tokens,
            readiness,
            ids: ids.clone(),
            limits,
        });
        Self {
            call: service(context.clone()).await,
            context,
            clock,
            ids,
            ports,
            database,
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

    /// Creates a tenant and logs its owner in.
    pub(crate) async fn owner(&self, name: &str) -> (String, String) {
        let (email, password) = (format!("owner@{name}.example"), "correct horse battery staple");
        let body = json!({"name": name, "owner": {"email": email, "name": "Ada", "password": password}});
        let tenant = self
            .post(&self.operator, "/v1/operator/tenants", body)
            .await
            .expect(201);
        let login = json!({"email": email, "password": password});
        let login = self.post("", "/v1/auth/login", login).await.expect(200);
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
