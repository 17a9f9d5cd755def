//! Logins of the server beside the one that every test serves as.

use std::process;

use sqlx::{Connection as _, PgConnection};

use crate::support::postgres::{LOGIN, PASSWORD, ensure_login, on_the_server, server};

/// Makes a login that no other test process knows, because it is more than an ordinary one, or is changed.
pub(super) async fn own_login(name: &str, attributes: &str) -> String {
    let login = format!("postrider_case_{name}_{}", process::id());
    ensure_login(&login, attributes).await;
    login
}

/// Removes a login that owns nothing any more.
pub(super) async fn remove_login(name: &str) {
    on_the_server(format!("DROP ROLE {name}")).await;
}

/// A connection under the login as which tests serve, that has not changed into a role.
pub(super) async fn connect(database: &str) -> PgConnection {
    let serving = server().database(database).username(LOGIN).password(PASSWORD);
    PgConnection::connect_with(&serving).await.unwrap()
}
