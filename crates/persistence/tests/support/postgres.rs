use std::{
    process,
    str::FromStr as _,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use postrider_application::access::TenantScope;
use postrider_domain::ApplicationId;
use postrider_persistence::{Database, DatabaseOptions, PostgresOptions, Schema, SqlStore};
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

/// The login under which every store works, as in production: it has no rights of its own, and changes into
/// Postrider's roles. The user of `TEST_DATABASE_URL` makes databases, migrates, and meddles from outside.
pub(crate) const LOGIN: &str = "postrider_case_login";
pub(crate) const PASSWORD: &str = "of no use elsewhere";

/// A database of its own on the server that `TEST_DATABASE_URL` names.
pub(crate) struct PostgresHarness {
    store: SqlStore,
    /// Other nodes' handles of the same database.
    others: Mutex<Vec<Database>>,
    /// Looks and meddles from outside.
    pub(crate) outside: PgPool,
    pub(crate) name: String,
}

/// How to reach the server's own database, as a superuser: databases and logins are made, and rows of all tenants
/// looked at.
pub(crate) fn server() -> PgConnectOptions {
    let url = std::env::var("TEST_DATABASE_URL").unwrap_or_else(|_| {
        panic!(
            "TEST_DATABASE_URL is not set: the PostgreSQL cases need a server and its superuser, e.g. \
              postgres://postgres@127.0.0.1:5432/postgres"
        )
    });
    PgConnectOptions::from_str(&url).unwrap_or_else(|_| panic!("TEST_DATABASE_URL is no postgres:// URL"))
}

pub(crate) async fn on_the_server(sql: String) {
    let mut connection = PgConnection::connect_with(&server())
        .await
        .unwrap_or_else(|error| {
            panic!("the server that TEST_DATABASE_URL names does not let us in: {error}")
        });
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
    connection.close().await.unwrap();
}

/// Makes a login if there is none. Logins are the whole server's, and other test processes may be at it. The password
/// is known to all, so it is good for the tests' hour only.
pub(crate) async fn ensure_login(name: &str, attributes: &str) {
    let sql = format!(
        "DO $$ BEGIN
            BEGIN CREATE ROLE {name} LOGIN {attributes} PASSWORD '{PASSWORD}';
            EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END;
            EXECUTE format('ALTER ROLE {name} VALID UNTIL %L', now() + interval '1 hour');
         EXCEPTION WHEN internal_error THEN NULL; -- Altered by another at this moment.
         END $$"
    );
    on_the_server(sql).await;
}

async fn template() -> &'static str {
    TEMPLATE
        .get_or_init(|| async {
            let name = PostgresHarness::create(None).await;
            PostgresHarness::migrate(&name).await;
            name
        })
        .await
}

impl PostgresHarness {
    /// A new database, empty or a copy of `template`; its name.
    pub(crate) async fn create(template: Option<&str>) -> String {
        let name = format!(
            "postrider_case_{}_{}",
            process::id(),
            CASES.fetch_add(1, Ordering::Relaxed)
        );
        let copied = template.map_or(String::new(), |template| format!(" TEMPLATE {template}"));
        on_the_server(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
        on_the_server(format!("CREATE DATABASE {name}{copied}")).await;
        name
    }

    /// Removes a database, whoever is connected to it.
    pub(crate) async fn remove(name: &str) {
        on_the_server(format!("DROP DATABASE {name} WITH (FORCE)")).await;
    }

    /// Small pools in the database of that name, under the login as which tests serve.
    pub(crate) fn options(name: &str) -> PostgresOptions {
        Self::options_as(name, LOGIN)
    }

    /// As [`Self::options`], under another login.
    pub(crate) fn options_as(name: &str, login: &str) -> PostgresOptions {
        let serving = server().database(name).username(login).password(PASSWORD);
        PostgresOptions {
            max_connections: 5,
            acquire_timeout: Duration::from_secs(30),
            admin_url: Some(Self::admin_url(name).into()),
            ..PostgresOptions::at(serving.to_url_lossy().to_string())
        }
    }

    /// The database of that name under the user of `TEST_DATABASE_URL`.
    pub(crate) fn admin_url(name: &str) -> String {
        server().database(name).to_url_lossy().to_string()
    }

    /// A pool from outside.
    pub(crate) fn outside(name: &str) -> PgPool {
        PgPoolOptions::new()
            .max_connections(2)
            .connect_lazy_with(server().database(name))
    }

    /// What migrates the database of that name.
    pub(crate) async fn schema(name: &str) -> Schema {
        ensure_login(LOGIN, "NOINHERIT").await;
        Schema::open(DatabaseOptions::Postgres(Self::options(name)))
            .await
            .unwrap()
    }

    /// Brings the database of that name up to date.
    pub(crate) async fn migrate(name: &str) {
        Self::schema(name).await.migrate().await.unwrap();
    }

    /// The harness of a database that is there already.
    pub(crate) async fn of(name: String) -> Self {
        let store = SqlStore::new(Self::open(&name).await, sealer(1));
        let outside = Self::outside(&name);
        Self {
            store,
            others: Mutex::default(),
            outside,
            name,
        }
    }

    /// Opens the database of that name.
    pub(crate) async fn open(name: &str) -> Database {
        Database::open(DatabaseOptions::Postgres(Self::options(name)))
            .await
            .unwrap()
    }
}

impl Harness for PostgresHarness {
    type Store = SqlStore;

    async fn new() -> Self {
        Self::of(Self::create(Some(template().await)).await).await
    }

    fn store(&self) -> &SqlStore {
        &self.store
    }

    fn ports(&self) -> Ports {
        Ports::of(&self.store)
    }

    async fn another_node(&self) -> Option<Ports> {
        let database = Self::open(&self.name).await;
        self.others.lock().unwrap().push(database.clone());
        Some(Ports::of(&SqlStore::new(database, sealer(1))))
    }

    async fn age(&self, by: Duration) {
        for sql in AGE {
            sqlx::query(sql)
                .bind(micros(by))
                .execute(&self.outside)
                .await
                .unwrap();
        }
    }

    async fn postpone(&self, by: Duration) {
        sqlx::query(POSTPONE)
            .bind(micros(by))
            .execute(&self.outside)
            .await
            .unwrap();
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
        for other in self.others.into_inner().unwrap() {
            other.close().await.unwrap();
        }
        Self::remove(&self.name).await;
    }
}
