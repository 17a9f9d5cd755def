use std::{
    process,
    str::FromStr as _,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use postrider_application::access::TenantScope;
use postrider_domain::ApplicationId;
use postrider_persistence::{Database, DatabaseOptions, PostgresOptions, SqlStore};
use postrider_testkit::contract::{Harness, Ports};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::sync::OnceCell;

use super::{AGE, ENDPOINTS_VERSION, POSTPONE, micros, sealer};

/// The migrated database that every case's is copied from, made once in the life of the test process.
static TEMPLATE: OnceCell<String> = OnceCell::const_new();
static CASES: AtomicU32 = AtomicU32::new(0);

/// A database of its own on the server that `TEST_DATABASE_URL` names.
pub struct PostgresHarness {
    store: SqlStore,
    /// Looks and meddles from outside.
    outside: PgPool,
    name: String,
}

/// How to reach the server's own database, as a user who may create others.
fn server() -> PgConnectOptions {
    let url = std::env::var("TEST_DATABASE_URL").unwrap_or_else(|_| {
        panic!(
            "TEST_DATABASE_URL is not set: the PostgreSQL cases need a server and a user who may create \
             databases, e.g. postgres://postgres@127.0.0.1:5432/postgres"
        )
    });
    PgConnectOptions::from_str(&url).unwrap_or_else(|_| panic!("TEST_DATABASE_URL is no postgres:// URL"))
}

async fn on_the_server(sql: String) {
    let mut connection = PgConnection::connect_with(&server()).await.unwrap_or_else(|error| {
        panic!("the server that TEST_DATABASE_URL names does not let us in: {error}")
    });
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
    connection.close().await.unwrap();
}

async fn template() -> &'static str {
    TEMPLATE
        .get_or_init(|| async {
            let name = format!("postrider_template_{}", process::id());
            on_the_server(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
            on_the_server(format!("CREATE DATABASE {name}")).await;
            let database = PostgresHarness::open(&name).await;
            database.migrate().await.unwrap();
            database.close().await.unwrap();
            name
        })
        .await
}

impl PostgresHarness {
    /// An empty database that has no tables.
    pub async fn create_empty() -> String {
        let name = format!("postrider_case_{}_{}", process::id(), CASES.fetch_add(1, Ordering::Relaxed));
        on_the_server(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
        on_the_server(format!("CREATE DATABASE {name}")).await;
        name
    }

    pub async fn remove(name: &str) {
        on_the_server(format!("DROP DATABASE {name} WITH (FORCE)")).await;
    }

    /// The options of a small pool in the database of that name.
    pub fn options(name: &str) -> PostgresOptions {
        let url = server().database(name).to_url_lossy().to_string();
        PostgresOptions { max_connections: 4, acquire_timeout: Duration::from_secs(30), ..PostgresOptions::at(url) }
    }

    pub async fn open(name: &str) -> Database {
        Database::open(DatabaseOptions::Postgres(Self::options(name))).await.unwrap()
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn outside(&self) -> &PgPool {
        &self.outside
    }
}

impl Harness for PostgresHarness {
    type Store = SqlStore;

    async fn new() -> Self {
        let template = template().await;
        let name = format!("postrider_case_{}_{}", process::id(), CASES.fetch_add(1, Ordering::Relaxed));
        on_the_server(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
        on_the_server(format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        let store = SqlStore::new(Self::open(&name).await, sealer(1));
        let outside = PgPoolOptions::new().max_connections(2).connect_lazy_with(server().database(&name));
        Self { store, outside, name }
    }

    fn store(&self) -> &SqlStore {
        &self.store
    }

    fn ports(&self) -> Ports {
        Ports::of(&self.store)
    }

    async fn age(&self, by: Duration) {
        for sql in AGE {
            sqlx::query(sql).bind(micros(by)).execute(&self.outside).await.unwrap();
        }
    }

    async fn postpone(&self, by: Duration) {
        sqlx::query(POSTPONE).bind(micros(by)).execute(&self.outside).await.unwrap();
    }

    async fn endpoints_version(&self, scope: &TenantScope, application: ApplicationId) -> i64 {
        sqlx::query_scalar(ENDPOINTS_VERSION)
            .bind(scope.tenant().as_uuid())
            .bind(application.as_uuid())
            .fetch_one(&self.outside)
            .await
            .unwrap()
    }

    async fn finish(self) {
        self.outside.close().await;
        self.store.database().close().await.unwrap();
        Self::remove(&self.name).await;
    }
}
