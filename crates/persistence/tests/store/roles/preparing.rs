//! Who prepares a database, and how far each gets.

use postrider_migrations::Migrator;
use postrider_persistence::{ConnectError, DatabaseOptions, PostgresOptions, Schema};
use sea_orm::SqlxPostgresConnector;
use sea_orm_migration::MigratorTrait as _;
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};

use super::accounts::{own_login, remove_login};
use crate::support::{
    PostgresHarness,
    postgres::{LOGIN, ensure_login, on_the_server},
};

/// An empty database that belongs to `owner`.
async fn database_of(owner: &str) -> String {
    ensure_login(LOGIN, "NOINHERIT").await;
    let name = PostgresHarness::create(None).await;
    on_the_server(format!("ALTER DATABASE {name} OWNER TO {owner}")).await;
    name
}

async fn schema(options: PostgresOptions) -> Schema {
    Schema::open(DatabaseOptions::Postgres(options)).await.unwrap()
}

async fn owners(database: &str) -> Vec<String> {
    let outside = PostgresHarness::outside(database);
    let owners = sqlx::query_scalar(
        "SELECT DISTINCT pg_get_userbyid(relowner)::text FROM pg_class
         WHERE relnamespace = 'public'::regnamespace",
    )
    .fetch_all(&outside)
    .await
    .unwrap();
    outside.close().await;
    owners
}

/// No superuser is needed, and nothing is asked of the login.
#[tokio::test]
async fn an_account_that_creates_roles_and_owns_the_database_migrates() {
    let migrator = own_login("migrator", "CREATEROLE").await;
    let name = database_of(&migrator).await;
    let options = PostgresOptions {
        admin_url: Some(PostgresHarness::options_as(&name, &migrator).url),
        ..PostgresHarness::options(&name)
    };
    let schema = schema(options).await;
    schema.migrate().await.unwrap();
    assert_eq!(schema.pending().await.unwrap(), [""; 0]);
    assert_eq!(owners(&name).await, ["postrider_admin"]);
    let database = schema.into_database().await.unwrap();
    database.ping().await.unwrap();
    database.close().await.unwrap();
    PostgresHarness::remove(&name).await;
    remove_login(&migrator).await;
}

/// The smallest installation: one login, which may create roles and owns the database.
async fn one_login_migrates_and_serves(login: &str, attributes: &str) {
    let login = own_login(login, attributes).await;
    let name = database_of(&login).await;
    let options = PostgresOptions {
        admin_url: None,
        ..PostgresHarness::options_as(&name, &login)
    };
    let schema = schema(options).await;
    schema.migrate().await.unwrap();
    assert_eq!(schema.pending().await.unwrap(), [""; 0]);
    let database = schema.into_database().await.unwrap();
    database.migrate().await.expect("nothing is missing");
    database.close().await.unwrap();
    PostgresHarness::remove(&name).await;
    remove_login(&login).await;
}

#[tokio::test]
async fn one_login_that_inherits_nothing_migrates_and_serves() {
    one_login_migrates_and_serves("all_in_one", "NOINHERIT CREATEROLE").await;
}

#[tokio::test]
async fn one_ordinary_login_migrates_and_serves() {
    one_login_migrates_and_serves("heir", "INHERIT CREATEROLE").await;
}

/// Once it is prepared, the login that serves can migrate by itself.
#[tokio::test]
async fn the_login_migrates_what_is_prepared() {
    let name = PostgresHarness::create(None).await;
    PostgresHarness::migrate(&name).await;
    let options = PostgresOptions {
        admin_url: None,
        ..PostgresHarness::options(&name)
    };
    let schema = schema(options).await;
    assert_eq!(schema.pending().await.unwrap(), [""; 0]);
    schema.migrate().await.unwrap();
    PostgresHarness::remove(&name).await;
}

