//! How long PostgreSQL is waited for.
//!
//! The server gives up a statement by itself (`statement_timeout`), but a server that cannot be heard any more, because a
//! network drops packets and nobody closes the connection, gives up nothing that we would know of. So an answer is not
//! waited for for ever. The connection it was to come on is not used again: see [`let_go`].

use std::time::Duration;

use sea_orm::{DbErr, RuntimeErr};
use sqlx::{Connection as _, PgConnection};
use tokio::time;

use super::{DatabaseOptions, PostgresOptions};

/// How long the answer to a call is waited for. For ever on SQLite: a file does not fall silent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience(Option<Duration>);

impl Patience {
    /// For a statement on a connection that is had already.
    pub(super) fn for_answer(options: &DatabaseOptions) -> Self {
        match options {
            DatabaseOptions::Sqlite(_) => Self(None),
            DatabaseOptions::Postgres(PostgresOptions { answer_timeout, .. }) => Self(Some(*answer_timeout)),
        }
    }

    /// For a connection, and a statement on it.
    pub(super) fn for_connection(options: &DatabaseOptions) -> Self {
        match options {
            DatabaseOptions::Sqlite(_) => Self(None),
            DatabaseOptions::Postgres(options) => {
                Self(Some(options.acquire_timeout + options.answer_timeout))
            }
        }
    }

    /// What `call` says, if it says so in time. Otherwise whether it took effect is as unknown as after a lost connection.
    pub(super) async fn wait_for<T>(
        self,
        call: impl Future<Output = Result<T, DbErr>> + Send,
    ) -> Result<T, DbErr> {
        let Self(Some(longest)) = self else {
            return call.await;
        };
        time::timeout(longest, call)
            .await
            .unwrap_or_else(|_| Err(silent()))
    }
}

fn silent() -> DbErr {
    DbErr::Conn(RuntimeErr::Internal(
        "the server gave no answer in time".to_owned(),
    ))
}

/// Before a connection goes back to its pool: the answers that nobody waits for any more are taken, for so long. If they do
/// not come, the connection is closed. A connection on which nothing is under way costs nothing here.
///
/// What remains: after this the pool tries each connection by a round trip of its own, which it does not bound. A
/// connection that falls silent in just that moment keeps its place until the system gives it up, which sends packets
/// again for a quarter of an hour (`net.ipv4.tcp_retries2`). Who waits for a place is told in time all the same.
pub(super) async fn let_go(connection: &mut PgConnection, longest: Duration) -> Result<bool, sqlx::Error> {
    let late = || sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
    time::timeout(longest, connection.flush())
        .await
        .unwrap_or_else(|_| Err(late()))
        .map(|()| true)
}
