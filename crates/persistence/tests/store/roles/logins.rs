//! Who may serve.

use postrider_persistence::{ConnectError, Database, DatabaseOptions, PostgresOptions, Schema, TooMuch};
use postrider_testkit::contract::Harness as _;
use sqlx::{AssertSqlSafe, Executor as _};

use super::accounts::{own_login, remove_login};
use crate::support::{
    PostgresHarness,
    postgres::{LOGIN, on_the_server},
};

async fn serve_as(database: &str, login: &str) -> Result<(), ConnectError> {
    let options = DatabaseOptions::Postgres(PostgresHarness::options_as(database, login));
    let opened = Database::open(options).await?;
    opened.close().await.unwrap();
    Ok(())
}

async fn too_much(database: &str, login: &str) -> TooMuch {
    let refused = serve_as(database, login).await.unwrap_err();
    let text = refused.to_string();
    assert!(
        text.contains(login) && text.contains("database.admin_url"),
        "{text}"
    );
    match refused {
        ConnectError::TooPowerful { login: named, what } if named == login => what,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_ordinary_login_serves() {
    let harness = PostgresHarness::new().await;
    serve_as(&harness.name, LOGIN).await.unwrap();
    harness.finish().await;
}

#[tokio::test]
async fn a_superuser_does_not_serve() {
    let harness = PostgresHarness::new().await;
    let login = own_login("superuser", "SUPERUSER").await;
    assert_eq!(too_much(&harness.name, &login).await, TooMuch::Superuser);
    harness.finish().await;
    remove_login(&login).await;
}

#[tokio::test]
async fn who_bypasses_row_security_does_not_serve() {
    let harness = PostgresHarness::new().await;
    let login = own_login("bypassing", "NOINHERIT BYPASSRLS").await;
    assert_eq!(
        too_much(&harness.name, &login).await,
        TooMuch::BypassesRowSecurity
    );
    harness.finish().await;
    remove_login(&login).await;
}

#[tokio::test]
async fn who_inherits_a_role_does_not_serve() {
    let harness = PostgresHarness::new().await;
    let login = own_login("inheriting", "INHERIT").await;
    for role in ["api", "identity", "engine", "admin"] {
        on_the_server(format!("GRANT postrider_{role} TO {login}")).await;
    }
    let what = too_much(&harness.name, &login).await;
    assert_eq!(what, TooMuch::Inherits("postrider_api"));
    harness.finish().await;
    remove_login(&login).await;
}

#[tokio::test]
async fn who_owns_a_table_does_not_serve() {
    let harness = PostgresHarness::new().await;
    harness
        .outside
        .execute(AssertSqlSafe(format!("ALTER TABLE nodes OWNER TO {LOGIN}")))
        .await
        .unwrap();
    assert_eq!(
        too_much(&harness.name, LOGIN).await,
        TooMuch::Owns("nodes".to_owned())
    );
    harness.finish().await;
}

#[tokio::test]
async fn who_cannot_become_a_role_does_not_serve() {
    let harness = PostgresHarness::new().await;
    let login = own_login("stranger", "NOINHERIT").await;
    let refused = serve_as(&harness.name, &login).await.unwrap_err();
    assert!(
        matches!(
            &refused,
            ConnectError::NoRole {
                role: "postrider_api",
                ..
            }
        ),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("postrider migrate"), "{refused}");

    // Nor can it look whether the tables are of this version.
    let options = PostgresOptions {
        admin_url: None,
        ..PostgresHarness::options_as(&harness.name, &login)
    };
    let schema = Schema::open(DatabaseOptions::Postgres(options)).await.unwrap();
    let refused = schema.pending().await.unwrap_err();
    assert!(
        matches!(
            &refused,
            ConnectError::NoRole {
                role: "postrider_admin",
                ..
            }
        ),
        "{refused:?}"
    );
    harness.finish().await;
    remove_login(&login).await;
}