#[tokio::test]
async fn what_is_not_permitted_is_named() {
    let name = PostgresHarness::create(None).await;
    let login = own_login("powerless", "NOINHERIT").await;
    let options = PostgresOptions {
        admin_url: None,
        ..PostgresHarness::options_as(&name, &login)
    };
    // The roles belong to the server, and exist or not; here they do.
    let other = PostgresHarness::create(None).await;
    PostgresHarness::migrate(&other).await;
    PostgresHarness::remove(&other).await;
    let refused = schema(options.clone()).await.migrate().await.unwrap_err();
    let ConnectError::NotPermitted { sql } = &refused else {
        panic!("{refused:?}")
    };
    assert_eq!(
        sql.lines().collect::<Vec<_>>(),
        [
            format!(r#"GRANT postrider_admin TO "{login}";"#).as_str(),
            "GRANT USAGE, CREATE ON SCHEMA public TO postrider_admin;",
        ]
    );
    assert!(refused.to_string().contains("database.admin_url"), "{refused}");

    // And what is named is what is missing.
    let outside = PostgresHarness::outside(&name);
    for statement in sql.lines() {
        sqlx::query(AssertSqlSafe(statement.to_owned()))
            .execute(&outside)
            .await
            .unwrap();
    }
    outside.close().await;
    let refused = schema(options).await.migrate().await.unwrap_err();
    let ConnectError::NotPermitted { sql } = &refused else {
        panic!("{refused:?}")
    };
    assert!(
        sql.starts_with(&format!(r#"GRANT postrider_api TO "{login}";"#)),
        "{sql}"
    );
    PostgresHarness::remove(&name).await;
    remove_login(&login).await;
}

/// A login that does not exist cannot be granted anything.
#[tokio::test]
async fn a_login_that_is_not_there_is_named() {
    let name = PostgresHarness::create(None).await;
    let schema = schema(PostgresHarness::options_as(&name, "postrider case nobody")).await;
    let refused = schema.migrate().await.unwrap_err();
    let text = refused.to_string();
    assert!(
        text.contains(r#"CREATE ROLE "postrider case nobody" LOGIN NOINHERIT"#),
        "{text}"
    );
    PostgresHarness::remove(&name).await;
}

async fn as_role(database: &str, role: &str) -> PgPool {
    let options: sqlx::postgres::PgConnectOptions = PostgresHarness::admin_url(database).parse().unwrap();
    PgPoolOptions::new()
        .max_connections(1)
        .connect_with(options.options([("role", role)]))
        .await
        .unwrap()
}

/// A database of a version without roles, whose login owns everything: it is taken over, with what is in it.
#[tokio::test]
async fn a_database_of_the_version_before_is_taken_over() {
    let owner = own_login("former_owner", "INHERIT").await;
    let name = database_of(&owner).await;
    let former = as_role(&name, &owner).await;
    Migrator::up(
        &SqlxPostgresConnector::from_sqlx_postgres_pool(former.clone()),
        Some(12),
    )
    .await
    .unwrap();
    sqlx::raw_sql(
        "INSERT INTO tenants (id, name, created_at, version)
             VALUES ('00000000-0000-0000-0000-00000000000a', 'Acme', 7, 1);
         INSERT INTO users (id, email, name, password_hash, created_at, version)
             VALUES ('00000000-0000-0000-0000-00000000000a', 'a@example.com', 'Ada', 'hash', 7, 1);
         INSERT INTO sessions (tenant, id, user_id, created_at, expires_at, version)
             SELECT id, id, id, 7, 7, 1 FROM tenants",
    )
    .execute(&former)
    .await
    .unwrap();
    former.close().await;
    assert_eq!(owners(&name).await, [owner.as_str()]);

    let schema = schema(PostgresHarness::options(&name)).await;
    assert_eq!(schema.pending().await.unwrap()[0], "m20261122_000013_identity");
    schema.migrate().await.unwrap();
    assert_eq!(owners(&name).await, ["postrider_admin"]);
    let outside = PostgresHarness::outside(&name);
    let kept: (String, i64, i64) =
        sqlx::query_as("SELECT status, status_since, (SELECT count(*) FROM sessions) FROM tenants")
            .fetch_one(&outside)
            .await
            .unwrap();
    assert_eq!(
        kept,
        ("active".to_owned(), 7, 0),
        "logins have ended, the tenant is there"
    );
    outside.close().await;
    schema.into_database().await.unwrap().close().await.unwrap();
    PostgresHarness::remove(&name).await;
    remove_login(&owner).await;
}
